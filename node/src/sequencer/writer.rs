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

/// Starts the thread; it ends when the sender is dropped. Without `sync`, what is written is
/// durable some time later: enough for a node that signs nothing.
pub fn start(
    log: Log,
    sync: bool,
    done: UnboundedSender<Written>,
) -> std::io::Result<(Sender<Job>, JoinHandle<()>)> {
    let (jobs, queue) = channel();
    let thread = std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || run(&log, sync, &queue, &done))?;
    Ok((jobs, thread))
}

fn run(log: &Log, sync: bool, queue: &Receiver<Job>, done: &UnboundedSender<Written>) {
    while let Ok(first) = queue.recv() {
        let jobs: Vec<Job> = std::iter::once(first).chain(queue.try_iter()).collect();
        let failed = match write(log, sync, &jobs) {
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
    // A last word to the disk for a node that does not sync as it goes.
    if let Err(error) = log.sync() {
        tracing::warn!(%error, "the block log could not be synced at the end");
    }
}

fn write(log: &Log, sync: bool, jobs: &[Job]) -> Result<(), LogError> {
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
    log.append(&records, sync)
}
