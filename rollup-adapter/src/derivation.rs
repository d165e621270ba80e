//! What a rollup takes in next: slices, and in a fallback what L1 says instead (protocol section 10).
//! Pure: L1 blocks and slices come in as values, in order.
//!
//! A rollup's derivation is a function of the slices and of L1's final blocks alone, whatever is known
//! when:
//!
//! 1. Slices are taken in in order of height.
//! 2. A fallback that was activated when the light client's head was L takes back the slices of L
//!    and above. What was kept is what the header of L proves.
//! 3. Then the forced messages for the namespace that are not taken in yet and that were sent before
//!    the next header was posted are taken in, those of each L1 block together.
//! 4. Then slices go on from L. A forced message that was taken in before is left out of its slice.
//! 5. A slice that an atomic bundle's leg heads, and all after it, wait for the decision, which heads a later
//!    one: by that the leg is taken in or left out. If the bundle's slice is below L and no decision on it is,
//!    the fallback takes back all from that slice on. After a fallback, legs of slices whose headers do
//!    not know of it are left out, for they were judged on another state.
//!
//! Who knows of a slice before knowing of the fallback takes it in and takes it back; who knows of
//! the fallback before it has the slices below L takes those in first. Both end at the same place.

use std::collections::VecDeque;

use weft_l1::contracts::ContractEvent;
use weft_l1::provider::Claim;
use weft_types::{
    Address, BidMode, BlockId, Bytes, Decision, Header, Height, L1Event, L1Origin, NamespaceId,
    SliceEntry, TimeMs, TransactionId,
};

use crate::cursor::{Cursor, Fallback, Hold, Settled};
use crate::light::VerifiedSlice;

/// Most bytes of messages that are kept until they are taken in. Those of later L1 blocks are read again
/// when it is their turn.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// What a message takes beside its data, at most.
const MESSAGE_OVERHEAD: usize = 256;
/// Most L1 origins of headers that are remembered while they are not settled. Without a later one, an
/// earlier one does.
const MAX_ORIGINS: usize = 4096;

/// Most holds that are remembered while their decisions are not settled. With more, nothing is settled
/// before all of them are.
const MAX_HOLDS: usize = 4096;

/// What a rollup takes in at once. Only [`Derivation`] makes one.
#[derive(Clone, Debug)]
pub struct Step {
    from: Cursor,
    to: Cursor,
    time_ms: TimeMs,
    entries: Vec<SliceEntry>,
    decision: Option<Decision>,
}

impl Step {
    fn of_l1(from: &Cursor, to: Cursor, time_ms: TimeMs, entries: Vec<SliceEntry>) -> Self {
        Self { from: *from, to, time_ms, entries, decision: None }
    }

    /// Where the rollup has to stand for it.
    pub fn from(&self) -> &Cursor {
        &self.from
    }

    /// Whether a rollup that stands here can take it; `None` if it has taken in nothing.
    pub fn follows(&self, at: Option<&Cursor>) -> bool {
        let from = &self.from;
        at.map_or(from.next == 0 && from.forced == 0, |at| {
            (at.next, at.forced, at.fallback) == (from.next, from.forced, from.fallback)
        })
    }

    /// Where the rollup stands afterwards.
    pub fn to(&self) -> &Cursor {
        &self.to
    }

    /// Its time: that of the slice's header, or of the L1 block whose messages these are. Of no
    /// meaning without entries.
    pub fn time_ms(&self) -> TimeMs {
        self.time_ms
    }

    /// What to execute, in order.
    pub fn entries(&self) -> impl Iterator<Item = &SliceEntry> {
        self.entries.iter()
    }

    /// How the bundle was decided whose leg heads the slice, if one does.
    pub fn decision(&self) -> Option<Decision> {
        self.decision
    }

    /// Whether a fallback begins with it.
    pub fn begins_fallback(&self) -> bool {
        let begun = |cursor: &Cursor| cursor.fallback.map(|fallback| fallback.height);
        begun(&self.from) != begun(&self.to)
    }

    /// Whether there is nothing to execute.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Why L1 cannot be taken in. No contract that is what it should be gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DerivationError {
    /// A fallback from a head that was not posted last.
    #[error("L1 has a fallback from height {actual}, but the header posted last is {posted}")]
    Head {
        /// The head by the fallback.
        actual: Height,
        /// The head by the headers posted.
        posted: Height,
    },
}

/// What is due.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and none is kept")]
pub enum Due {
    /// Another [slice](Derivation::push): there is none at hand that can be taken in.
    Slice,
    /// To take in [the next slice](Derivation::take). All slices up to this height have brought the rollup
    /// where it is then.
    Take(Height),
    /// Slices have to be taken back, to here.
    Unwind(Cursor),
    /// A step that L1 gives: that a fallback begins, or messages.
    L1Step(Step),
    /// The next L1 block: a fallback is on, and all that is known of it is taken in.
    L1,
    /// To read L1 again from what is settled: there was more than is kept.
    L1Again,
}

/// A bundle that holds the rollup: what its executors have to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The bid's transaction.
    pub bundle: TransactionId,
    /// The header of the slice that its leg heads.
    pub header: Header,
    /// The slice's head, which is its leg.
    pub leg: SliceEntry,
}

/// A message for the namespace.
#[derive(Clone, Debug)]
struct Message {
    block: u64,
    time_ms: TimeMs,
    index: u64,
    sender: Address,
    data: Bytes,
}

/// A fallback that L1 has activated.
#[derive(Clone, Copy, Debug)]
struct Activated {
    /// The light client's head at the time.
    height: Height,
    header: BlockId,
    /// The number of the L1 block.
    l1_block: u64,
    /// Once a header was posted: the index of the first message after it.
    end: Option<u64>,
}

/// L1 as far as it is known, and what follows from it.
#[derive(Clone, Debug)]
pub struct Derivation {
    namespace: NamespaceId,
    /// The last fallback that had begun in the beginning.
    begun: Option<Height>,
    /// The last L1 block taken in.
    l1: L1Origin,
    /// The light client's head.
    posted: (Height, BlockId),
    /// Messages of other namespaces are counted, too.
    next_index: u64,
    /// Messages with a lower index are taken in, as far as that is known here.
    forced: u64,
    /// The others, as far as there was room for them.
    messages: VecDeque<Message>,
    bytes: usize,
    room: usize,
    /// Whether there was no room for later ones.
    is_full: bool,
    /// L1 blocks with messages, and the index of the last in each, while they are not settled.
    sent: VecDeque<(u64, u64)>,
    fallbacks: VecDeque<Activated>,
    /// Slices that are not taken in, from the cursor's on. More than one while the first one is held: as
    /// many as the network lets a bundle hold its namespaces, at most.
    ahead: VecDeque<VerifiedSlice>,
    /// Holds that were taken in and whose decisions are not settled.
    holds: VecDeque<Hold>,
    /// Slices below may have been held before this began.
    known_from: Height,
    /// Of slices that were taken in and whose L1 origin is another than that of the one before.
    origins: VecDeque<Origin>,
}

/// The leg of an atomic bundle that heads a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leg {
    /// There is none.
    None,
    /// A fallback has come between it and its decision.
    LeftOut,
    /// It waits.
    Undecided,
    /// What a later slice says.
    Decided { at: Height, decision: Decision },
}

impl Leg {
    /// Whether a head is taken in with its slice.
    fn is_in(&self) -> bool {
        match self {
            Self::None => true,
            Self::Decided { decision, .. } => *decision == Decision::Committed,
            Self::LeftOut | Self::Undecided => false,
        }
    }
}

/// The L1 origin of a slice.
#[derive(Clone, Copy, Debug)]
struct Origin {
    height: Height,
    origin: L1Origin,
    /// Messages with a lower index were taken in with the slice.
    forced: u64,
}

impl Derivation {
    /// Begins where a rollup stands. `genesis` is the id of the genesis block, which counts as posted.
    pub fn new(namespace: NamespaceId, genesis: BlockId, cursor: &Cursor) -> Self {
        Self {
            namespace,
            begun: cursor.fallback.map(|fallback| fallback.height),
            l1: cursor.settled.origin,
            posted: (0, genesis),
            next_index: 0,
            forced: cursor.forced,
            messages: VecDeque::new(),
            bytes: 0,
            room: MAX_MESSAGE_BYTES,
            is_full: false,
            sent: VecDeque::new(),
            fallbacks: VecDeque::new(),
            ahead: VecDeque::new(),
            holds: VecDeque::new(),
            known_from: cursor.needs(),
            origins: VecDeque::new(),
        }
    }

    /// The same with room for so many bytes of messages, and for those of one L1 block in any case.
    #[must_use]
    pub fn with_room(self, bytes: usize) -> Self {
        Self { room: bytes, ..self }
    }

    /// The last L1 block taken in.
    pub fn l1(&self) -> L1Origin {
        self.l1
    }

    /// Whether a slice may be taken in although more is final on L1 than is taken in here: only a
    /// fallback that is not known yet could take it back, and there is none.
    pub fn is_posted(&self, height: Height) -> bool {
        height < self.posted.0
    }

    /// Takes in an L1 block, if it is the next one.
    pub fn take_in(&mut self, block: &Claim) -> Result<(), DerivationError> {
        if block.number != self.l1.number.saturating_add(1) || block.parent != self.l1.hash {
            return Ok(());
        }
        self.l1 = L1Origin { number: block.number, hash: block.hash };
        for event in &block.events {
            match event {
                ContractEvent::Network(L1Event::Posted { height, block, .. }) => {
                    self.posted = (*height, *block);
                    if let Some(last) = self.fallbacks.back_mut() {
                        last.end.get_or_insert(self.next_index);
                    }
                }
                ContractEvent::Network(L1Event::Forced {
                    namespace, index, sender, data, ..
                }) => {
                    self.next_index = index.saturating_add(1);
                    if *namespace == self.namespace {
                        self.keep(Message {
                            block: block.number,
                            time_ms: block.timestamp.saturating_mul(1000),
                            index: *index,
                            sender: *sender,
                            data: data.clone(),
                        });
                    }
                }
                ContractEvent::FallbackActivated { height, .. } => {
                    // Before a fallback has begun no more is settled than its head proves: what was
                    // read began before the posting of that head.
                    let (posted, header) = self.posted;
                    if posted != *height && Some(*height) > self.begun {
                        return Err(DerivationError::Head { actual: *height, posted });
                    }
                    let (height, l1_block) = (*height, block.number);
                    self.fallbacks.push_back(Activated { height, header, l1_block, end: None });
                }
                ContractEvent::Network(_) | ContractEvent::FallbackAnnounced { .. } => {}
            }
        }
        Ok(())
    }

    /// Keeps a message, those of an L1 block all or none.
    fn keep(&mut self, message: Message) {
        match self.sent.back_mut() {
            Some((block, last)) if *block == message.block => *last = message.index,
            _ => {
                self.is_full |= self.bytes >= self.room && message.index >= self.forced;
                self.sent.push_back((message.block, message.index));
            }
        }
        if !self.is_full && message.index >= self.forced {
            self.bytes += message.data.len() + MESSAGE_OVERHEAD;
            self.messages.push_back(message);
        }
    }

    /// What is due at a place.
    pub fn due(&self, at: &Cursor) -> Due {
        let begun = at.fallback.map(|fallback| fallback.height);
        let next = self.fallbacks.iter().find(|fallback| Some(fallback.height) > begun);
        if let Some(next) = next {
            let (height, l1_block) = (next.height, next.l1_block);
            let fallback = Some(Fallback { height, over: false, l1_block });
            if next.height < at.needs() {
                let to = Cursor { next: next.height, header: next.header, fallback, ..*at };
                return Due::Unwind(Cursor { hold: None, ..to.not_beyond(at.hold) });
            }
            if next.height == at.next || self.is_held_until(at, next.height) {
                let to = Cursor { fallback, ..*at };
                return Due::L1Step(Step::of_l1(at, to, 0, Vec::new()));
            }
        }
        if at.is_fallback() {
            let current = self.fallbacks.iter().find(|fallback| Some(fallback.height) == begun);
            // After a restart L1 has to be read again first.
            let Some(current) = current else { return Due::L1 };
            if let Some(step) = self.messages_of(at, current.end) {
                return Due::L1Step(step);
            }
            let is_outstanding = |index: u64| index >= at.forced;
            let last_sent = self.sent.back().map(|(_, index)| *index);
            let last_kept = self.messages.back().map(|message| message.index);
            if last_sent.is_some_and(is_outstanding) && !last_kept.is_some_and(is_outstanding) {
                return Due::L1Again;
            }
            if current.end.is_none() {
                return Due::L1;
            }
        }
        match self.ahead.front() {
            None => Due::Slice,
            Some(first) => match self.leg(at) {
                Leg::None | Leg::LeftOut => {
                    Due::Take(at.needs().saturating_sub(1).max(first.height()))
                }
                Leg::Decided { at: height, .. } => Due::Take(height),
                Leg::Undecided => Due::Slice,
            },
        }
    }

    /// The leg of an atomic bundle that heads the next slice at hand.
    fn leg(&self, at: &Cursor) -> Leg {
        let mut slices = self.ahead.iter();
        let Some(first) = slices.next() else { return Leg::None };
        let Some(SliceEntry::Head { mode: BidMode::Atomic, transaction, .. }) =
            first.entries().first()
        else {
            return Leg::None;
        };
        let origin = first.header().l1_origin.number;
        if at.fallback.is_some_and(|fallback| origin < fallback.l1_block) {
            return Leg::LeftOut;
        }
        let decided = slices.find_map(|slice| match slice.entries().first() {
            Some(SliceEntry::Decision { bundle, decision }) if bundle == transaction => {
                Some(Leg::Decided { at: slice.height(), decision: *decision })
            }
            _ => None,
        });
        decided.unwrap_or(Leg::Undecided)
    }

    /// Whether the next slice at hand is held, and it is certain that no slice below a height has the
    /// decision.
    fn is_held_until(&self, at: &Cursor, height: Height) -> bool {
        match self.leg(at) {
            Leg::None | Leg::LeftOut => false,
            Leg::Decided { at, .. } => at >= height,
            Leg::Undecided => self.ahead.back().is_some_and(|last| last.height() + 1 >= height),
        }
    }

    /// The bundle that holds the rollup where it stands, if one does and is not decided as far as slices
    /// are at hand.
    pub fn held(&self, at: &Cursor) -> Option<TransactionId> {
        if at.is_fallback() || self.leg(at) != Leg::Undecided {
            return None;
        }
        self.ahead.front()?.entries().first()?.transaction()
    }

    /// What is to be judged of that, once L1 is read as far as the header knows of it: a fallback that has
    /// begun there is known then, and what is judged is not a state that it takes back.
    pub fn case(&self, at: &Cursor) -> Option<Case> {
        let bundle = self.held(at)?;
        let first = self.ahead.front()?;
        if self.l1.number < first.header().l1_origin.number {
            return None;
        }
        let leg = first.entries().first()?.clone();
        Some(Case { bundle, header: *first.header(), leg })
    }

    /// Takes the slice of [the next height](Self::next_height).
    pub fn push(&mut self, slice: VerifiedSlice) {
        self.ahead.push_back(slice);
    }

    /// The height of the slice to push next.
    pub fn next_height(&self, at: &Cursor) -> Height {
        self.ahead.back().map_or(at.next, |last| last.height().saturating_add(1))
    }

    /// The messages of the first L1 block that has some that are not taken in.
    fn messages_of(&self, at: &Cursor, end: Option<u64>) -> Option<Step> {
        let outstanding = |message: &&Message| {
            message.index >= at.forced && end.is_none_or(|end| message.index < end)
        };
        let mut messages = self.messages.iter().filter(outstanding).peekable();
        let (block, time_ms) = messages.peek().map(|first| (first.block, first.time_ms))?;
        let mut forced = at.forced;
        let mut entries = Vec::new();
        for message in messages.take_while(|message| message.block == block) {
            forced = message.index.saturating_add(1);
            let &Message { index, sender, ref data, .. } = message;
            entries.push(SliceEntry::Forced { index, sender, data: data.clone() });
        }
        Some(Step::of_l1(at, Cursor { forced, ..*at }, time_ms, entries))
    }

    /// Takes in the slice of the cursor's height, when it is [due](Due::Take).
    pub fn take(&mut self, at: &Cursor) -> Option<Step> {
        let leg = self.leg(at);
        let slice = self.ahead.pop_front()?;
        let (height, time_ms, origin) = (slice.height(), slice.time_ms(), slice.header().l1_origin);
        let mut to = Cursor { next: height.saturating_add(1), header: slice.child(), ..*at };
        to.hold = to.hold.filter(|hold| height < hold.decided);
        if let Leg::Decided { at: decided, .. } = leg {
            let hold = Hold { height, header: at.header, decided };
            to.hold = Some(hold);
            if self.holds.len() < MAX_HOLDS {
                self.holds.push_back(hold);
            } else {
                self.known_from = to.needs();
            }
        }
        if let Some(fallback) = &mut to.fallback {
            fallback.over = true;
        }
        let mut entries = Vec::new();
        for entry in slice.into_entries() {
            match &entry {
                SliceEntry::Decision { .. } => continue,
                SliceEntry::Head { .. } if !leg.is_in() => continue,
                SliceEntry::Forced { index, .. } if *index < at.forced => continue,
                SliceEntry::Forced { index, .. } => to.forced = index.saturating_add(1),
                SliceEntry::Head { .. }
                | SliceEntry::Submission { .. }
                | SliceEntry::Leg { .. } => {}
            }
            entries.push(entry);
        }
        let known = self.origins.back().map_or(at.settled.origin, |known| known.origin);
        if origin.number > known.number && self.origins.len() < MAX_ORIGINS {
            let forced = to.forced;
            self.origins.push_back(Origin { height, origin, forced });
        }
        let decision = match leg {
            Leg::Decided { decision, .. } => Some(decision),
            Leg::None | Leg::LeftOut | Leg::Undecided => None,
        };
        Some(Step { from: *at, to, time_ms, entries, decision })
    }

    /// What is settled at a place where nothing has to be taken back, if that is more than before.
    /// Forgets what is not needed any more.
    pub fn settle(&mut self, at: &Cursor) -> Option<Settled> {
        let begun = at.fallback.map(|fallback| fallback.height);
        let next = self.fallbacks.iter().find(|fallback| Some(fallback.height) > begun);
        let most = next.map_or(Height::MAX, |next| next.height);
        let posted = self.posted.0;
        let mut below = posted.min(at.next).min(most);
        if posted < self.known_from {
            below = below.min(at.settled.below);
        }
        let is_open = |hold: &&Hold| hold.height < posted && posted <= hold.decided;
        if let Some(hold) = self.holds.iter().find(is_open) {
            below = below.min(hold.height);
        }
        while self.holds.pop_front_if(|hold| hold.decided < posted).is_some() {}
        let mut settled = at.settled;
        settled.below = settled.below.max(below);
        while let Some(next) = self.origins.pop_front_if(|next| next.height < below) {
            // A message that the network has left out, as of a namespace that there was not, is not
            // taken in before a later one is: it has to be read again after a restart.
            let sent = self.sent.partition_point(|(block, _)| *block <= next.origin.number);
            let last = sent.checked_sub(1).and_then(|at| self.sent.get(at));
            if last.is_none_or(|(_, index)| *index < next.forced) {
                settled.origin = next.origin;
            }
        }
        self.forced = at.forced;
        while let Some(message) = self.messages.pop_front_if(|message| message.index < at.forced) {
            self.bytes -= message.data.len() + MESSAGE_OVERHEAD;
        }
        let all_taken_in = self.sent.back().is_none_or(|(_, index)| *index < at.forced);
        self.is_full &= !all_taken_in;
        if settled == at.settled {
            return None;
        }
        let origin = settled.origin.number;
        while self.sent.pop_front_if(|(block, _)| *block <= origin).is_some() {}
        let is_past = |fallback: &mut Activated| {
            Some(fallback.height) < begun || (Some(fallback.height) == begun && !at.is_fallback())
        };
        while self.fallbacks.pop_front_if(is_past).is_some() {}
        Some(settled)
    }
}
