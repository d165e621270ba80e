//! What a plan comes to on top of where the chain is.

use std::collections::{BTreeMap, BTreeSet};

use weft_ledger::LaneCut;
use weft_types::{
    Address, AtomicSettings, AuctionSettings, B256, Batch, BatchBody, BidMode, BlockId, Bytes,
    L1Event, L1Events, L1Origin, LaneId, Leg, NamespaceId, NamespaceSettings, Partners, Payload,
    Quota, SecretKey, Signature, Signed, Submitters, Transaction, TransactionBody, TransactionId,
    Unverified, Verified, Wei,
};

use super::{
    Amount, BIDDERS, BadAtomic, BatchPlan, BidAmount, BlockPlan, CHAIN_ID, Data, EventPlan, Flaw,
    Gap, Judge, KEYRING, KEYS, MaxFee, NAMESPACES, PayloadPlan, Says, TransactionPlan, ValidUntil,
    address,
};
use crate::oracle::Oracle;

/// What a submission of one item has beyond it: chain id, end, salt, max_fee, tag, namespace, two
/// lengths, signature.
const AROUND_ONE_ITEM: usize = 8 + 8 + 8 + 16 + 1 + 8 + 4 + 4 + 65;

/// A block that a plan came to: what a ledger is given.
pub(crate) struct Block {
    pub(crate) height: u64,
    pub(crate) time_ms: u64,
    pub(crate) l1_origin: L1Origin,
    pub(crate) events: Vec<L1Events>,
    pub(crate) observers: Vec<Address>,
    pub(crate) batches: Vec<Verified<Batch>>,
    pub(crate) cuts: Vec<(Address, LaneCut)>,
}

/// What happened in a history so far, as far as plans refer to it.
#[derive(Default)]
pub(crate) struct World {
    salt: u64,
    /// All transactions there were, with the height that first ordered them.
    past: Vec<(u64, Transaction)>,
    lanes: BTreeMap<Address, LaneCut>,
    forced: u64,
    /// Executors that have said something of a leg, in blocks or in the one that is made.
    said: BTreeSet<(B256, u64, Address)>,
}

impl World {
    /// Makes the plan's block on top of where the chain is.
    pub(crate) fn block(&mut self, plan: &BlockPlan, chain: &Oracle) -> Block {
        let time_ms = time_of(&plan.gap, chain);
        let observers: Vec<Address> = (chain.committee.iter().enumerate())
            .filter(|(index, _)| plan.observers >> index & 1 == 1)
            .map(|(_, member)| member.address)
            .collect();
        let mut l1_origin = chain.l1_origin;
        let mut events = Vec::new();
        let (mut batches, mut cuts) = (Vec::new(), BTreeMap::new());
        if !observers.is_empty() {
            for plan in &plan.batches {
                let author = plan.author.get(&chain.committee).address;
                batches.push(self.batch(plan, author, chain, time_ms));
                cuts.insert(author, LaneCut { carry: plan.carry, ..self.lanes[&author] });
            }
            if let Some((author, cut)) = &plan.stray_cut {
                cuts.entry(author.get(&chain.committee).address).or_insert(*cut);
            }
            events = plan.l1.iter().map(|plans| self.events(plans, chain)).collect();
            l1_origin.number += events.len() as u64;
        }
        let cuts = cuts.into_iter().collect();
        let height = chain.height + 1;
        Block { height, time_ms, l1_origin, events, observers, batches, cuts }
    }

    fn events(&mut self, plans: &[EventPlan], chain: &Oracle) -> L1Events {
        // As long as there is no more wei than there can be.
        let wei = |amount: u32| if chain.supply() >> 127 == 0 { amount.into() } else { 0 };
        let mut event = |plan: &EventPlan| match plan {
            EventPlan::Deposit { to, amount } => {
                L1Event::Deposit { to: address(*to), amount: wei(*amount) }
            }
            EventPlan::Stake { validator, stake } => {
                L1Event::Stake { validator: address(*validator), stake: *stake }
            }
            EventPlan::Forced { namespace, fee, bytes } => {
                self.forced += 1;
                L1Event::Forced {
                    namespace: NamespaceId(*namespace),
                    index: self.forced,
                    sender: address(0),
                    fee: wei(*fee),
                    data: vec![7; (*bytes).into()].into(),
                }
            }
            EventPlan::Posted { poster } => L1Event::Posted {
                height: chain.height,
                block: BlockId::ZERO,
                poster: address(*poster),
            },
        };
        L1Events(plans.iter().map(&mut event).collect())
    }

    fn batch(
        &mut self,
        plan: &BatchPlan,
        author: Address,
        chain: &Oracle,
        now: u64,
    ) -> Verified<Batch> {
        let mut transactions: Vec<Transaction> =
            plan.transactions.iter().map(|plan| self.transaction(plan, chain, now)).collect();
        while borsh::to_vec(&transactions).unwrap().len() > 256 * 1024 - 200 {
            transactions.pop();
        }
        let lane = self.lanes.entry(author).or_default();
        if plan.reboots {
            *lane = LaneCut { incarnation: lane.incarnation + 1, ..LaneCut::default() };
        }
        let body = BatchBody {
            lane: LaneId { author, incarnation: lane.incarnation },
            seq: lane.seq + 1,
            parent: lane.digest,
            transactions,
        };
        (lane.seq, lane.digest) = (body.seq, body.digest());
        let batch = Signed::new(body, CHAIN_ID, key_of(&author));
        Unverified::new(batch).verify(CHAIN_ID).unwrap()
    }

    fn transaction(&mut self, plan: &TransactionPlan, chain: &Oracle, now: u64) -> Transaction {
        let again: Vec<&Transaction> = match plan {
            TransactionPlan::New { .. } => Vec::new(),
            TransactionPlan::Again(heights, _) => (self.past.iter())
                .filter(|(height, _)| height + heights == chain.height + 1)
                .map(|(_, transaction)| transaction)
                .collect(),
            TransactionPlan::AnyAgain(_) => {
                self.past.iter().map(|(_, transaction)| transaction).collect()
            }
        };
        let transaction = match plan {
            TransactionPlan::New { .. } => self.new_transaction(plan, chain, now),
            TransactionPlan::Again(_, which) | TransactionPlan::AnyAgain(which) => {
                if !again.is_empty() {
                    return (*which.get(&again)).clone();
                }
                let instead = TransactionPlan::New {
                    sender: which.index(KEYS),
                    valid_until: ValidUntil::Limit(0),
                    max_fee: MaxFee::Unlimited,
                    payload: Box::new(PayloadPlan::Submit {
                        namespace: 0,
                        data: Data::Items(vec![20]),
                    }),
                    flaw: None,
                };
                self.new_transaction(&instead, chain, now)
            }
        };
        self.past.push((chain.height + 1, transaction.clone()));
        transaction
    }

    fn new_transaction(&mut self, plan: &TransactionPlan, chain: &Oracle, now: u64) -> Transaction {
        let TransactionPlan::New { sender, valid_until, max_fee, payload, flaw } = plan else {
            unreachable!("repetitions are made elsewhere");
        };
        self.salt += 1;
        let bid_instead = self.instead_of_a_verdict(payload, chain);
        let payload = bid_instead.as_ref().unwrap_or(payload);
        let limit = now.saturating_add(chain.params.max_validity_ms);
        let mut body = TransactionBody {
            chain_id: CHAIN_ID,
            valid_until: match valid_until {
                ValidUntil::Ahead(ms) => now.saturating_add(*ms),
                ValidUntil::Limit(plus) => limit.saturating_add_signed((*plus).into()),
                ValidUntil::Now(plus) => now.saturating_add_signed((*plus).into()),
                ValidUntil::Exactly(ms) => *ms,
            },
            salt: self.salt,
            max_fee: 0,
            payload: Payload::Transfer { to: Address::ZERO, amount: 0 },
        };
        let verdict = match payload {
            PayloadPlan::Verdict { by, on, says } => {
                Some(self.verdict(by, on.index(1 << 16), says, address(*sender), chain))
            }
            _ => None,
        };
        let sender = match payload {
            _ if let Some((judge, _)) = &verdict => *judge,
            PayloadPlan::Update { namespace, by_owner: true, .. } => {
                chain.namespaces.get(namespace).map_or(address(*sender), |n| n.settings.owner)
            }
            // Few enough that they meet.
            PayloadPlan::Bid { .. } | PayloadPlan::Lock(_) | PayloadPlan::Release(_) => {
                address(*sender % BIDDERS)
            }
            _ => address(*sender),
        };
        body.payload = match verdict {
            Some((_, verdict)) => verdict,
            None => payload_of(payload, sender, &body, chain, now),
        };
        if let Some(flaw) = flaw {
            apply_flaw(flaw, &mut body);
        }
        let size = size_of(&body);
        let is_bid = matches!(body.payload, Payload::Bid { .. });
        let [mut inclusion, namespace] =
            prices(&body.payload, chain, now).map(|p| p.saturating_mul(size));
        if is_bid {
            inclusion = inclusion.saturating_add(chain.params.bid_fee);
        }
        body.max_fee = match max_fee {
            MaxFee::Unlimited => Wei::MAX,
            MaxFee::Inclusion(plus) => give_or_take(inclusion, *plus),
            MaxFee::Both(plus) => give_or_take(inclusion.saturating_add(namespace), *plus),
            MaxFee::Exactly(wei) => *wei,
        };
        let signed_for = match flaw {
            Some(Flaw::SignedForOtherChain) => CHAIN_ID + 1,
            _ => body.chain_id,
        };
        let mut transaction = Signed::new(body, signed_for, key_of(&sender));
        match flaw {
            Some(Flaw::BadV) => transaction.signature.0[64] ^= 0x80,
            Some(Flaw::HighS) => make_high_s(&mut transaction.signature),
            _ => {}
        }
        transaction
    }

    /// While there is nothing to judge, most verdicts are bids for something to judge.
    fn instead_of_a_verdict(&self, plan: &PayloadPlan, chain: &Oracle) -> Option<PayloadPlan> {
        let PayloadPlan::Verdict { on, .. } = plan else { return None };
        let on = u8::try_from(on.index(256)).unwrap();
        let is_one = chain.undecided.is_empty() && !on.is_multiple_of(6);
        is_one.then(|| PayloadPlan::Bid {
            namespaces: match u64::from(on % 13) {
                at @ 0..4 => vec![at.min((at + 1) % NAMESPACES), at.max((at + 1) % NAMESPACES)],
                at @ 4..8 => vec![at % 2, at % 2 + 2],
                8..12 => vec![0, 1, 3],
                _ => (0..NAMESPACES).collect(),
            },
            height: 0,
            sequence: on % 3,
            amount: BidAmount::Exactly(Wei::from(on) * 90),
            atomic: true,
        })
    }

    /// Who says what of which leg.
    fn verdict(
        &mut self,
        by: &Judge,
        on: usize,
        says: &Says,
        sender: Address,
        chain: &Oracle,
    ) -> (Address, Payload) {
        let legs = chain.undecided.iter().flat_map(|(id, bundle)| {
            bundle.legs.iter().map(move |(namespace, leg)| (*id, *namespace, &leg.executors))
        });
        let all: Vec<(B256, u64, Address)> = legs
            .flat_map(|(id, namespace, executors)| {
                executors.iter().map(move |e| (id, namespace, *e))
            })
            .collect();
        let silent = || all.iter().find(|judge| !self.said.contains(*judge));
        let any = |on: usize| on.checked_rem(all.len()).map(|at| &all[at]);
        // Without a bundle, it is about nothing.
        let nothing = (B256::repeat_byte(1), 0, sender);
        let (bundle, namespace, executor) = *match by {
            Judge::Next => silent().or_else(|| any(on)),
            Judge::Any(which) => any(which.index(1 << 16)),
            Judge::Anyone => any(on),
        }
        .unwrap_or(&nothing);
        let judge = if matches!(by, Judge::Anyone) { sender } else { executor };
        self.said.insert((bundle, namespace, judge));
        let effects = match says {
            // Of some bundles most say that they fail.
            Says::Usual if bundle[0].is_multiple_of(4) => None,
            Says::Usual => Some(B256::with_last_byte(9)),
            Says::Fails => None,
            Says::Does(what) => Some(B256::with_last_byte(*what)),
        };
        // Some are about a namespace that is not among the legs.
        let namespace = if on.is_multiple_of(40) { namespace + 1 } else { namespace };
        let (bundle, namespace) = (TransactionId(bundle), NamespaceId(namespace));
        (judge, Payload::Verdict { bundle, namespace, effects })
    }
}

fn key_of(address: &Address) -> &'static SecretKey {
    let at = KEYRING.binary_search_by_key(address, |(address, _)| *address);
    &KEYRING[at.unwrap()].1
}

fn time_of(gap: &Gap, chain: &Oracle) -> u64 {
    let next = chain.time_ms + 1;
    match gap {
        Gap::By(ms) => chain.time_ms.checked_add(*ms).unwrap_or(next),
        Gap::ToAnEnd(which, plus) => {
            let ends: Vec<u64> = chain.remembered.keys().map(|(end, _)| *end).collect();
            let end = if ends.is_empty() { 0 } else { *which.get(&ends) };
            // Far in the future nothing could follow.
            end.checked_add(*plus).filter(|time| *time < u64::MAX - (1 << 16)).unwrap_or(0)
        }
    }
    .max(next)
}

fn give_or_take(wei: Wei, plus: i8) -> Wei {
    wei.saturating_add_signed(plus.into())
}

fn size_of(body: &TransactionBody) -> u128 {
    borsh::to_vec(body).unwrap().len() as u128 + 65
}

/// Wei per byte: for inclusion, and for the namespace if it is a submission.
fn prices(payload: &Payload, chain: &Oracle, now: u64) -> [Wei; 2] {
    let namespace = match payload {
        Payload::Submit { namespace, .. } => chain.namespaces.get(&namespace.0),
        _ => None,
    };
    [chain.price_at(chain.price, now), namespace.map_or(0, |n| chain.price_at(n.price, now))]
}

fn payload_of(
    plan: &PayloadPlan,
    sender: Address,
    body: &TransactionBody,
    chain: &Oracle,
    now: u64,
) -> Payload {
    let amount_of = |amount: &Amount| match amount {
        Amount::Exactly(wei) => *wei,
        Amount::Everything(plus) => {
            let inclusion = prices(&body.payload, chain, now)[0].saturating_mul(size_of(body));
            give_or_take(chain.balance(&sender).saturating_sub(inclusion), *plus)
        }
        Amount::KeepRegistration(bytes) => {
            let [price, _] = prices(&body.payload, chain, now);
            let kept = price.saturating_mul(size_of(body) + Wei::from(*bytes));
            let kept = kept.saturating_add(chain.params.registration_fee);
            chain.balance(&sender).saturating_sub(kept)
        }
    };
    match plan {
        PayloadPlan::Submit { namespace, data } => submit(*namespace, data, sender, chain, now),
        PayloadPlan::Transfer { to, amount } => {
            Payload::Transfer { to: address(*to), amount: amount_of(amount) }
        }
        PayloadPlan::Withdraw { to, amount } => {
            // A withdrawal of nothing is malformed, which is met as it comes.
            Payload::Withdraw { to: address(*to), amount: amount_of(amount) }
        }
        PayloadPlan::TransferToOneself(amount) => {
            Payload::Transfer { to: sender, amount: amount_of(amount) }
        }
        PayloadPlan::Register { namespace, settings } => Payload::RegisterNamespace {
            namespace: NamespaceId(*namespace),
            settings: settings.clone(),
        },
        PayloadPlan::Bundle { namespaces, items } => {
            let leg = |id: &u64| Leg {
                namespace: NamespaceId(*id),
                data: vec![Bytes::from(vec![0xee; 5]); (*items).into()],
            };
            Payload::Bundle { legs: namespaces.iter().map(leg).collect() }
        }
        PayloadPlan::Lock(amount) => Payload::LockCollateral { amount: amount_of(amount) },
        PayloadPlan::Release(Amount::Everything(plus)) => {
            Payload::ReleaseCollateral { amount: give_or_take(chain.locked(&sender), *plus) }
        }
        PayloadPlan::Release(amount) => Payload::ReleaseCollateral { amount: amount_of(amount) },
        PayloadPlan::Bid { namespaces, height, sequence, amount, atomic } => {
            // Who has put up nothing does so first, more often than not.
            let half = chain.balance(&sender) / 2;
            if *sequence < 3 && chain.locked(&sender) == 0 && half > 0 {
                return Payload::LockCollateral { amount: half.min(1 << 50) };
            }
            let next = chain.height + 1;
            let mut namespaces = namespaces.clone();
            if *sequence < 3 && namespaces.iter().any(|lot| chain.lot(*lot, next).is_some()) {
                namespaces.retain(|lot| chain.lot(*lot, next).is_some());
            }
            let reserves = namespaces.iter().filter_map(|lot| chain.lot(*lot, next));
            let holding = chain.most_for_holding(&namespaces, next, now);
            let amount = match amount {
                BidAmount::Exactly(wei) => *wei,
                BidAmount::Reserve(plus) => give_or_take(reserves.sum(), *plus),
                BidAmount::Collateral(plus) => give_or_take(chain.locked(&sender), *plus),
                BidAmount::Holding(plus) => give_or_take(holding, *plus),
                BidAmount::Withdraw => 0,
            };
            let leg = |lot: &u64| Leg {
                namespace: NamespaceId(*lot),
                data: vec![Bytes::from(vec![*sequence + 1; 3]); 2],
            };
            let legs = if amount == 0 { vec![] } else { namespaces.iter().map(leg).collect() };
            let height = next.saturating_add_signed((*height).into());
            let amount = amount.min(1 << 100);
            let is_atomic = *atomic && legs.len() > 1;
            let mode = if is_atomic { BidMode::Atomic } else { BidMode::Inclusion };
            Payload::Bid { sequence: (*sequence).into(), height, amount, mode, legs }
        }
        PayloadPlan::Update { namespace, settings, .. } => Payload::UpdateNamespace {
            namespace: NamespaceId(*namespace),
            settings: settings.clone(),
        },
        PayloadPlan::Verdict { .. } => unreachable!("verdicts are made elsewhere"),
    }
}

fn submit(namespace: u64, data: &Data, sender: Address, chain: &Oracle, now: u64) -> Payload {
    let item = |length: usize| Bytes::from(vec![0xab; length]);
    let with = |data| Payload::Submit { namespace: NamespaceId(namespace), data };
    let balance = chain.balance(&sender);
    let [inclusion, besides] = prices(&with(Vec::new()), chain, now);
    let (bytes, plus) = match data {
        Data::Items(lengths) => {
            return with(lengths.iter().map(|length| item((*length).into())).collect());
        }
        Data::Quota(plus) => {
            let known = chain.namespaces.contains_key(&namespace);
            let tokens = known.then(|| chain.tokens_at(namespace, now)).flatten();
            (tokens.map_or(0, Wei::from), *plus)
        }
        Data::Inclusion(plus) => (balance / inclusion, *plus),
        Data::Both(plus) => (balance / (inclusion + besides), *plus),
    };
    let length = usize::try_from(give_or_take(bytes, plus)).unwrap_or(usize::MAX);
    let length = length.saturating_sub(AROUND_ONE_ITEM);
    let fits = Some(length).filter(|length| (1..4_000).contains(length));
    with(vec![item(fits.unwrap_or(20))])
}

fn apply_flaw(flaw: &Flaw, body: &mut TransactionBody) {
    let submit = |data| Payload::Submit { namespace: NamespaceId(0), data };
    let settings = |listed: Vec<Address>, quota| Payload::RegisterNamespace {
        namespace: NamespaceId(0),
        settings: NamespaceSettings {
            owner: Address::ZERO,
            revenue_recipient: Address::ZERO,
            submitters: Submitters::Only(listed),
            quota,
            auction: None,
            atomic: None,
        },
    };
    let sells = |every, floor| {
        let Payload::RegisterNamespace { namespace, mut settings } = settings(vec![], None) else {
            unreachable!("it registers");
        };
        settings.auction = Some(AuctionSettings { every, floor });
        Payload::RegisterNamespace { namespace, settings }
    };
    let judged = |how: BadAtomic| {
        let Payload::RegisterNamespace { namespace, mut settings } = sells(1, 0) else {
            unreachable!("it registers");
        };
        let of = |count: u8| (0..count).map(Address::with_last_byte).collect();
        let mut atomic = AtomicSettings {
            executors: of(4),
            quorum: 3,
            bond: 0,
            hold_fee: 0,
            partners: Partners::Anyone,
        };
        match how {
            BadAtomic::None => (atomic.executors, atomic.quorum) = (of(0), 0),
            BadAtomic::TooMany => (atomic.executors, atomic.quorum) = (of(17), 9),
            BadAtomic::Unsorted => atomic.executors.swap(0, 1),
            BadAtomic::Half => atomic.quorum = 2,
            BadAtomic::MoreThanAll => atomic.quorum = 5,
            BadAtomic::HighHoldFee => atomic.hold_fee = (1 << 100) + 1,
            BadAtomic::NoAuction => settings.auction = None,
            BadAtomic::TooManyPartners => {
                atomic.partners = Partners::Only((0..65).map(NamespaceId).collect());
            }
            BadAtomic::UnsortedPartners => {
                atomic.partners = Partners::Only([1, 1].map(NamespaceId).to_vec());
            }
        }
        settings.atomic = Some(atomic);
        Payload::RegisterNamespace { namespace, settings }
    };
    let bid = |amount, namespaces: &[u64]| {
        let data = vec![Bytes::from_static(b"x")];
        let leg = |id: &u64| Leg { namespace: NamespaceId(*id), data: data.clone() };
        let legs = namespaces.iter().map(leg).collect();
        Payload::Bid { sequence: 0, height: 1, amount, mode: BidMode::Inclusion, legs }
    };
    let atomic = |bid: Payload| match bid {
        Payload::Bid { sequence, height, amount, legs, .. } => {
            Payload::Bid { sequence, height, amount, mode: BidMode::Atomic, legs }
        }
        other => other,
    };
    match flaw {
        Flaw::NeverAuction => body.payload = sells(0, 0),
        Flaw::HighFloor => body.payload = sells(1, (1 << 100) + 1),
        Flaw::OneLeg => {
            let Payload::Bid { legs, .. } = bid(1, &[0]) else { unreachable!("it bids") };
            body.payload = Payload::Bundle { legs };
        }
        Flaw::OneAtomicLeg => body.payload = atomic(bid(1, &[0])),
        Flaw::AtomicWithdrawal => body.payload = atomic(bid(0, &[])),
        Flaw::Atomic(how) => body.payload = judged(*how),
        Flaw::NoLegs => body.payload = bid(1, &[]),
        Flaw::TooManyLegs => body.payload = bid(1, &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        Flaw::UnsortedLegs => body.payload = bid(1, &[1, 1]),
        Flaw::TooMuch => body.payload = bid((1 << 100) + 1, &[0]),
        Flaw::NoCollateral => body.payload = Payload::LockCollateral { amount: 0 },
        Flaw::OtherChain => body.chain_id += 1,
        Flaw::SignedForOtherChain | Flaw::BadV | Flaw::HighS => {}
        Flaw::NoItems => body.payload = submit(vec![]),
        Flaw::TooManyItems => body.payload = submit(vec![Bytes::from_static(b"x"); 4097]),
        Flaw::EmptyItem => {
            body.payload = submit(vec![Bytes::from_static(b"x"), Bytes::new()]);
        }
        Flaw::Size(beyond) => {
            let length = 128 * 1024 - AROUND_ONE_ITEM + beyond;
            body.payload = submit(vec![Bytes::from(vec![1; length])]);
        }
        Flaw::EmptyQuota => {
            let quota = Quota { bytes_per_second: 0, burst_bytes: 1 };
            body.payload = settings(vec![], Some(quota));
        }
        Flaw::UnsortedSubmitters => {
            body.payload = settings(vec![address(1), address(0)], None);
        }
        Flaw::TooManySubmitters => {
            body.payload = settings((0..65).map(Address::with_last_byte).collect(), None);
        }
    }
}

/// The malleable twin: `s` becomes the order of the group less `s`, and `v` the other.
fn make_high_s(signature: &mut Signature) {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36,
        0x41, 0x41,
    ];
    let mut borrow = false;
    for (digit, minuend) in signature.0[32..64].iter_mut().zip(ORDER).rev() {
        let (difference, under) = minuend.overflowing_sub(*digit);
        let (difference, under_too) = difference.overflowing_sub(borrow.into());
        (*digit, borrow) = (difference, under || under_too);
    }
    signature.0[64] ^= 27 ^ 28;
}
