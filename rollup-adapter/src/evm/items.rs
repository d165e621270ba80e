//! From the entries of a step to items, without those that are bound to a bundle which they are not in
//! (`spec/evm-rollup.md`, section 2).
//!
//! A leg of a bundle is a signed transaction, and public once it is bid with. Whoever sends it for itself,
//! in an ordinary submission or in a bundle of his own, would have it executed without its siblings. So
//! a transaction can say in which bundle alone it is to execute: by an entry of its access list for
//! [`MARK`], whose first key names mode, height and bidder, and whose other keys name its siblings.

use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, Bytes, U256, address, keccak256};
use weft_types::{
    BidMode, Height, LegDigest, LegPlace, Legs, NamespaceId, SliceEntry, TransactionId,
};

use super::skip::SkipReason;
use super::transaction::{Envelope, decode_included};

/// The address that marks a transaction as bound: the last 20 bytes of keccak256 of `weft/bound`.
pub const MARK: Address = address!("9ac354ccb05cf5bdb6dda47c80807b0e11ed63ea");

/// What a transaction is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The bid's mode.
    pub mode: BidMode,
    /// Its height.
    pub height: Height,
    /// Who bids.
    pub bidder: Address,
    /// All other legs, ascending by namespace; none if any will do.
    pub siblings: Vec<LegDigest>,
}

impl Bound {
    /// The keys that say so, in the access list's entry for [`MARK`].
    pub fn keys(&self) -> Vec<B256> {
        let mut first = [0; 32];
        first[0] = self.mode as u8;
        first[4..12].copy_from_slice(&self.height.to_be_bytes());
        first[12..].copy_from_slice(self.bidder.as_slice());
        let siblings = self.siblings.iter();
        let siblings =
            siblings.flat_map(|leg| [B256::from(U256::from(leg.namespace.0)), leg.digest]);
        std::iter::once(B256::from(first)).chain(siblings).collect()
    }

    fn of_keys(keys: &[B256]) -> Option<Self> {
        let (first, siblings) = keys.split_first()?;
        let first = first.0;
        let mode = match first[..4] {
            [0, 0, 0, 0] => BidMode::Inclusion,
            [1, 0, 0, 0] => BidMode::Atomic,
            _ => return None,
        };
        let height = Height::from_be_bytes(first[4..12].try_into().ok()?);
        let bidder = Address::from_slice(&first[12..]);
        let (pairs, []) = siblings.as_chunks() else { return None };
        let sibling = |[namespace, digest]: &[B256; 2]| {
            let namespace = U256::from_be_bytes(namespace.0).try_into().ok().map(NamespaceId)?;
            Some(LegDigest { namespace, digest: *digest })
        };
        let siblings = pairs.iter().map(sibling).collect::<Option<_>>()?;
        Some(Self { mode, height, bidder, siblings })
    }
}

/// The leg that heads a slice.
struct Head<'a> {
    mode: BidMode,
    height: Height,
    bidder: Address,
    namespace: NamespaceId,
    place: &'a LegPlace,
    data: &'a [Bytes],
}

impl Head<'_> {
    fn is_of(&self, bound: &Bound) -> bool {
        if (bound.mode, bound.height, bound.bidder) != (self.mode, self.height, self.bidder) {
            return false;
        }
        if bound.siblings.is_empty() {
            return true;
        }
        let own = LegDigest::of_items(self.namespace, self.data);
        let mut all = bound.siblings.clone();
        let at = all.partition_point(|leg| leg.namespace < self.namespace);
        all.insert(at, own);
        Legs(all).holds(self.namespace, self.place, self.data)
    }
}

/// Whether a transaction is bound to a bundle, and to which; `None` in it if its keys make no sense, so that
/// it is in none.
pub fn binding(transaction: &Envelope) -> Option<Option<Bound>> {
    let list = transaction.access_list()?;
    let mut marked = list.iter().filter(|entry| entry.address == MARK);
    let first = marked.next()?;
    Some(Bound::of_keys(&first.storage_keys).filter(|_| marked.next().is_none()))
}

/// What a step brings an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    /// Items, in order.
    pub raw: Vec<Bytes>,
    /// Hash of each item's bytes that is bound to another bundle.
    pub skipped: Vec<(B256, SkipReason)>,
    /// The Weft transactions that brought them.
    pub submissions: Vec<TransactionId>,
}

impl Items {
    /// Those of entries of the slice of a height, or of messages of L1, which have no head.
    pub fn of<'a>(
        entries: impl IntoIterator<Item = &'a SliceEntry>,
        namespace: NamespaceId,
        height: Height,
    ) -> Self {
        let mut items = Self::default();
        for entry in entries {
            items.submissions.extend(entry.transaction());
            let head = match entry {
                SliceEntry::Head { mode, bidder, place, data, .. } => {
                    let (mode, bidder) = (*mode, *bidder);
                    Some(Head { mode, height, bidder, namespace, place, data })
                }
                _ => None,
            };
            for raw in entry.items() {
                if may_execute(raw, head.as_ref()) {
                    items.raw.push(raw.clone());
                } else {
                    items.skipped.push((keccak256(raw), SkipReason::Bound));
                }
            }
        }
        items
    }
}

fn may_execute(raw: &[u8], head: Option<&Head<'_>>) -> bool {
    // Most are not bound, and need not be decoded to see that.
    if !raw.windows(MARK.len()).any(|bytes| bytes == MARK.as_slice()) {
        return true;
    }
    match decode_included(raw).as_ref().and_then(binding) {
        None => true,
        Some(bound) => head.zip(bound).is_some_and(|(head, bound)| head.is_of(&bound)),
    }
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip4844};
    use alloy_eips::eip2718::Encodable2718;
    use alloy_eips::eip2930::{AccessList, AccessListItem};
    use alloy_primitives::Signature;
    use weft_types::Leg;

    use super::*;

    const HERE: NamespaceId = NamespaceId(7);
    const BIDDER: Address = Address::repeat_byte(0xb1);
    const HEIGHT: Height = 90;

    #[test]
    fn the_mark_is_what_it_says() {
        assert_eq!(MARK, Address::from_word(keccak256("weft/bound")));
    }

    fn raw(access_list: Vec<AccessListItem>, input: Bytes) -> Bytes {
        let transaction =
            TxEip1559 { access_list: AccessList(access_list), input, ..TxEip1559::default() };
        let signed = transaction.into_signed(Signature::test_signature());
        EthereumTxEnvelope::<TxEip4844>::from(signed).encoded_2718().into()
    }

    fn marked(storage_keys: Vec<B256>) -> AccessListItem {
        AccessListItem { address: MARK, storage_keys }
    }

    fn bound_to(bound: &Bound) -> Bytes {
        raw(vec![marked(bound.keys())], Bytes::new())
    }

    /// What the others bring.
    fn others() -> Vec<Leg> {
        let leg = |namespace| Leg {
            namespace: NamespaceId(namespace),
            data: vec![Bytes::from(vec![u8::try_from(namespace).unwrap()])],
        };
        vec![leg(3), leg(9)]
    }

    fn bound() -> Bound {
        let siblings = others().iter().map(LegDigest::of).collect();
        Bound { mode: BidMode::Atomic, height: HEIGHT, bidder: BIDDER, siblings }
    }

    /// The head of a slice that a bundle of a leg here and others brings.
    fn head(item: &Bytes, others: Vec<Leg>, mode: BidMode) -> SliceEntry {
        let data = vec![item.clone()];
        let mut legs = others;
        legs.push(Leg { namespace: HERE, data: data.clone() });
        legs.sort_by_key(|leg| leg.namespace);
        let at = legs.iter().position(|leg| leg.namespace == HERE).unwrap();
        let place = Legs::of(&legs).places().nth(at).unwrap();
        SliceEntry::Head { transaction: TransactionId::ZERO, bidder: BIDDER, mode, place, data }
    }

    fn executes(entry: &SliceEntry, height: Height) -> bool {
        let items = Items::of([entry], HERE, height);
        assert_eq!(items.raw.len() + items.skipped.len(), entry.items().len());
        items.skipped.is_empty()
    }

    #[test]
    fn what_is_bound_executes_in_its_bundle_alone() {
        let item = bound_to(&bound());
        let right = head(&item, others(), BidMode::Atomic);
        assert!(executes(&right, HEIGHT));
        assert!(!executes(&right, HEIGHT + 1), "at another height");
        assert!(!executes(&head(&item, others(), BidMode::Inclusion), HEIGHT), "in another mode");
        let SliceEntry::Head { place, data, .. } = right else { panic!() };
        let (transaction, bidder) = (TransactionId::ZERO, Address::repeat_byte(0xb2));
        let mode = BidMode::Atomic;
        let by_another = SliceEntry::Head { transaction, bidder, mode, place, data: data.clone() };
        assert!(!executes(&by_another, HEIGHT), "in a bid of another one");
        let submission =
            SliceEntry::Submission { transaction, submitter: BIDDER, data: data.clone() };
        assert!(!executes(&submission, HEIGHT), "in no bid");
        let leg = SliceEntry::Leg { transaction, submitter: BIDDER, place, data };
        assert!(!executes(&leg, HEIGHT), "in a bundle that is none that has bid");
        let forced = SliceEntry::Forced { index: 0, sender: BIDDER, data: item };
        assert!(!executes(&forced, HEIGHT), "by way of L1");
    }

    #[test]
    fn it_knows_its_siblings() {
        let item = bound_to(&bound());
        let without = vec![others().remove(0)];
        assert!(!executes(&head(&item, without, BidMode::Atomic), HEIGHT), "one is missing");
        let mut changed = others();
        changed[1].data.push(Bytes::from_static(b"more"));
        assert!(!executes(&head(&item, changed, BidMode::Atomic), HEIGHT), "one is another");
        let any = bound_to(&Bound { siblings: Vec::new(), ..bound() });
        for legs in [others(), vec![others().remove(1)]] {
            assert!(executes(&head(&any, legs, BidMode::Atomic), HEIGHT), "any will do");
        }
    }

    #[test]
    fn keys_that_make_no_sense_are_in_no_bundle() {
        let keys = bound().keys();
        let mut bad = vec![keys[..2].to_vec(), Vec::new()];
        for (at, byte) in [(0, 2), (1, 1), (3, 1)] {
            let mut keys = keys.clone();
            keys[0].0[at] = byte;
            bad.push(keys);
        }
        let mut huge = keys.clone();
        huge[1].0[0] = 1;
        bad.push(huge);
        for keys in bad {
            let item = raw(vec![marked(keys.clone())], Bytes::new());
            assert!(!executes(&head(&item, others(), BidMode::Atomic), HEIGHT), "{keys:?}");
        }
        let twice = raw(vec![marked(keys.clone()), marked(keys)], Bytes::new());
        assert!(!executes(&head(&twice, others(), BidMode::Atomic), HEIGHT));
    }

    #[test]
    fn others_are_left_alone() {
        let elsewhere = raw(Vec::new(), Bytes::copy_from_slice(MARK.as_slice()));
        let submission = SliceEntry::Submission {
            transaction: TransactionId::ZERO,
            submitter: BIDDER,
            data: vec![elsewhere, Bytes::copy_from_slice(MARK.as_slice())],
        };
        assert!(executes(&submission, HEIGHT), "the mark is no entry of an access list");
        let unmarked = AccessListItem { address: BIDDER, storage_keys: vec![] };
        let data = vec![raw(vec![unmarked], Bytes::new())];
        let submission =
            SliceEntry::Submission { transaction: TransactionId::ZERO, submitter: BIDDER, data };
        assert!(executes(&submission, HEIGHT));
    }
}
