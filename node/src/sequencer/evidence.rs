//! Proof of faults, kept: one JSON line each, durable, bounded.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use weft_types::evidence::Evidence;
use weft_types::{Address, Slot, Verify};

/// Most pieces kept: some of each validator say as much as all.
const MOST: usize = 10_000;

/// A piece of evidence and whom it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Who signed twice.
    pub offender: Address,
    /// The two signatures.
    pub evidence: Evidence,
}

/// All that is kept.
pub struct EvidenceStore {
    chain_id: u64,
    inner: Mutex<Inner>,
}

struct Inner {
    file: File,
    kept: Vec<Kept>,
    known: BTreeSet<(Address, Slot)>,
}

impl EvidenceStore {
    /// Opens the file, making it if there is none. Lines that prove nothing are left out.
    pub fn open(path: &Path, chain_id: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let mut kept = Vec::new();
        let mut known = BTreeSet::new();
        for line in BufReader::new(&file).lines() {
            let Ok(piece) = serde_json::from_str::<Kept>(&line?) else { continue };
            if piece.evidence.verify(chain_id) == Ok(piece.offender)
                && known.insert((piece.offender, piece.evidence.slot))
            {
                kept.push(piece);
            }
        }
        Ok(Self { chain_id, inner: Mutex::new(Inner { file, kept, known }) })
    }

    /// Keeps a piece. Returns whom it is about, unless it proves nothing or nothing new.
    pub fn keep(&self, evidence: &Evidence) -> io::Result<Option<Address>> {
        let Ok(offender) = evidence.verify(self.chain_id) else { return Ok(None) };
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.kept.len() >= MOST || !inner.known.insert((offender, evidence.slot)) {
            return Ok(None);
        }
        let piece = Kept { offender, evidence: *evidence };
        let mut line = serde_json::to_vec(&piece)?;
        line.push(b'\n');
        inner.file.write_all(&line)?;
        inner.file.sync_data()?;
        inner.kept.push(piece);
        Ok(Some(offender))
    }

    /// Everything kept, oldest first.
    pub fn all(&self) -> Vec<Kept> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).kept.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_types::{B256, SecretKey};

    #[test]
    fn evidence_survives_a_restart_and_repeats_nothing() {
        let key = SecretKey::from_bytes([3; 32]).unwrap();
        let slot = Slot::Observation { height: 4 };
        let sign = |byte| {
            let body = B256::repeat_byte(byte);
            (body, key.sign(slot.signing_hash(9, body)))
        };
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("evidence.jsonl");
        let store = EvidenceStore::open(&path, 9).unwrap();
        let fault = Evidence::new(slot, sign(1), sign(2));
        assert_eq!(store.keep(&fault).unwrap(), Some(key.address()));
        assert_eq!(store.keep(&Evidence::new(slot, sign(1), sign(3))).unwrap(), None);
        assert_eq!(store.keep(&Evidence::new(slot, sign(1), sign(1))).unwrap(), None);
        drop(store);
        std::fs::write(&path, [std::fs::read(&path).unwrap(), b"nonsense\n".to_vec()].concat())
            .unwrap();
        let store = EvidenceStore::open(&path, 9).unwrap();
        assert_eq!(store.all().len(), 1);
        assert_eq!(store.all()[0].offender, key.address());
    }
}
