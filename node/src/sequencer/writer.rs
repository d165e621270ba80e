//! The log's writing thread: what waits is made durable together, then everybody hears.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tokio::sync::mpsc::UnboundedSender;
use weft_consensus::driver::StoredBlock;
use weft_types::{BlockId, Certificate, Height};

use crate::store::{Log, LogError, Record};

/// Something to write.
#[allow(clippy::large_enum_variant, reason = "few wait at a time, and most of them are blocks")]
pub enum Job {
    /// A block.
    Persist(BlockId, StoredBlock),
    /// A certificate.
    Commit(Certificate),
}

/// What is on disk now, or why it is not.
#[derive(Debug)]
pub enum Written {
    /// A block.
    Persisted(BlockId),
    /// A certificate.
    Committed(Height),
    /// Nothing more will be written.
    Failed(LogError),
}

/// Starts the thread; it ends when the sender is dropped.
pub fn start(
    log: Log,
    done: UnboundedSender<Written>,
) -> std::io::Result<(Sender<Job>, JoinHandle<()>)> {
    let (jobs, queue) = channel();
    let thread = std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || run(&log, &queue, &done))?;
    Ok((jobs, thread))
}

fn run(log: &Log, queue: &Receiver<Job>, done: &UnboundedSender<Written>) {
    while let Ok(first) = queue.recv() {
        let jobs: Vec<Job> = std::iter::once(first).chain(queue.try_iter()).collect();
        let failed = match write(log, &jobs) {
            Ok(()) => None,
            Err(error) => Some(Written::Failed(error)),
        };
        let stop = failed.is_some();
        let written = jobs.into_iter().map(|job| match job {
            Job::Persist(id, _) => Written::Persisted(id),
            Job::Commit(certificate) => Written::Committed(certificate.height),
        });
        let news: Vec<Written> = failed.map_or_else(|| written.collect(), |f| vec![f]);
        for item in news {
            if done.send(item).is_err() {
                return;
            }
        }
        if stop {
            return;
        }
    }
}

fn write(log: &Log, jobs: &[Job]) -> Result<(), LogError> {
    let encoded = jobs
        .iter()
        .map(|job| match job {
            Job::Persist(_, block) => block.encode(),
            Job::Commit(_) => Ok(Vec::new()),
        })
        .collect::<std::io::Result<Vec<_>>>()?;
    let records: Vec<Record<'_>> = jobs
        .iter()
        .zip(&encoded)
        .map(|(job, bytes)| match job {
            Job::Persist(id, block) => {
                Record::Block { id: *id, height: block.value.header.height, bytes }
            }
            Job::Commit(certificate) => Record::Commit(certificate),
        })
        .collect();
    log.append(&records, true)
}
