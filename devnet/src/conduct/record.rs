//! A record of every signature a validator made or heard of, that a kill of its process leaves
//! whole: what is written to a file stays when its writer dies.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_malachitebft_engine::network::NetworkEvent;
use eyre::WrapErr;
use serde::{Deserialize, Serialize};
use weft_consensus::engine::Context;
use weft_types::{Address, B256, Signable, Slot};

/// One signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Record {
    /// Who signed.
    pub signer: Address,
    /// What it may sign once.
    pub slot: Slot,
    /// What it signed.
    pub body: B256,
}

/// Appends records to a file.
#[derive(Clone)]
pub struct Recorder(Arc<Mutex<File>>);

impl Recorder {
    /// Opens the file, making it if there is none.
    pub fn open(path: &Path) -> eyre::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.wrap_err_with(|| path.display().to_string())?;
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    /// A message came from another validator. Its signature was checked.
    pub fn heard(&self, event: &NetworkEvent<Context>) {
        match event {
            NetworkEvent::Vote(_, vote) => {
                if let Some(plain) = vote.message.plain() {
                    self.write(vote.message.voter.0, plain.slot(), plain.body_hash());
                }
            }
            NetworkEvent::Proposal(_, proposal) => {
                if let Some(plain) = proposal.message.plain() {
                    self.write(proposal.message.proposer.0, plain.slot(), plain.body_hash());
                }
            }
            _ => {}
        }
    }

    /// The validator itself has signed something.
    pub fn made(&self, signer: Address, body: &impl Signable) {
        self.write(signer, body.slot(), body.body_hash());
    }

    #[expect(clippy::expect_used, reason = "a record with holes proves nothing")]
    fn write(&self, signer: Address, slot: Slot, body: B256) {
        let mut line = serde_json::to_vec(&Record { signer, slot, body }).unwrap_or_default();
        line.push(b'\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line).expect("the record can be written");
    }
}

/// Reads a record. A kill may have cut its last line off.
pub fn read_records(path: &Path) -> eyre::Result<Vec<Record>> {
    let text = std::fs::read_to_string(path).wrap_err_with(|| path.display().to_string())?;
    let mut records = Vec::new();
    for line in text.lines() {
        // A line that was cut off, with the next incarnation's first one behind it.
        let start = line.rfind("{\"signer\"").unwrap_or(0);
        if let Ok(record) = serde_json::from_str(&line[start..]) {
            records.push(record);
        }
    }
    Ok(records)
}
