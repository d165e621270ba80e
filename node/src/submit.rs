//! Taking transactions in, whichever way they come.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use libp2p::PeerId;
use weft_types::{BidMode, Height, Leg, Payload, Transaction, TransactionId, Verified, Wei};

use crate::chain::{Chain, ChainError};
use crate::mempool::{BidTerms, Mempool, Refusal, Terms, Unoffered};
use crate::p2p::P2p;
use crate::sequencer::Tracker;
use crate::store::view::MAX_LAG;

/// Why a transaction is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The mempool does not want it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The node is behind with its indexes and takes no more for now.
    #[error("the node is behind with indexing what was ordered")]
    Behind,
    /// The node cannot read its own store.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// How long a validator that was handed a transaction has until another one is.
pub const PASS_AGAIN_AFTER: Duration = Duration::from_secs(3);

/// Hands transactions to so many validators, others first each time. Returns whether one is in reach.
pub fn pass_on(p2p: &P2p, transactions: &[Transaction], most: usize) -> bool {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    if transactions.is_empty() {
        return true;
    }
    let turn = TURN.fetch_add(1, Ordering::Relaxed) % 1024;
    let validators: Vec<PeerId> = p2p
        .peers()
        .snapshot()
        .into_iter()
        .filter(|(_, peer)| peer.validator().is_some())
        .map(|(peer, _)| peer)
        .collect();
    let mut in_turn = (0..validators.len()).map(|i| &validators[(turn + i) % validators.len()]);
    let mut passed = 0;
    while passed < most
        && let Some(peer) = in_turn.next()
    {
        passed += usize::from(p2p.forward(peer, transactions.to_vec()));
    }
    passed > 0
}

/// Takes a checked transaction into the mempool. One that is waiting or ordered already is no
/// error.
pub fn insert(
    chain: &Chain,
    mempool: &Mempool,
    tracker: &Tracker,
    transaction: Verified<Transaction>,
) -> Result<TransactionId, SubmitError> {
    let witness = *transaction.witness();
    let head = chain.head();
    if mempool.contains(&witness.id) || chain.transaction(&witness.id)?.is_some() {
        return Ok(witness.id);
    }
    if chain.view().lag().1 > MAX_LAG {
        return Err(SubmitError::Behind);
    }
    let next = head.header.height + 1;
    let bid = match &transaction.body.payload {
        Payload::Bid { height, mode, legs, .. } => {
            let (reserve, cover) = offered(chain, *height, *mode, legs)?;
            let fee = chain.genesis().params.bid_fee;
            let collateral = chain.collateral(&witness.sender)?;
            BidTerms { next, fee, collateral, reserve, cover }
        }
        _ => BidTerms { next, fee: 0, collateral: 0, reserve: Ok(0), cover: 0 },
    };
    let terms = Terms {
        now: head.header.time_ms,
        max_validity_ms: chain.genesis().params.max_validity_ms,
        price: head.price,
        balance: chain.balance(&witness.sender)?,
        bid,
    };
    mempool.insert(transaction, &terms)?;
    tracker.received(witness.id);
    if chain.head().header.height > head.header.height && chain.transaction(&witness.id)?.is_some()
    {
        // It was ordered meanwhile, and nothing else would take it out again.
        mempool.remove([&witness.id]);
        tracker.ordered([&witness.id].into_iter());
    }
    Ok(witness.id)
}

/// The least that reserves of the lots that legs are for can be together, in wei, as the chain
/// stands, or what is not offered; and the least that has to cover an atomic bid. Whether executors have
/// their bonds is looked at when it is sealed.
fn offered(
    chain: &Chain,
    height: Height,
    mode: BidMode,
    legs: &[Leg],
) -> Result<(Result<Wei, Unoffered>, Wei), ChainError> {
    let (mut reserves, mut prices): (Wei, Wei) = (0, 0);
    let head = chain.head();
    let (now, next) = (head.header.time_ms, head.header.height + 1);
    for leg in legs {
        let namespace = chain.namespace(leg.namespace)?;
        let lot = namespace.as_ref().and_then(|namespace| namespace.may_offer(height, next));
        let (Some(namespace), Some(reserve)) = (namespace, lot) else {
            return Ok((Err(Unoffered::Lot(leg.namespace)), 0));
        };
        reserves = reserves.saturating_add(reserve);
        if mode == BidMode::Atomic {
            let all = || legs.iter().map(|leg| leg.namespace);
            let atomic = namespace.settings.atomic.filter(|atomic| {
                !namespace.standing.is_suspended(now)
                    && atomic.partners.allow_beside(leg.namespace, all())
            });
            let Some(atomic) = atomic else {
                return Ok((Err(Unoffered::Atomic(leg.namespace)), 0));
            };
            prices = prices.saturating_add(atomic.price(reserve));
        }
    }
    let heights = chain.genesis().params.hold_heights;
    Ok((Ok(reserves), prices.saturating_mul(heights.into())))
}
