//! What was made of which slice, durable.
//!
//! Before the engine is asked for a block, the journal says durably what the block is meant to be;
//! afterwards it says what it became. So after any crash a block that the engine has and the
//! journal has not is recognised, and one that the engine has lost is made again from its slice
//! and compared.

use std::path::Path;
use std::sync::Arc;

use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::watch;
use weft_types::{Height, TransactionId};

use crate::cursor::Cursor;
use crate::evm::chain::{Tip, last_kept};
use crate::evm::skip::SkipReason;
use crate::evm::store::{Outcome, StoreError};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");
const OUTCOMES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("outcomes");
const SUBMISSIONS: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("submissions");

const CURSOR: &str = "cursor";
const INTENT: &str = "intent";
const IDENTITY: &str = "identity";
const UNWOUND: &str = "unwound";
const LAYOUT: &str = "layout";

/// The layout of the database.
const LAYOUT_NOW: u32 = 3;

/// A block that the engine made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Made {
    /// Its hash.
    pub hash: B256,
    /// Where the rollup stood with it.
    pub cursor: Cursor,
}

/// A block that the engine is about to make.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Intent {
    /// Its number.
    pub number: u64,
    /// The block before it.
    pub parent: B256,
    /// Its timestamp.
    pub timestamp: u64,
    /// Transactions handed to the engine, in order.
    pub transactions: Vec<B256>,
    /// Items that were not.
    pub skipped: Vec<(B256, SkipReason)>,
    /// The Weft transactions that brought them.
    pub submissions: Vec<TransactionId>,
    /// Where the rollup will stand with it.
    pub cursor: Cursor,
}

/// The journal of an external engine. Clones share it.
#[derive(Clone)]
pub struct Journal {
    db: Arc<Database>,
    tip: Arc<watch::Sender<Tip>>,
}

macro_rules! decode {
    ($stored:expr, $what:literal) => {
        match $stored {
            None => Ok(None),
            Some(bytes) => {
                borsh::from_slice(bytes.value()).map(Some).map_err(|_| StoreError::Damaged($what))
            }
        }
    };
}

impl Journal {
    /// Opens or makes the journal of a rollup.
    pub fn open(path: &Path, identity: B256) -> Result<Self, StoreError> {
        let db = Database::create(path)?;
        let write = db.begin_write()?;
        {
            let mut meta = write.open_table(META)?;
            let known = meta.get(IDENTITY)?.map(|stored| stored.value() == identity.as_slice());
            // The first layout did not say which it is.
            let layout = meta
                .get(LAYOUT)?
                .map_or(Some(1), |stored| stored.value().try_into().ok().map(u32::from_be_bytes));
            match known {
                Some(true) if layout == Some(LAYOUT_NOW) => {}
                Some(true) => return Err(StoreError::Layout(layout.unwrap_or(0), LAYOUT_NOW)),
                Some(false) => return Err(StoreError::Identity),
                None => {
                    meta.insert(IDENTITY, identity.as_slice())?;
                    meta.insert(LAYOUT, LAYOUT_NOW.to_be_bytes().as_slice())?;
                }
            }
            write.open_table(BLOCKS)?;
            write.open_table(OUTCOMES)?;
            write.open_table(SUBMISSIONS)?;
        }
        write.commit()?;
        let journal = Self { db: Arc::new(db), tip: Arc::new(watch::channel(Tip::default()).0) };
        let number = journal.last_number()?;
        journal.tip.send_modify(|tip| tip.number = number);
        Ok(journal)
    }

    /// The last block made, for whoever waits for more.
    pub fn tip(&self) -> watch::Receiver<Tip> {
        self.tip.subscribe()
    }

    /// The cursor as last stored.
    pub fn cursor(&self) -> Result<Option<Cursor>, StoreError> {
        let meta = self.db.begin_read()?.open_table(META)?;
        decode!(meta.get(CURSOR)?, "the cursor")
    }

    /// The block last intended.
    pub fn intent(&self) -> Result<Option<Intent>, StoreError> {
        let meta = self.db.begin_read()?.open_table(META)?;
        decode!(meta.get(INTENT)?, "the intent")
    }

    /// A block that was made.
    pub fn made(&self, number: u64) -> Result<Option<Made>, StoreError> {
        let blocks = self.db.begin_read()?.open_table(BLOCKS)?;
        decode!(blocks.get(number)?, "a block")
    }

    /// The last block that was made.
    pub fn last(&self) -> Result<Option<(u64, Made)>, StoreError> {
        let blocks = self.db.begin_read()?.open_table(BLOCKS)?;
        let Some((number, bytes)) = blocks.last()? else { return Ok(None) };
        let made = borsh::from_slice(bytes.value()).map_err(|_| StoreError::Damaged("a block"))?;
        Ok(Some((number.value(), made)))
    }

    /// The number of the last block that was made; 0 for the genesis block.
    pub fn last_number(&self) -> Result<u64, StoreError> {
        Ok(self.last()?.map_or(0, |(number, _)| number))
    }

    /// The number of the last block that no fallback takes back any more.
    pub fn settled(&self) -> Result<u64, StoreError> {
        let below = self.cursor()?.map_or(0, |cursor| cursor.settled.below);
        self.last_below(below)
    }

    /// The number of the last block that needed slices of lower heights only.
    fn last_below(&self, height: Height) -> Result<u64, StoreError> {
        last_kept(self.last_number()?, |number| {
            let made = self.made(number)?.ok_or(StoreError::Damaged("a block is missing"))?;
            Ok(made.cursor.needs() <= height)
        })
    }

    /// What became of an item.
    pub fn outcome(&self, hash: &B256) -> Result<Option<Outcome>, StoreError> {
        let outcomes = self.db.begin_read()?.open_table(OUTCOMES)?;
        decode!(outcomes.get(&hash.0)?, "an outcome")
    }

    /// The height of the slice that a Weft transaction stands in.
    pub fn submission(&self, id: &TransactionId) -> Result<Option<Height>, StoreError> {
        let submissions = self.db.begin_read()?.open_table(SUBMISSIONS)?;
        Ok(submissions.get(id.as_bytes())?.map(|height| height.value()))
    }

    /// Stores the cursor. Not durable before the next [`intend`](Self::intend) or
    /// [`flush`](Self::flush).
    pub fn set_cursor(&self, cursor: &Cursor) -> Result<(), StoreError> {
        let mut write = self.db.begin_write()?;
        write.set_durability(Durability::None)?;
        write.open_table(META)?.insert(CURSOR, encode(cursor).as_slice())?;
        write.commit()?;
        Ok(())
    }

    /// Says what the next block is meant to be. Durable, with everything stored before.
    pub fn intend(&self, intent: &Intent) -> Result<(), StoreError> {
        let mut write = self.db.begin_write()?;
        write.set_quick_repair(true);
        write.open_table(META)?.insert(INTENT, encode(intent).as_slice())?;
        write.commit()?;
        Ok(())
    }

    /// Says what the intended block became. Durable with the next intent at the latest, which is
    /// before the engine can be two blocks ahead of the journal.
    pub fn complete(
        &self,
        intent: &Intent,
        hash: B256,
        included: &[B256],
    ) -> Result<(), StoreError> {
        let mut write = self.db.begin_write()?;
        write.set_durability(Durability::None)?;
        let cursor = intent.cursor;
        let height = cursor.height().unwrap_or(0);
        {
            let mut meta = write.open_table(META)?;
            meta.insert(CURSOR, encode(&cursor).as_slice())?;
            let mut blocks = write.open_table(BLOCKS)?;
            blocks.insert(intent.number, encode(&Made { hash, cursor }).as_slice())?;
            let mut outcomes = write.open_table(OUTCOMES)?;
            let refused = intent.transactions.iter().filter(|hash| !included.contains(hash));
            let refused = refused.map(|hash| (*hash, SkipReason::Refused));
            for (hash, reason) in intent.skipped.iter().copied().chain(refused) {
                // What was executed once stays executed.
                let before = outcomes.get(&hash.0)?.map(|v| v.value().first().copied());
                if before != Some(Some(0)) {
                    let outcome = Outcome::Skipped { height, reason };
                    outcomes.insert(&hash.0, encode(&outcome).as_slice())?;
                }
            }
            for (index, hash) in (0u32..).zip(included) {
                let outcome = Outcome::Executed { block: intent.number, index, height };
                outcomes.insert(&hash.0, encode(&outcome).as_slice())?;
            }
            let mut submissions = write.open_table(SUBMISSIONS)?;
            for id in &intent.submissions {
                submissions.insert(id.as_bytes(), height)?;
            }
        }
        write.commit()?;
        self.tip.send_modify(|tip| tip.number = intent.number);
        Ok(())
    }

    /// Takes back every block that needed slices of the height of `to`'s fallback and above, and moves the
    /// cursor there, but not beyond what was held, with the forced messages that were taken in by then. The engine still has the blocks: see
    /// [`has_unwound`](Self::has_unwound). Durable.
    pub fn unwind(&self, to: Cursor) -> Result<(), StoreError> {
        let kept = self.last_below(to.fallback.map_or(to.next, |fallback| fallback.height))?;
        let hold = self.made(kept + 1)?.and_then(|first| first.cursor.hold);
        let to = to.not_beyond(hold);
        let forced = self.made(kept)?.map_or(0, |made| made.cursor.forced);
        let mut write = self.db.begin_write()?;
        write.set_quick_repair(true);
        {
            let mut meta = write.open_table(META)?;
            meta.insert(CURSOR, encode(&Cursor { forced, ..to }).as_slice())?;
            meta.remove(INTENT)?;
            meta.insert(UNWOUND, [].as_slice())?;
            write.open_table(BLOCKS)?.retain_in(kept + 1.., |_, _| false)?;
            let stays = |outcome: Outcome| outcome.stays(kept, to.next);
            let mut outcomes = write.open_table(OUTCOMES)?;
            outcomes.retain(|_, bytes| borsh::from_slice(bytes).is_ok_and(stays))?;
            write.open_table(SUBMISSIONS)?.retain(|_, height| height < to.next)?;
        }
        write.commit()?;
        self.tip.send_modify(|tip| tip.unwind(kept));
        Ok(())
    }

    /// Whether the block after this one was made of something that the fallback takes back which the
    /// cursor has begun.
    pub fn takes_back_after(&self, number: u64, begun: &Cursor) -> Result<bool, StoreError> {
        let height = |cursor: &Cursor| cursor.fallback.map(|fallback| fallback.height);
        let made = self.made(number.saturating_add(1))?;
        Ok(made.is_some_and(|made| height(&made.cursor) != height(begun)))
    }

    /// Whether blocks were taken back that the engine may still have.
    pub fn has_unwound(&self) -> Result<bool, StoreError> {
        let meta = self.db.begin_read()?.open_table(META)?;
        Ok(meta.get(UNWOUND)?.is_some())
    }

    /// The engine has taken back what was taken back here. Durable with what comes next.
    pub fn engine_unwound(&self) -> Result<(), StoreError> {
        let mut write = self.db.begin_write()?;
        write.set_durability(Durability::None)?;
        write.open_table(META)?.remove(UNWOUND)?;
        write.commit()?;
        Ok(())
    }

    /// Makes everything stored so far durable.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut write = self.db.begin_write()?;
        write.set_quick_repair(true);
        write.commit()?;
        Ok(())
    }
}

fn encode<T: BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("borsh into a Vec fails only on lengths above u32::MAX")
}
