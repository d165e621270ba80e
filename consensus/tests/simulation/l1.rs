//! An L1 for the simulation: one chain, and each node's view of it.

use std::sync::Arc;

use weft_consensus::driver::SeenL1Block;
use weft_types::hash::keccak256;
use weft_types::*;

/// How long an L1 block takes.
const BLOCK_MS: u64 = 300;

/// What a node's providers show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum L1View {
    /// The chain.
    Honest,
    /// The chain, so many blocks late.
    Late(u64),
    /// Blocks that are not on the chain, right after the origin.
    Forked,
    /// The chain, without its events.
    Censored,
    /// Nothing.
    Dead,
}

/// The chain: block k brings what `events(k)` says.
pub(crate) struct L1 {
    pub(crate) views: Vec<L1View>,
    /// What else than forced messages and deposits comes, by block.
    pub(crate) stakes: Vec<(u64, L1Event)>,
}

impl L1 {
    /// What is final at a time.
    pub(crate) fn finalized(now: u64) -> u64 {
        now / BLOCK_MS
    }

    pub(crate) fn hash(number: u64) -> B256 {
        if number == 0 { B256::ZERO } else { keccak256(&[b"L1 block", &number.to_be_bytes()]) }
    }

    /// Every third block has a forced message, every fifth a deposit.
    pub(crate) fn events(&self, number: u64) -> L1Events {
        let mut events: Vec<L1Event> =
            self.stakes.iter().filter(|(at, _)| *at == number).map(|(_, e)| e.clone()).collect();
        if number.is_multiple_of(3) {
            events.push(L1Event::Forced {
                namespace: NamespaceId(1),
                index: number / 3 - 1,
                sender: Address::ZERO,
                fee: 1,
                data: Bytes::from(number.to_be_bytes().to_vec()),
            });
        }
        if number.is_multiple_of(5) {
            events.push(L1Event::Deposit { to: Address::ZERO, amount: 1 });
        }
        L1Events(events)
    }

    /// What a node sees of the blocks after an origin.
    pub(crate) fn seen(&self, node: usize, now: u64, origin: L1Origin) -> Arc<[SeenL1Block]> {
        let view = self.views[node];
        let last = match view {
            L1View::Dead => 0,
            L1View::Late(blocks) => Self::finalized(now).saturating_sub(blocks),
            _ => Self::finalized(now),
        };
        let block = |number: u64| {
            let fork = |number: u64| keccak256(&[b"fork", &number.to_be_bytes()]);
            let (hash, parent) = match view {
                L1View::Forked if number == origin.number + 1 => (fork(number), origin.hash),
                L1View::Forked => (fork(number), fork(number - 1)),
                _ => (Self::hash(number), Self::hash(number - 1)),
            };
            let events = match view {
                L1View::Censored | L1View::Forked => L1Events::default(),
                _ => self.events(number),
            };
            let events = Arc::new(Unverified::new(events).verify(()).unwrap());
            SeenL1Block { number, hash, parent, events }
        };
        (origin.number + 1..=last).map(block).collect()
    }
}
