//! Proof of faults, kept: one JSON line each, durable, bounded.
//!
//! Whoever comes upon a fault hands it over and goes on. A thread of its own checks the signatures
//! and writes to the disk: somebody who signs twice as often as it can must not hold up those who
//! decide.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize};
use tracing::{error, warn};
use weft_types::evidence::Evidence;
use weft_types::limits::MAX_COMMITTEE;
use weft_types::{Address, Slot, Verify};

use crate::store::durable;

/// Most pieces kept of one offender: some say as much as all.
const MOST_OF_ONE: usize = 16;

/// Most pieces kept.
const MOST: usize = MAX_COMMITTEE * MOST_OF_ONE;

/// Most pieces that wait to be checked. What comes while it is full is dropped: whoever gets that
/// far will sign twice again.
const QUEUE: usize = 256;

/// A piece of evidence and whom it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Who signed twice.
    pub offender: Address,
    /// The two signatures.
    pub evidence: Evidence,
}

/// All that is kept. Dropping it waits until what was handed over is on disk.
pub struct EvidenceStore {
    kept: Arc<Mutex<Pieces>>,
    queue: Option<SyncSender<Evidence>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Pieces {
    all: Vec<Kept>,
    known: BTreeSet<(Address, Slot)>,
    of: BTreeMap<Address, usize>,
}

impl Pieces {
    fn has_room(&self, offender: &Address) -> bool {
        self.all.len() < MOST && self.of.get(offender).is_none_or(|count| *count < MOST_OF_ONE)
    }

    /// Whether a piece of an offender would be new, and may be kept.
    fn wants(&self, offender: &Address, slot: Slot) -> bool {
        self.has_room(offender) && !self.known.contains(&(*offender, slot))
    }

    fn keep(&mut self, piece: Kept) {
        self.known.insert((piece.offender, piece.evidence.slot));
        *self.of.entry(piece.offender).or_default() += 1;
        self.all.push(piece);
    }
}

impl EvidenceStore {
    /// Opens the file, making it if there is none. Lines that prove nothing are left out. `counter`
    /// counts the pieces that are added.
    pub fn open(path: &Path, chain_id: u64, counter: Counter) -> io::Result<Self> {
        let is_new = !path.try_exists()?;
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        if is_new {
            file.sync_all()?;
            durable::sync_name(path)?;
        }
        let mut pieces = Pieces::default();
        for line in BufReader::new(&file).split(b'\n') {
            let Ok(piece) = serde_json::from_slice::<Kept>(&line?) else { continue };
            if pieces.wants(&piece.offender, piece.evidence.slot)
                && piece.evidence.verify(chain_id) == Ok(piece.offender)
            {
                pieces.keep(piece);
            }
        }
        // The last line may have been cut off by a failure.
        if file.metadata()?.len() > 0 {
            file.write_all(b"\n")?;
        }
        let kept = Arc::new(Mutex::new(pieces));
        let (queue, waiting) = sync_channel(QUEUE);
        let keeper = Keeper { chain_id, file, kept: Arc::clone(&kept), counter };
        let thread = std::thread::Builder::new()
            .name("evidence".to_owned())
            .spawn(move || keeper.run(&waiting))?;
        Ok(Self { kept, queue: Some(queue), thread: Some(thread) })
    }

    /// Hands a piece over to be checked and kept. Does not wait, neither for signatures nor for the
    /// disk. Fails if nothing can be kept any more.
    pub fn keep(&self, evidence: &Evidence) -> io::Result<()> {
        let Some(queue) = &self.queue else { return Ok(()) };
        match queue.try_send(*evidence) {
            Ok(()) | Err(TrySendError::Full(_)) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(io::Error::other("the writer has ended")),
        }
    }

    /// Everything kept, oldest first.
    pub fn all(&self) -> Vec<Kept> {
        lock(&self.kept).all.clone()
    }
}

impl Drop for EvidenceStore {
    fn drop(&mut self) {
        self.queue = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            error!("the thread that keeps evidence ended badly");
        }
    }
}

/// What the thread owns.
struct Keeper {
    chain_id: u64,
    file: File,
    kept: Arc<Mutex<Pieces>>,
    counter: Counter,
}

impl Keeper {
    fn run(mut self, waiting: &Receiver<Evidence>) {
        for evidence in waiting {
            match self.keep(&evidence) {
                Ok(Some(offender)) => {
                    self.counter.inc();
                    warn!(%offender, slot = ?evidence.slot, "a validator signed twice; proof is kept");
                }
                Ok(None) => {}
                Err(problem) => error!(%problem, "evidence could not be kept"),
            }
        }
    }

    /// Keeps a piece. Returns whom it is about, unless it proves nothing or nothing new.
    fn keep(&mut self, evidence: &Evidence) -> io::Result<Option<Address>> {
        // One signature says whom it is about, and that may be all there is to do.
        let (body, signature) = &evidence.first;
        let signed = evidence.slot.signing_hash(self.chain_id, *body);
        let Ok(offender) = signature.recover(signed) else { return Ok(None) };
        if !lock(&self.kept).wants(&offender, evidence.slot)
            || evidence.verify(self.chain_id) != Ok(offender)
        {
            return Ok(None);
        }
        let piece = Kept { offender, evidence: *evidence };
        let mut line = serde_json::to_vec(&piece)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        lock(&self.kept).keep(piece);
        Ok(Some(offender))
    }
}

fn lock(pieces: &Mutex<Pieces>) -> MutexGuard<'_, Pieces> {
    pieces.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_types::{B256, SecretKey};

    const CHAIN: u64 = 9;

    fn key(byte: u8) -> SecretKey {
        SecretKey::from_bytes([byte; 32]).unwrap()
    }

    /// A fault at a height: two bodies with these bytes.
    fn fault(key: &SecretKey, height: u64, bodies: (u8, u8)) -> Evidence {
        let slot = Slot::Observation { height };
        let sign = |byte| {
            let body = B256::repeat_byte(byte);
            (body, key.sign(slot.signing_hash(CHAIN, body)))
        };
        Evidence::new(slot, sign(bodies.0), sign(bodies.1))
    }

    /// Hands pieces over and waits until what is to be kept is on disk.
    fn hand_over(path: &Path, pieces: &[Evidence]) -> u64 {
        let counter = Counter::default();
        let store = EvidenceStore::open(path, CHAIN, counter.clone()).unwrap();
        for piece in pieces {
            store.keep(piece).unwrap();
        }
        drop(store);
        counter.get()
    }

    fn kept(path: &Path) -> Vec<Kept> {
        EvidenceStore::open(path, CHAIN, Counter::default()).unwrap().all()
    }

    #[test]
    fn evidence_survives_a_restart_and_repeats_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("evidence.jsonl");
        let (liar, other) = (key(3), key(4));
        let first = fault(&liar, 4, (1, 2));
        let twice = fault(&liar, 4, (1, 3));
        let none = fault(&liar, 4, (1, 1));
        assert_eq!(hand_over(&path, &[first, twice, none, first]), 1);
        assert_eq!(kept(&path), [Kept { offender: liar.address(), evidence: first }]);

        // A line that was cut off, not in UTF-8 at that, spoils neither those before nor after.
        let torn = [&std::fs::read(&path).unwrap()[..], b"{\"offender\":\"\xff"].concat();
        std::fs::write(&path, torn).unwrap();
        assert_eq!(hand_over(&path, &[fault(&other, 4, (1, 2)), twice]), 1);
        let offenders: Vec<Address> = kept(&path).iter().map(|piece| piece.offender).collect();
        assert_eq!(offenders, [liar.address(), other.address()]);
    }

    #[test]
    fn one_offender_leaves_room_for_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("evidence.jsonl");
        let (liar, other) = (key(3), key(4));
        let mut pieces: Vec<Evidence> = (1..=40).map(|h| fault(&liar, h, (1, 2))).collect();
        pieces.push(fault(&other, 1, (1, 2)));
        assert_eq!(hand_over(&path, &pieces), 17);
        assert_eq!(kept(&path).len(), 17);
        assert_eq!(kept(&path)[16].offender, other.address());
        assert_eq!(hand_over(&path, &[fault(&liar, 50, (1, 2))]), 0, "after a restart as well");
    }
}
