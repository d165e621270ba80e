//! A world of drivers: a seeded network, disks, and an idealised engine.
//!
//! The engine here is no Tendermint. It decides a value once members with a quorum of seats were
//! told that it is valid, changes rounds on a timer, and brings whoever missed a decision up to
//! date by sync. That is what the driver may rely on; everything else is the driver's.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use weft_consensus::Tip;
use weft_consensus::driver::{Boot, Driver, Effect, Input, Now, StoredBlock, SyncVerdict, Timing};
use weft_consensus::follow::{Delivery, follow};
use weft_consensus::leader::Rotation;
use weft_types::evidence::Evidence;
use weft_types::genesis::{Allocation, Stake};
use weft_types::*;

use super::l1::{L1, L1View};
use super::support::cramped;

pub(crate) const CHAIN: u64 = 77;
const START_MS: u64 = 1_790_000_000_000;
const ROUND_MS: u64 = 600;
/// Most transactions in a batch: two such batches fill the smaller blocks.
const MOST_IN_BATCH: usize = 3;

/// A small seeded generator (SplitMix64): the same seed gives the same world.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// How a node departs from the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sin {
    /// Signs two batches for each place and shows one to each half of the others.
    EquivocatingAuthor,
    /// Shows each batch to one other validator only.
    WithholdingAuthor,
    /// Signs two observations for each height and shows one to each half.
    EquivocatingObserver,
    /// Proposes blocks with this fault.
    Proposer(Fault),
}

/// What a bad proposer does to its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Leaves out the batches that its observations order.
    DropsBatches,
    /// Orders a batch that its observations do not.
    AddsBatch,
    /// Sets the clock back.
    BackDates,
    /// Embeds fewer than a quorum.
    TooFewObservers,
    /// Claims another outcome of the parent.
    LiesAboutOutcome,
    /// Moves the L1 origin.
    MovesOrigin,
    /// Leaves the L1 origin where it was.
    HoldsOrigin,
    /// Leaves out what L1 brings.
    DropsEvents,
}

enum Event {
    Input(usize, Input),
    /// From a node's own disk or engine: lost when it crashes.
    Local(usize, u64, Input),
    /// Look at the node's next wakeup.
    Wake(usize),
    /// The round of a height ends undecided.
    RoundOver(Height, u32),
    /// Ask a node again for a batch.
    Fetch(usize, u64, BatchDigest, Vec<usize>),
    FetchObservation(usize, u64, ObservationHash),
    /// Ask a node again for events of L1.
    FetchEvents(usize, u64, EventsDigest, Vec<usize>),
    /// A node looks at L1.
    LookAtL1(usize),
    /// A node that is no validator takes in what has been decided.
    Follow(usize),
    Restart(usize),
    /// A user submits.
    Submit(usize),
}

pub(crate) struct Node {
    pub(crate) driver: Option<Driver>,
    /// Where it is while it is up and no validator.
    pub(crate) follows: Option<Tip>,
    pub(crate) sin: Option<Sin>,
    pub(crate) key: SecretKey,
    pub(crate) delivered: Vec<Delivery>,
    pub(crate) evidence: Vec<Evidence>,
    mempool: VecDeque<Verified<Transaction>>,
    incarnation: u32,
    epoch: u64,
    /// Height the engine runs, if any.
    running: Option<Height>,
    disk: BTreeMap<BlockId, StoredBlock>,
    /// Observations it signed, to check that it never signs two.
    observed: BTreeMap<Height, ObservationHash>,
    clock_skew: i64,
    wake_at: Option<u64>,
    /// How often it gave up what it was fetching.
    fetches: u64,
}

#[derive(Default)]
struct Consensus {
    round: u32,
    /// Members told that a value is valid.
    valid: BTreeMap<BlockId, BTreeSet<u16>>,
    invalid: BTreeMap<BlockId, BTreeSet<u16>>,
    rotation: Option<Rotation>,
    members: Vec<Member>,
    proposed: BTreeMap<u32, ProposedBlock>,
}

pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    pub(crate) genesis: Genesis,
    max_block_bytes: u32,
    pub(crate) random: Random,
    pub(crate) now: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, (u64, Event)>,
    sequence: u64,
    heights: BTreeMap<Height, Consensus>,
    pub(crate) decided: BTreeMap<Height, (StoredBlock, Certificate)>,
    pub(crate) submitted: BTreeSet<TransactionId>,
    /// Proposals that some honest member was told are invalid.
    pub(crate) refused: BTreeSet<BlockId>,
    /// Pairs of nodes that cannot hear each other.
    pub(crate) cut: BTreeSet<(usize, usize)>,
    submissions: u64,
    user: SecretKey,
    pub(crate) l1: Option<L1>,
}

pub(crate) fn timing() -> Timing {
    Timing {
        heartbeat: Duration::from_secs(1),
        gather: Duration::from_millis(80),
        linger: Duration::from_millis(30),
        bid_window: Duration::ZERO,
        empty_after: Duration::from_millis(200),
    }
}

impl World {
    pub(crate) fn new(seed: u64, nodes: usize, sins: &[(usize, Sin)]) -> Self {
        Self::with(seed, nodes, sins, |_| {})
    }

    /// A network that knows L1, and how each node sees that.
    pub(crate) fn with_l1(seed: u64, views: &[L1View], sins: &[(usize, Sin)]) -> Self {
        let mut world = Self::with(seed, views.len(), sins, knows_l1);
        world.look_at_l1(views, Vec::new());
        world
    }

    /// A network of epochs of a second and a half with four seats, which go first to the first four
    /// of the nodes, and then to who has a stake by what L1 says.
    pub(crate) fn with_epochs(seed: u64, nodes: usize, stakes: Vec<(u64, usize, Wei)>) -> Self {
        let mut world = Self::with(seed, nodes, &[], |genesis| {
            knows_l1(genesis);
            genesis.params.epoch_ms = 1_500;
            genesis.params.committee_size = 4;
            genesis.validators.truncate(4);
            let stake = |member: &Member| Stake { validator: member.address, stake: 32 };
            genesis.stakes = genesis.validators.iter().map(stake).collect();
        });
        let event = |(block, node, stake): (u64, usize, Wei)| {
            let validator = world.nodes[node].key.address();
            (block, L1Event::Stake { validator, stake })
        };
        let stakes = stakes.into_iter().map(event).collect();
        world.look_at_l1(&vec![L1View::Honest; nodes], stakes);
        world
    }

    fn look_at_l1(&mut self, views: &[L1View], stakes: Vec<(u64, L1Event)>) {
        self.l1 = Some(L1 { views: views.to_vec(), stakes });
        for node in 0..self.nodes.len() {
            let delay = 1 + self.random.below(100);
            self.after(delay, Event::LookAtL1(node));
        }
    }

    fn with(
        seed: u64,
        nodes: usize,
        sins: &[(usize, Sin)],
        change: impl FnOnce(&mut Genesis),
    ) -> Self {
        let mut keys: Vec<SecretKey> =
            (1..=nodes).map(|i| SecretKey::from_bytes([i as u8; 32]).unwrap()).collect();
        keys.sort_by_key(SecretKey::address);
        let user = SecretKey::from_bytes([200; 32]).unwrap();
        let settings = NamespaceSettings {
            owner: user.address(),
            revenue_recipient: user.address(),
            submitters: Submitters::Anyone,
            quota: None,
            auction: None,
            atomic: None,
        };
        let mut genesis = Genesis {
            chain_id: CHAIN,
            time_ms: START_MS,
            l1_origin: L1Origin::default(),
            l1: None,
            params: Params { absence_window: 6, ..Params::default() },
            validators: keys.iter().map(|k| Member { address: k.address(), seats: 1 }).collect(),
            stakes: Vec::new(),
            accounts: vec![Allocation { address: user.address(), balance: 1 << 100 }],
            namespaces: vec![genesis::GenesisNamespace { namespace: NamespaceId(1), settings }],
        };
        change(&mut genesis);
        let mut random = Random(seed);
        let nodes = keys
            .into_iter()
            .enumerate()
            .map(|(i, key)| Node {
                driver: None,
                follows: None,
                sin: sins.iter().find(|(node, _)| *node == i).map(|(_, sin)| *sin),
                key,
                delivered: Vec::new(),
                evidence: Vec::new(),
                mempool: VecDeque::new(),
                incarnation: 0,
                epoch: 0,
                running: None,
                disk: BTreeMap::new(),
                observed: BTreeMap::new(),
                clock_skew: random.below(40) as i64 - 20,
                wake_at: None,
                fetches: 0,
            })
            .collect();
        let mut world = Self {
            nodes,
            genesis,
            // In every other network two batches or so fill a block, and others are cut off.
            max_block_bytes: if seed.is_multiple_of(2) { 1_300 } else { 1 << 21 },
            random,
            now: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            heights: BTreeMap::new(),
            decided: BTreeMap::new(),
            submitted: BTreeSet::new(),
            refused: BTreeSet::new(),
            cut: BTreeSet::new(),
            submissions: 0,
            user,
            l1: None,
        };
        for i in 0..world.nodes.len() {
            world.start(i);
        }
        world
    }

    /// Submits so many transactions to random nodes over the next `over_ms`.
    pub(crate) fn load(&mut self, count: u64, over_ms: u64) {
        for _ in 0..count {
            let at = self.random.below(over_ms);
            let node = self.random.below(self.nodes.len() as u64) as usize;
            self.after(at, Event::Submit(node));
        }
    }

    /// Gives a misbehaving node transactions of its own to spread.
    pub(crate) fn sinner_submits(&mut self, node: usize, count: u64) {
        for i in 0..count {
            let body = TransactionBody {
                chain_id: CHAIN,
                valid_until: START_MS + self.now + 60_000,
                salt: u64::MAX - i,
                max_fee: 1 << 60,
                payload: Payload::Transfer { to: Address::ZERO, amount: 1 },
            };
            let tx = Unverified::new(Signed::new(body, CHAIN, &self.user)).verify(CHAIN).unwrap();
            self.nodes[node].mempool.push_back(tx);
        }
        self.after(200, Event::Input(node, Input::Mempool { now: 200, ahead: 0 }));
    }

    /// Runs for so long.
    pub(crate) fn run(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some(Reverse((at, id))) = self.queue.peek().copied() {
            if at > until {
                break;
            }
            self.queue.pop();
            self.now = at;
            if let Some((_, event)) = self.events.remove(&id) {
                self.handle(event);
            }
        }
        self.now = until;
    }

    /// Kills a node and starts it again after a while.
    pub(crate) fn crash(&mut self, node: usize, down_ms: u64) {
        let node_state = &mut self.nodes[node];
        node_state.driver = None;
        node_state.follows = None;
        node_state.running = None;
        node_state.epoch += 1;
        node_state.fetches += 1;
        node_state.mempool.clear();
        self.after(down_ms, Event::Restart(node));
    }

    /// What every honest node must agree on, and what was promised to users.
    pub(crate) fn check(&self, all_ordered: bool) {
        let mut executed = BTreeMap::new();
        for (i, node) in self.nodes.iter().enumerate() {
            let (mut seen, mut forced) = (BTreeSet::new(), 0);
            for (height, delivery) in (1..).zip(&node.delivered) {
                assert_eq!(delivery.header.height, height, "node {i} skips no height");
                let (block, _) = &self.decided[&height];
                assert_eq!(delivery.id, block.value.header.id(), "node {i}, height {height}");
                let outcome = executed.entry(height).or_insert(delivery.applied.outcome);
                assert_eq!(*outcome, delivery.applied.outcome, "node {i}, height {height}");
                for slice in &delivery.applied.slices {
                    for entry in &slice.entries {
                        match entry {
                            SliceEntry::Submission { transaction, .. } => {
                                assert!(
                                    seen.insert(*transaction),
                                    "{transaction} is ordered twice"
                                );
                            }
                            SliceEntry::Decision { .. }
                            | SliceEntry::Head { .. }
                            | SliceEntry::Leg { .. } => {
                                panic!("nobody bids")
                            }
                            SliceEntry::Forced { index, .. } => {
                                assert_eq!(*index, forced, "messages come in turn, once each");
                                forced += 1;
                            }
                        }
                    }
                }
                let origin = delivery.header.l1_origin;
                assert_eq!(
                    origin.hash,
                    L1::hash(origin.number),
                    "height {height} is off the L1 chain"
                );
                assert_eq!(forced, origin.number / 3, "all that are due by height {height}");
            }
            if all_ordered {
                let lost: Vec<_> = self.submitted.difference(&seen).collect();
                assert!(
                    lost.is_empty(),
                    "node {i} never saw {} of {}: {}",
                    lost.len(),
                    self.submitted.len(),
                    self.dump()
                );
            }
        }
    }

    /// Where everybody is, for a failed test's message.
    pub(crate) fn dump(&self) -> String {
        let next = self.height() + 1;
        let engine = self
            .heights
            .get(&next)
            .map(|c| format!("round {}, valid {:?}, invalid {:?}", c.round, c.valid, c.invalid));
        let mut text = format!("height {next}, engine {engine:?}");
        for (i, node) in self.nodes.iter().enumerate() {
            let driver = node.driver.as_ref().map(|driver| {
                (driver.tip().next_height(), driver.round(), driver.observations().firsts().len())
            });
            let waiting = node.mempool.len();
            text += &format!(
                "; node {i}: runs {:?}, driver {driver:?}, {waiting} waiting",
                node.running
            );
        }
        text
    }

    pub(crate) fn height(&self) -> Height {
        self.decided.keys().next_back().copied().unwrap_or(0)
    }

    /// Blocks without observations so far.
    pub(crate) fn empty_blocks(&self) -> usize {
        self.decided.values().filter(|(block, _)| block.value.is_empty()).count()
    }

    fn start(&mut self, i: usize) {
        let genesis = &self.genesis;
        let node = &mut self.nodes[i];
        let mut tip = cramped(genesis, self.max_block_bytes);
        // What a node does when it starts: run its log through the ledger.
        for delivery in &node.delivered {
            let block = self.decided[&delivery.header.height].0.clone();
            follow(&mut tip, block, delivery.certificate.clone()).unwrap();
        }
        let next = tip.next_height();
        let first_start = node.incarnation == 0;
        node.incarnation += 1;
        let undecided =
            node.disk.values().filter(|block| block.value.header.height == next).cloned().collect();
        if tip.committee().index_of(&node.key.address()).is_none() {
            node.follows = Some(tip);
            self.after(1, Event::Follow(i));
            return;
        }
        let silent_through = if first_start { 0 } else { next };
        self.take_part(i, tip, silent_through, undecided, !first_start);
    }

    fn take_part(
        &mut self,
        i: usize,
        tip: Tip,
        silent_through: Height,
        undecided: Vec<StoredBlock>,
        resuming: bool,
    ) {
        let node = &mut self.nodes[i];
        let (key, incarnation) = (node.key.clone(), node.incarnation);
        let boot = Boot { tip, key, incarnation, silent_through, undecided, resuming };
        node.driver = Some(Driver::new(timing(), boot));
        self.input(i, Input::EngineReady);
    }

    /// A node that is no validator takes in what has been decided, and takes part once it is one.
    fn follow(&mut self, i: usize) {
        let node = &mut self.nodes[i];
        let Some(mut tip) = node.follows.take() else { return };
        while let Some((block, certificate)) = self.decided.get(&tip.next_height()).cloned() {
            node.delivered.push(follow(&mut tip, block, certificate).unwrap());
            if tip.committee().index_of(&node.key.address()).is_some() {
                let silent_through = node.observed.keys().next_back().copied().unwrap_or(0);
                node.incarnation += 1;
                self.take_part(i, tip, silent_through, Vec::new(), false);
                return;
            }
        }
        node.follows = Some(tip);
        self.after(40, Event::Follow(i));
    }

    /// A validator that is none any more hands on what it has, and follows.
    fn leave(&mut self, i: usize, batches: &[Arc<Verified<Batch>>]) {
        let node = &mut self.nodes[i];
        let Some(driver) = node.driver.take() else { return };
        let tip = driver.tip().clone();
        let mut left: Vec<_> = node.mempool.drain(..).collect();
        for batch in batches {
            let again = batch.body.transactions.iter().cloned().map(Unverified::new);
            left.extend(again.map(|tx| tx.verify(CHAIN).unwrap()));
        }
        node.epoch += 1;
        node.fetches += 1;
        let member = tip.committee().members()[0].address;
        node.follows = Some(tip);
        self.after(1, Event::Follow(i));
        let heir = self.node_of(&member);
        self.nodes[heir].mempool.extend(left);
        let bytes = self.nodes[heir].mempool.len() * 200;
        self.after(5, Event::Input(heir, Input::Mempool { now: bytes, ahead: 0 }));
    }

    fn node_of(&self, validator: &Address) -> usize {
        self.nodes.iter().position(|node| node.key.address() == *validator).unwrap()
    }

    fn after(&mut self, delay: u64, event: Event) {
        self.sequence += 1;
        let at = self.now + delay;
        self.events.insert(self.sequence, (at, event));
        self.queue.push(Reverse((at, self.sequence)));
    }

    /// Gives a node an input from its own disk or engine.
    fn local(&mut self, delay: u64, node: usize, input: Input) {
        let epoch = self.nodes[node].epoch;
        self.after(delay, Event::Local(node, epoch, input));
    }

    /// Sends an input to a node over the network.
    fn send(&mut self, from: usize, to: usize, input: Input) {
        if from == to || self.cut.contains(&(from.min(to), from.max(to))) {
            return;
        }
        let delay = 1 + self.random.below(15);
        self.after(delay, Event::Input(to, input));
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Input(node, input) => self.input(node, input),
            Event::Local(node, epoch, input) if epoch == self.nodes[node].epoch => {
                self.input(node, input);
            }
            Event::Local(..) => {}
            Event::Wake(node) => self.input(node, Input::Tick),
            Event::RoundOver(height, round) => self.next_round(height, round),
            Event::Fetch(node, turn, digest, from) => self.fetch(node, turn, digest, from),
            Event::FetchObservation(node, turn, hash) => {
                self.fetch_observation(node, turn, hash);
            }
            Event::FetchEvents(node, turn, digest, from) => {
                self.fetch_events(node, turn, digest, from);
            }
            Event::LookAtL1(node) => self.look(node),
            Event::Follow(node) => self.follow(node),
            Event::Restart(node) => self.start(node),
            Event::Submit(node) => self.submit(node),
        }
    }

    fn submit(&mut self, node: usize) {
        self.submissions += 1;
        let body = TransactionBody {
            chain_id: CHAIN,
            valid_until: START_MS + self.now + 60_000,
            salt: self.submissions,
            max_fee: 1 << 60,
            payload: Payload::Submit {
                namespace: NamespaceId(1),
                data: vec![Bytes::from(self.submissions.to_be_bytes().to_vec())],
            },
        };
        let tx = Unverified::new(Signed::new(body, CHAIN, &self.user)).verify(CHAIN).unwrap();
        // A node that is down or bad answers no submissions; the user tries elsewhere.
        if self.nodes[node].driver.is_none() || self.nodes[node].sin.is_some() {
            return;
        }
        self.submitted.insert(tx.witness().id);
        self.nodes[node].mempool.push_back(tx);
        let bytes = self.nodes[node].mempool.len() * 200;
        self.input(node, Input::Mempool { now: bytes, ahead: 0 });
    }

    fn input(&mut self, i: usize, input: Input) {
        let wall_ms = (START_MS + self.now).saturating_add_signed(self.nodes[i].clock_skew);
        let now = Now { wall_ms, mono: Duration::from_millis(self.now) };
        let mut todo = VecDeque::from([input]);
        while let Some(input) = todo.pop_front() {
            let Some(driver) = &mut self.nodes[i].driver else { return };
            for effect in driver.step(now, input) {
                self.effect(i, effect, &mut todo);
            }
        }
        if let Some(at) = driver_wakeup(&self.nodes[i]) {
            let delay = at.saturating_sub(self.now).max(1);
            if self.nodes[i].wake_at.is_none_or(|due| due <= self.now || due > self.now + delay) {
                self.nodes[i].wake_at = Some(self.now + delay);
                self.after(delay, Event::Wake(i));
            }
        }
    }

    fn effect(&mut self, i: usize, effect: Effect, todo: &mut VecDeque<Input>) {
        match effect {
            Effect::StartHeight { height, committee, rotation } => {
                self.engine_start(i, height, &committee, rotation);
            }
            Effect::Propose { height, round, value } => self.propose(i, height, round, value),
            Effect::Answer { height, value, verdict, .. } => {
                let id = value.header.id();
                let Some(consensus) = self.heights.get_mut(&height) else { return };
                let told =
                    if verdict.is_ok() { &mut consensus.valid } else { &mut consensus.invalid };
                told.entry(id).or_default().insert(i as u16);
                if verdict.is_err() {
                    self.refused.insert(id);
                }
                self.try_decide(height);
            }
            Effect::AnswerSync { ticket, verdict, .. } => {
                if verdict == SyncVerdict::Valid {
                    let (_, certificate) = self.decided[&ticket].clone();
                    self.local(1, i, Input::Decided(certificate));
                    self.local(1, i, Input::EngineReady);
                }
            }
            Effect::Persist(id, block) => {
                self.nodes[i].disk.insert(id, block);
                let epoch_delay = 1 + self.random.below(4);
                self.local(epoch_delay, i, Input::Persisted(id));
            }
            Effect::Commit(certificate) => {
                let delay = 1 + self.random.below(4);
                self.local(delay, i, Input::Committed(certificate.height));
            }
            Effect::Deliver(delivery) => {
                let node = &mut self.nodes[i];
                node.running = None;
                let height = delivery.header.height;
                node.disk.retain(|_, block| block.value.header.height > height);
                node.delivered.push(*delivery);
            }
            Effect::Leave(batches) => self.leave(i, &batches),
            Effect::Seal { lane, seq, parent, .. } => {
                let node = &mut self.nodes[i];
                let count = node.mempool.len().min(MOST_IN_BATCH);
                let transactions: Vec<_> = node.mempool.drain(..count).collect();
                let left = node.mempool.len() * 200;
                let sealed = (!transactions.is_empty()).then(|| {
                    Arc::new(
                        batch::seal(lane, seq, parent, transactions, CHAIN, &node.key).unwrap(),
                    )
                });
                todo.push_front(Input::Sealed(sealed));
                todo.push_back(Input::Mempool { now: left, ahead: 0 });
            }
            Effect::PushBatch(batch) => self.push_batch(i, batch),
            Effect::PushObservation(observation) => self.push_observation(i, observation),
            Effect::FetchBatches(wanted) => {
                let turn = self.nodes[i].fetches;
                for (digest, namers) in wanted {
                    let from = self.first_of_all(i, &namers);
                    self.after(5, Event::Fetch(i, turn, digest, from));
                }
            }
            Effect::FetchEvents(wanted) => {
                let turn = self.nodes[i].fetches;
                for (digest, namers) in wanted {
                    let from = self.first_of_all(i, &namers);
                    self.after(5, Event::FetchEvents(i, turn, digest, from));
                }
            }
            Effect::FetchObservations { hashes, .. } => {
                let turn = self.nodes[i].fetches;
                for hash in hashes {
                    self.after(5, Event::FetchObservation(i, turn, hash));
                }
            }
            Effect::Keep(evidence) => {
                evidence.verify(CHAIN).expect("evidence proves something");
                self.nodes[i].evidence.push(evidence);
            }
            Effect::StopFetching => self.nodes[i].fetches += 1,
            Effect::Expected(_) => {}
            Effect::Halt(reason) => panic!("node {i}: {reason}"),
        }
    }

    /// All nodes, members of these indices first.
    fn first_of_all(&self, i: usize, members: &[u16]) -> Vec<usize> {
        let committee = self.nodes[i].driver.as_ref().unwrap().tip().committee();
        let first = members.iter().map(|m| self.node_of(&committee.get(*m).unwrap().address));
        let mut nodes: Vec<usize> = first.collect();
        nodes.extend((0..self.nodes.len()).filter(|n| !nodes.contains(n)).collect::<Vec<_>>());
        nodes
    }

    /// A node proposes junk to all others, in more rounds than anybody keeps proposals of.
    pub(crate) fn flood_proposals(&mut self, from: usize) {
        let Some(driver) = &self.nodes[from].driver else { return };
        let tip = driver.tip();
        let height = tip.next_height();
        let mut header = tip.header;
        (header.height, header.parent) = (height, tip.id);
        for junk in 0..40 {
            header.time_ms += 1;
            let value = ProposedBlock { header, observations: Vec::new() };
            for to in (0..self.nodes.len()).filter(|to| *to != from) {
                self.show(from, to, height, junk / 2, value.clone());
                self.show(from, to, height + 1, junk / 2, value.clone());
            }
        }
    }

    fn next_height(&self, i: usize) -> Height {
        self.nodes[i].driver.as_ref().map_or(0, |driver| driver.tip().next_height())
    }

    fn push_batch(&mut self, i: usize, batch: Arc<Verified<Batch>>) {
        for to in 0..self.nodes.len() {
            let shown = match self.nodes[i].sin {
                Some(Sin::WithholdingAuthor) => {
                    (to == (i + 1) % self.nodes.len()).then(|| batch.clone())
                }
                Some(Sin::EquivocatingAuthor) if to % 2 == 1 => {
                    let mut body = batch.body.clone();
                    body.transactions.push(body.transactions[0].clone());
                    let other = Signed::new(body, CHAIN, &self.nodes[i].key);
                    Some(Arc::new(Unverified::new(other).verify(CHAIN).unwrap()))
                }
                _ => Some(batch.clone()),
            };
            if let Some(batch) = shown {
                self.send(i, to, Input::Batch(batch));
            }
        }
    }

    fn push_observation(&mut self, i: usize, observation: Observation) {
        let committee = self.nodes[i].driver.as_ref().unwrap().tip().committee().clone();
        let hash = observation.body.hash();
        let before = self.nodes[i].observed.insert(observation.body.height, hash);
        assert!(before.is_none(), "node {i} observes {} twice", observation.body.height);
        for to in 0..self.nodes.len() {
            let mut shown = observation.clone();
            if self.nodes[i].sin == Some(Sin::EquivocatingObserver) && to % 2 == 1 {
                shown.body.clock_ms += 1;
                shown = Signed::new(shown.body, CHAIN, &self.nodes[i].key);
            }
            let shown = Unverified::new(shown).verify((CHAIN, &committee)).unwrap();
            self.send(i, to, Input::Observation(shown, Arc::new(committee.clone())));
        }
    }

    fn look(&mut self, node: usize) {
        let Some(l1) = &self.l1 else { return };
        if let Some(driver) = &self.nodes[node].driver {
            let seen = l1.seen(node, self.now, driver.tip().header.l1_origin);
            self.input(node, Input::L1(seen));
        }
        self.after(100, Event::LookAtL1(node));
    }

    fn fetch_events(&mut self, node: usize, turn: u64, digest: EventsDigest, mut from: Vec<usize>) {
        if self.nodes[node].fetches != turn || self.nodes[node].driver.is_none() {
            return;
        }
        let held = self.nodes[from[0]].driver.as_ref().and_then(|d| d.l1_events(&digest).cloned());
        if let Some(events) = held {
            self.send(from[0], node, Input::Events(events));
        }
        from.rotate_left(1);
        self.after(40, Event::FetchEvents(node, turn, digest, from));
    }

    fn fetch(&mut self, node: usize, turn: u64, digest: BatchDigest, mut from: Vec<usize>) {
        if self.nodes[node].fetches != turn || self.nodes[node].driver.is_none() {
            return;
        }
        let Some(first) = from.first().copied() else { return };
        let found = self.nodes[first]
            .driver
            .as_ref()
            .filter(|_| self.nodes[first].sin != Some(Sin::WithholdingAuthor))
            .and_then(|driver| driver.batch(&digest).cloned());
        if let Some(batch) = found {
            self.send(first, node, Input::Batch(batch));
        }
        from.rotate_left(1);
        self.after(40, Event::Fetch(node, turn, digest, from));
    }

    fn fetch_observation(&mut self, node: usize, turn: u64, hash: ObservationHash) {
        if self.nodes[node].fetches != turn || self.nodes[node].driver.is_none() {
            return;
        }
        let height = self.next_height(node);
        for from in 0..self.nodes.len() {
            let Some(driver) = &self.nodes[from].driver else { continue };
            if driver.tip().next_height() != height {
                continue;
            }
            if let Some(observation) = driver.observations().get(&hash).cloned() {
                let committee = Arc::new(driver.tip().committee().clone());
                self.send(from, node, Input::Observation(observation, committee));
            }
        }
        self.after(60, Event::FetchObservation(node, turn, hash));
    }

    // The idealised engine.

    fn engine_start(
        &mut self,
        i: usize,
        height: Height,
        committee: &Committee,
        rotation: Rotation,
    ) {
        self.nodes[i].running = Some(height);
        if let Some((block, _)) = self.decided.get(&height).cloned() {
            let delay = 1 + self.random.below(30);
            self.local(delay, i, Input::Synced { ticket: height, block });
            return;
        }
        let consensus = self.heights.entry(height).or_default();
        let first = consensus.rotation.is_none();
        consensus.rotation.get_or_insert(rotation);
        if first {
            consensus.members = committee.members().to_vec();
        }
        assert_eq!(consensus.members, committee.members(), "node {i} knows another committee");
        let round = consensus.round;
        if first {
            self.after(ROUND_MS, Event::RoundOver(height, round));
        }
        self.enter(i, height, round);
    }

    fn enter(&mut self, i: usize, height: Height, round: u32) {
        self.local(0, i, Input::StartedRound { height, round });
        let consensus = &self.heights[&height];
        let proposer = consensus.rotation.as_ref().unwrap().proposer(height, round);
        let proposed = consensus.proposed.get(&round).cloned();
        let proposer = self.node_of(&consensus.members[usize::from(proposer)].address);
        if proposer == i {
            self.local(0, i, Input::ValueWanted { height, round });
        }
        if let Some(value) = proposed {
            self.show(proposer, i, height, round, value);
        }
    }

    fn show(&mut self, from: usize, to: usize, height: Height, round: u32, value: ProposedBlock) {
        let proposer = self.nodes[from].key.address();
        self.send(from, to, Input::Proposal { height, round, proposer, value });
    }

    fn are_quorum(&self, height: Height, nodes: &[usize]) -> bool {
        let members = &self.heights[&height].members;
        let seats = |of: &[Member]| of.iter().map(|member| member.seats).sum::<u64>();
        let holds = |m: &&Member| nodes.iter().any(|n| self.nodes[*n].key.address() == m.address);
        let held: Vec<Member> = members.iter().filter(holds).copied().collect();
        seats(&held) * 3 > seats(members) * 2
    }

    fn next_round(&mut self, height: Height, round: u32) {
        if self.decided.contains_key(&height) || self.heights[&height].round != round {
            return;
        }
        let running: Vec<usize> =
            (0..self.nodes.len()).filter(|i| self.nodes[*i].running == Some(height)).collect();
        if self.are_quorum(height, &running) {
            self.heights.get_mut(&height).unwrap().round += 1;
            for i in running {
                self.enter(i, height, round + 1);
            }
        }
        let round = self.heights[&height].round;
        self.after(ROUND_MS + 100 * u64::from(round), Event::RoundOver(height, round));
    }

    fn propose(&mut self, i: usize, height: Height, round: u32, mut value: ProposedBlock) {
        if let Some(Sin::Proposer(fault)) = self.nodes[i].sin {
            let origin = self.nodes[i].driver.as_ref().unwrap().tip().header.l1_origin;
            spoil(&mut value, fault, origin);
        }
        let Some(consensus) = self.heights.get_mut(&height) else { return };
        if consensus.round != round || self.decided.contains_key(&height) {
            return;
        }
        let id = value.header.id();
        consensus.proposed.insert(round, value.clone());
        consensus.valid.entry(id).or_default().insert(i as u16);
        for to in 0..self.nodes.len() {
            if self.nodes[to].running == Some(height) {
                self.show(i, to, height, round, value.clone());
            }
        }
        self.try_decide(height);
    }

    fn try_decide(&mut self, height: Height) {
        if self.decided.contains_key(&height) {
            return;
        }
        let consensus = &self.heights[&height];
        let Some(value) = consensus.proposed.get(&consensus.round) else { return };
        let block = value.header.id();
        let valid = consensus.valid.get(&block).into_iter().flatten();
        let valid: Vec<usize> = valid.map(|node| usize::from(*node)).collect();
        if !self.are_quorum(height, &valid) {
            return;
        }
        let round = consensus.round;
        let certificate = Certificate { height, round, block, signatures: Vec::new() };
        let stored = self
            .nodes
            .iter()
            .find_map(|node| node.disk.get(&block))
            .expect("a valid block is on disk")
            .clone();
        self.decided.insert(height, (stored, certificate.clone()));
        for i in 0..self.nodes.len() {
            let told = self.heights[&height].valid[&block].contains(&(i as u16));
            if self.nodes[i].running == Some(height) {
                let delay = 2 + self.random.below(20);
                if told {
                    self.local(delay, i, Input::Decided(certificate.clone()));
                    self.local(delay, i, Input::EngineReady);
                } else {
                    let block = self.decided[&height].0.clone();
                    self.local(delay, i, Input::Synced { ticket: height, block });
                }
            }
            for peer in (0..self.nodes.len()).filter(|peer| *peer != i) {
                let delay = 30 + self.random.below(30);
                let address = self.nodes[peer].key.address();
                self.after(delay, Event::Input(i, Input::PeerHeight(address, height)));
            }
        }
    }
}

fn knows_l1(genesis: &mut Genesis) {
    genesis.l1 = Some(L1Contracts {
        chain_id: 1,
        light_client: Address::with_last_byte(1),
        stake_registry: Address::with_last_byte(2),
        vault: Address::with_last_byte(3),
        inbox: Address::with_last_byte(4),
    });
}

fn driver_wakeup(node: &Node) -> Option<u64> {
    let at = node.driver.as_ref()?.next_wakeup()?;
    Some(at.as_millis() as u64)
}

fn spoil(value: &mut ProposedBlock, fault: Fault, origin: L1Origin) {
    let header = &mut value.header;
    match fault {
        Fault::DropsBatches => header.batches_root = block::batches_root(&[]),
        Fault::AddsBatch => {
            header.batches_root = block::batches_root(&[BatchDigest(B256::repeat_byte(1))]);
        }
        Fault::BackDates => header.time_ms -= 1,
        Fault::TooFewObservers => {
            value.observations.truncate(2);
            header.observations_root = block::observations_root(&value.observations);
        }
        Fault::LiesAboutOutcome => header.parent_outcome.ledger_root = B256::ZERO,
        Fault::MovesOrigin => header.l1_origin.number += 1,
        Fault::HoldsOrigin => {
            header.l1_origin = origin;
            header.events_root = block::events_root(&[]);
        }
        Fault::DropsEvents => header.events_root = block::events_root(&[]),
    }
}
