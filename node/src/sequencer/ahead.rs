//! Blocks that come by sync, checked before their turn.
//!
//! The engine hands over one block at a time and waits for what comes of it. Most of what a block
//! costs is checking signatures, its own and its certificate's, and that needs no other block. So
//! threads begin with it as soon as a peer's answer is here, lowest heights first.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::available_parallelism;

use arc_malachitebft_engine::network::NetworkEvent;
use arc_malachitebft_sync::{RawDecidedValue, Response};
use bytes::Bytes;
use tokio::sync::watch;
use tracing::debug;
use weft_consensus::driver::StoredBlock;
use weft_consensus::engine::{Context, Verifier};
use weft_types::{Committee, Height};

use crate::p2p::Seats;

/// Heights above the tip that are worth holding: what is further up is not asked for.
const MAX_HEIGHTS: Height = 1024;

/// Most bytes of blocks held here.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Most votes of certificates checked ahead: the verifier has to remember them.
const MAX_VOTES: usize = Verifier::REMEMBERED / 2;

/// The checks under way. Cheap to clone.
#[derive(Clone)]
pub struct Ahead(Arc<Inner>);

struct Inner {
    chain_id: u64,
    verifier: Verifier,
    seats: watch::Receiver<Seats>,
    values: Mutex<Values>,
}

#[derive(Default)]
struct Values {
    /// The first block seen of each height that is to come.
    held: BTreeMap<Height, Arc<Value>>,
    /// Those that no thread has begun with.
    waiting: BTreeSet<Height>,
    bytes: usize,
    threads: usize,
    tip: Height,
}

struct Value {
    raw: RawDecidedValue<Context>,
    checked: OnceLock<Checked>,
}

#[derive(Clone)]
struct Checked {
    /// Whose signatures were looked for.
    committee: Arc<Committee>,
    block: Option<StoredBlock>,
}

impl Ahead {
    /// Nothing yet, above a tip.
    pub fn new(
        chain_id: u64,
        verifier: Verifier,
        seats: watch::Receiver<Seats>,
        tip: Height,
    ) -> Self {
        let values = Mutex::new(Values { tip, ..Values::default() });
        Self(Arc::new(Inner { chain_id, verifier, seats, values }))
    }

    /// Begins with the blocks in a peer's answer, if this is one.
    pub fn see(&self, event: &NetworkEvent<Context>) {
        let NetworkEvent::SyncResponse(_, _, Some(Response::ValueResponse(response))) = event
        else {
            return;
        };
        let mut values = self.lock();
        for raw in &response.values {
            let (height, bytes) = (raw.height().0, raw.value_bytes.len());
            let near = height > values.tip && height - values.tip <= MAX_HEIGHTS;
            if !near || values.held.contains_key(&height) || values.bytes + bytes > MAX_BYTES {
                continue;
            }
            values.bytes += bytes;
            values.waiting.insert(height);
            let value = Value { raw: raw.clone(), checked: OnceLock::new() };
            values.held.insert(height, Arc::new(value));
        }
        self.wake(&mut values);
    }

    /// Takes up a block whose turn it is.
    pub fn claim(&self, height: Height, bytes: Bytes, committee: Committee) -> Claim {
        let mut values = self.lock();
        let same = values.held.get(&height).is_some_and(|value| value.raw.value_bytes == bytes);
        let value = same.then(|| values.remove(height)).flatten();
        Claim { inner: Arc::clone(&self.0), value, bytes, committee }
    }

    /// Forgets what is not above the tip.
    pub fn passed(&self, tip: Height) {
        let mut values = self.lock();
        values.tip = tip;
        while let Some(height) = values.held.keys().next().copied().filter(|height| *height <= tip)
        {
            values.remove(height);
        }
        self.wake(&mut values);
    }

    /// Starts a thread for each block that can be begun with, if cores are left.
    fn wake(&self, values: &mut Values) {
        let most = available_parallelism().map_or(1, NonZero::get);
        for _ in values.threads..most.min(values.threads + values.waiting.len()) {
            values.threads += 1;
            let ahead = self.clone();
            tokio::task::spawn_blocking(move || ahead.work());
        }
    }

    fn work(&self) {
        loop {
            let mut values = self.lock();
            let Some(value) = values.next() else {
                values.threads -= 1;
                return;
            };
            drop(values);
            value.checked.get_or_init(|| self.0.check(&value.raw));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Values> {
        self.0.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A block whose turn it is.
pub struct Claim {
    inner: Arc<Inner>,
    value: Option<Arc<Value>>,
    bytes: Bytes,
    committee: Committee,
}

impl Claim {
    /// Whether it has been checked ahead of its turn.
    pub fn is_ready(&self) -> bool {
        self.value.as_ref().is_some_and(|value| value.checked.get().is_some())
    }

    /// The block, checked. Takes its time unless it is ready.
    pub fn finish(self) -> Option<StoredBlock> {
        let Self { inner, value, bytes, committee } = self;
        let ahead = value.map(|value| {
            // Waits if a thread is about it.
            value.checked.get_or_init(|| inner.check(&value.raw));
            Arc::try_unwrap(value).map_or_else(
                |shared| shared.checked.get().cloned(),
                |value| value.checked.into_inner(),
            )
        });
        match ahead.flatten() {
            Some(checked) if *checked.committee == committee => checked.block,
            _ => decode(&bytes, inner.chain_id, &committee),
        }
    }
}

impl Values {
    fn remove(&mut self, height: Height) -> Option<Arc<Value>> {
        self.waiting.remove(&height);
        let value = self.held.remove(&height)?;
        self.bytes -= value.raw.value_bytes.len();
        Some(value)
    }

    /// The block to begin with: the lowest, unless its votes would be forgotten by its turn.
    fn next(&mut self) -> Option<Arc<Value>> {
        let height = *self.waiting.first()?;
        let value = self.held.get(&height).cloned()?;
        let votes = value.raw.certificate.commit_signatures.len();
        let ahead = usize::try_from(height.saturating_sub(self.tip)).ok()?;
        if ahead.saturating_mul(votes) > MAX_VOTES {
            return None;
        }
        self.waiting.pop_first();
        Some(value)
    }
}

impl Inner {
    fn check(&self, raw: &RawDecidedValue<Context>) -> Checked {
        // The engine will ask again, and refuse those that are bad.
        self.verifier.check_certificate(&raw.certificate);
        let committee = Arc::clone(&self.seats.borrow().committee);
        let block = decode(&raw.value_bytes, self.chain_id, &committee);
        Checked { committee, block }
    }
}

fn decode(bytes: &[u8], chain_id: u64, committee: &Committee) -> Option<StoredBlock> {
    StoredBlock::decode(bytes, chain_id, committee)
        .inspect_err(|problem| debug!(%problem, "a synced block does not check"))
        .ok()
}
