//! One driver, and everybody else by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use weft_consensus::build::derive;
use weft_consensus::driver::{Boot, Driver, Effect, Input, Now, StoredBlock, SyncVerdict, Timing};
use weft_consensus::{Content, Delivery};
use weft_types::genesis::{Allocation, GenesisNamespace};
use weft_types::observation::L1Block;
use weft_types::*;

use super::cramped;

pub(crate) const CHAIN: u64 = 77;
pub(crate) const START_MS: u64 = 1_790_000_000_000;

/// Node 0 of four, which does not lead round 0 of height 1, and the keys of all of them.
pub(crate) struct Lone {
    pub(crate) driver: Driver,
    pub(crate) genesis: Genesis,
    pub(crate) keys: Vec<SecretKey>,
    pub(crate) user: SecretKey,
    pub(crate) now_ms: u64,
    pub(crate) salt: u64,
}

/// Batches and events by digest.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) batches: BTreeMap<BatchDigest, Arc<Verified<Batch>>>,
    pub(crate) events: BTreeMap<EventsDigest, Arc<Verified<L1Events>>>,
}

impl Held {
    pub(crate) fn of(batches: &[&Arc<Verified<Batch>>]) -> Self {
        let named = |batch: &&Arc<Verified<Batch>>| (batch.witness().digest, Arc::clone(batch));
        Self { batches: batches.iter().map(named).collect(), events: BTreeMap::new() }
    }
}

impl Content for Held {
    fn batch(&self, digest: &BatchDigest) -> Option<&Verified<Batch>> {
        self.batches.get(digest).map(Arc::as_ref)
    }

    fn events(&self, digest: &EventsDigest) -> Option<&Verified<L1Events>> {
        self.events.get(digest).map(Arc::as_ref)
    }
}

impl Lone {
    /// Shows it an observation that was checked against its own committee.
    pub(crate) fn observe(&mut self, observation: Verified<Observation>) -> Vec<Effect> {
        let committee = Arc::new(self.driver.tip().committee().clone());
        self.step(Input::Observation(observation, committee))
    }

    /// A node that has started height 1 and waits for the engine to enter it.
    pub(crate) fn new() -> Self {
        Self::boot(1 << 21, Vec::new())
    }

    /// One of a network with blocks of that size, and with some on its disk.
    pub(crate) fn boot(max_block_bytes: u32, undecided: Vec<StoredBlock>) -> Self {
        let mut lone = Self::halted(max_block_bytes, undecided);
        let effects = lone.start();
        assert!(effects.iter().any(|e| matches!(e, Effect::StartHeight { height: 1, .. })));
        lone
    }

    /// One that has not started.
    pub(crate) fn idle() -> Self {
        Self::halted(1 << 21, Vec::new())
    }

    /// One that has not started, of a network with a lot at each height that `every` divides. It has
    /// decided height 0 at 0 ms, and waits for bids for so long.
    pub(crate) fn with_lots(every: u64, bid_window: Duration) -> Self {
        let auction = Some(AuctionSettings { every, floor: 0 });
        let settings = NamespaceSettings {
            owner: Address::ZERO,
            revenue_recipient: Address::ZERO,
            submitters: Submitters::Anyone,
            quota: None,
            auction,
            atomic: None,
        };
        let namespaces = vec![GenesisNamespace { namespace: NamespaceId(5), settings }];
        let mut lone = Self::of(1 << 21, Vec::new(), namespaces, bid_window);
        lone.now_ms = 0;
        lone
    }

    pub(crate) fn start(&mut self) -> Vec<Effect> {
        self.step(Input::EngineReady)
    }

    fn halted(max_block_bytes: u32, undecided: Vec<StoredBlock>) -> Self {
        Self::of(max_block_bytes, undecided, Vec::new(), Duration::ZERO)
    }

    fn of(
        max_block_bytes: u32,
        undecided: Vec<StoredBlock>,
        namespaces: Vec<GenesisNamespace>,
        bid_window: Duration,
    ) -> Self {
        let mut keys: Vec<SecretKey> =
            (1..=4).map(|i| SecretKey::from_bytes([i; 32]).unwrap()).collect();
        keys.sort_by_key(SecretKey::address);
        let user = SecretKey::from_bytes([200; 32]).unwrap();
        let genesis = Genesis {
            chain_id: CHAIN,
            time_ms: START_MS,
            l1_origin: L1Origin::default(),
            l1: Some(L1Contracts {
                chain_id: 1,
                light_client: Address::with_last_byte(1),
                stake_registry: Address::with_last_byte(2),
                vault: Address::with_last_byte(3),
                inbox: Address::with_last_byte(4),
            }),
            params: Params::default(),
            stakes: Vec::new(),
            validators: keys.iter().map(|k| Member { address: k.address(), seats: 1 }).collect(),
            accounts: vec![Allocation { address: user.address(), balance: 1 << 100 }],
            namespaces,
        };
        let boot = Boot {
            tip: cramped(&genesis, max_block_bytes),
            key: keys[0].clone(),
            incarnation: 1,
            silent_through: 0,
            resuming: !undecided.is_empty(),
            undecided,
        };
        let timing = Timing {
            heartbeat: Duration::from_secs(1),
            gather: Duration::from_millis(80),
            linger: Duration::from_millis(30),
            bid_window,
            empty_after: Duration::from_millis(200),
        };
        let driver = Driver::new(timing, boot);
        let lone = Self { driver, genesis, keys, user, now_ms: 2_000, salt: 0 };
        assert_ne!(lone.leader(), 0, "the node under test must not lead");
        lone
    }

    pub(crate) fn step(&mut self, input: Input) -> Vec<Effect> {
        self.now_ms += 1;
        let now = Now { wall_ms: START_MS + self.now_ms, mono: Duration::from_millis(self.now_ms) };
        self.driver.step(now, input)
    }

    pub(crate) fn enter(&mut self) -> Vec<Effect> {
        self.step(Input::StartedRound { height: 1, round: 0 })
    }

    pub(crate) fn leader(&self) -> usize {
        usize::from(self.driver.rotation().proposer(1, 0))
    }

    /// The two nodes that are neither under test nor lead.
    pub(crate) fn others(&self) -> [usize; 2] {
        let others: Vec<usize> = (1..4).filter(|i| *i != self.leader()).collect();
        others.try_into().unwrap()
    }

    pub(crate) fn batch(&mut self, author: usize, incarnation: u32) -> Arc<Verified<Batch>> {
        let payload = Payload::Transfer { to: Address::ZERO, amount: 1 };
        self.batch_of(author, incarnation, payload)
    }

    /// The first batch of a lane, with one transaction.
    pub(crate) fn batch_of(
        &mut self,
        author: usize,
        incarnation: u32,
        payload: Payload,
    ) -> Arc<Verified<Batch>> {
        self.salt += 1;
        let body = TransactionBody {
            chain_id: CHAIN,
            valid_until: START_MS + 60_000,
            salt: self.salt,
            max_fee: 1 << 60,
            payload,
        };
        let tx = Unverified::new(Signed::new(body, CHAIN, &self.user)).verify(CHAIN).unwrap();
        let key = &self.keys[author];
        let lane = LaneId { author: key.address(), incarnation };
        Arc::new(batch::seal(lane, 1, BatchDigest::ZERO, vec![tx], CHAIN, key).unwrap())
    }

    /// What an observer says of height 1: that it holds these batches, at a time.
    pub(crate) fn observation(
        &self,
        observer: usize,
        clock_ms: u64,
        batches: &[&Arc<Verified<Batch>>],
    ) -> Verified<Observation> {
        self.observation_of_l1(observer, clock_ms, batches, &[])
    }

    /// The same, with what it sees of L1.
    pub(crate) fn observation_of_l1(
        &self,
        observer: usize,
        clock_ms: u64,
        batches: &[&Arc<Verified<Batch>>],
        l1: &[L1Block],
    ) -> Verified<Observation> {
        let committee = self.driver.tip().committee();
        let lanes = batches
            .iter()
            .map(|batch| LaneView {
                author: committee.index_of(&batch.body.lane.author).unwrap(),
                incarnation: batch.body.lane.incarnation,
                digests: vec![batch.witness().digest],
                ages_ms: vec![5],
            })
            .collect();
        let body = ObservationBody {
            height: 1,
            parent: self.driver.tip().id,
            observer: u16::try_from(observer).unwrap(),
            clock_ms: START_MS + clock_ms,
            lanes,
            l1: l1.to_vec(),
        };
        let signed = Signed::new(body, CHAIN, &self.keys[observer]);
        Unverified::new(signed).verify((CHAIN, committee)).unwrap()
    }

    /// The leader's block over observations, ascending by observer.
    pub(crate) fn block(
        &self,
        observations: &[&Verified<Observation>],
        batches: &[&Arc<Verified<Batch>>],
    ) -> ProposedBlock {
        self.block_of(observations, &Held::of(batches))
    }

    /// The same, of what is held.
    pub(crate) fn block_of(
        &self,
        observations: &[&Verified<Observation>],
        held: &Held,
    ) -> ProposedBlock {
        let tip = self.driver.tip();
        let derived = derive(tip, observations, held).unwrap();
        let hashes = observations.iter().map(|o| *o.witness()).collect();
        derived.propose(tip, self.keys[self.leader()].address(), hashes)
    }

    pub(crate) fn proposal(&self, value: ProposedBlock) -> Input {
        let proposer = self.keys[self.leader()].address();
        Input::Proposal { height: 1, round: 0, proposer, value }
    }

    /// Says that the one block under way to disk has arrived there.
    pub(crate) fn persisted(&mut self, effects: &[Effect]) -> Vec<Effect> {
        let id = effects.iter().find_map(|effect| match effect {
            Effect::Persist(id, _) => Some(*id),
            _ => None,
        });
        self.step(Input::Persisted(id.expect("a block goes to disk")))
    }

    pub(crate) fn decide(&mut self, block: BlockId) -> Box<Delivery> {
        let certificate = Certificate { height: 1, round: 0, block, signatures: Vec::new() };
        let effects = self.step(Input::Decided(certificate));
        assert!(!effects.iter().any(|e| matches!(e, Effect::Halt(_))), "{effects:?}");
        let effects = self.step(Input::Committed(1));
        let delivery = effects.into_iter().find_map(|effect| match effect {
            Effect::Deliver(delivery) => Some(delivery),
            _ => None,
        });
        delivery.expect("the block is delivered")
    }
}

pub(crate) fn answers(effects: &[Effect]) -> Vec<bool> {
    let answer = |effect: &Effect| match effect {
        Effect::Answer { verdict, .. } => Some(verdict.is_ok()),
        _ => None,
    };
    effects.iter().filter_map(answer).collect()
}

pub(crate) fn sync_answers(effects: &[Effect]) -> Vec<(u64, SyncVerdict)> {
    let answer = |effect: &Effect| match effect {
        Effect::AnswerSync { ticket, verdict, .. } => Some((*ticket, *verdict)),
        _ => None,
    };
    effects.iter().filter_map(answer).collect()
}
