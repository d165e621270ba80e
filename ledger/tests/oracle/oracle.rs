//! The ledger of protocol sections 6 to 9 once more, written from their text alone.
//!
//! Plain maps, every commitment summed up anew after every block, every encoding laid out by hand.
//! It shares no code with the ledger; of the types it uses the objects a block is made of, borsh of
//! whole transactions and batches, the two hash functions and the recovery of a signature's signer.

pub(crate) mod atomic;
mod auction;
mod commitment;

use std::collections::{BTreeMap, BTreeSet};

use weft_ledger::{LaneCut, OrderedBlock};
use weft_types::hash::{blake3, keccak256};
use weft_types::{
    Address, AtomicSettings, B256, BidMode, Bytes, Genesis, L1Event, L1Origin, Leg, Member,
    NamespaceSettings, Outcome, Params, Partners, Payload, Receipt, ReceiptStatus, SkipReason,
    Submitters, Transaction, UnsealKey, Wei, Withdrawal,
};

use atomic::{Decided, Heard, Standing, Undecided};
use auction::Bid;
pub(crate) use commitment::Entries;
use commitment::{legs_root, length, results_root, slices_root, withdrawal_leaf, withdrawals_root};

/// Wei per byte, and the block time it is as of.
type Price = (Wei, u64);

/// No price is above it.
const MOST: Wei = 1 << 80;

pub(crate) struct Namespace {
    pub(crate) settings: NamespaceSettings,
    pub(crate) price: Price,
    pub(crate) tokens: u64,
    pub(crate) tokens_at_ms: u64,
    pub(crate) reserve: Wei,
    pub(crate) reserve_at: u64,
    pub(crate) earned: Wei,
    pub(crate) held_by: Option<B256>,
    pub(crate) standing: Standing,
}

impl Namespace {
    fn new(settings: &NamespaceSettings, price: Price, height: u64) -> Self {
        Self {
            settings: settings.clone(),
            price,
            tokens: full(settings),
            tokens_at_ms: price.1,
            reserve: 0,
            reserve_at: height,
            earned: 0,
            held_by: None,
            standing: Standing::default(),
        }
    }
}

/// The ledger at some height.
pub(crate) struct Oracle {
    pub(crate) params: Params,
    chain_id: u64,
    pub(crate) height: u64,
    pub(crate) time_ms: u64,
    pub(crate) non_empty_blocks: u64,
    pub(crate) l1_origin: L1Origin,
    pub(crate) price: Price,
    pub(crate) burned: Wei,
    pub(crate) committee: Vec<Member>,
    pub(crate) next_committee: Vec<Member>,
    pub(crate) stakes: BTreeMap<Address, Wei>,
    /// The leaf of each withdrawal, from the first.
    pub(crate) withdrawals: Vec<B256>,
    /// What is there for relayers, and the L1 block they were last paid for.
    pub(crate) relay: (Wei, u64),
    pub(crate) accounts: BTreeMap<Address, Wei>,
    pub(crate) namespaces: BTreeMap<u64, Namespace>,
    /// What backs bids, and what is on its way back, by when.
    pub(crate) collateral: BTreeMap<Address, Wei>,
    pub(crate) releases: BTreeMap<(u64, Address), Wei>,
    /// Atomic bundles that hold namespaces.
    pub(crate) undecided: BTreeMap<B256, Undecided>,
    /// `last_seen`, `debt` and `earned`.
    pub(crate) validators: BTreeMap<Address, (u64, Wei, Wei)>,
    pub(crate) lanes: BTreeMap<Address, LaneCut>,
    /// By `valid_until` and id, the height that ordered it.
    pub(crate) remembered: BTreeMap<(u64, B256), u64>,
    /// Whom each non-empty block embedded, from the first.
    embedded: Vec<BTreeSet<Address>>,
}

/// What became of a transaction, for the curious as well as for the receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Malformed,
    OutsideWindow,
    Duplicate,
    LateDuplicate,
    Skipped(u8),
    Submitted,
    Bundled,
    Transferred,
    TransferredToOneself,
    Registered,
    Updated,
    Withdrawn,
    Locked,
    Released,
    Judged(Heard),
    /// With its result's number.
    Bid(u8),
}

/// What a block came to.
pub(crate) struct Expected {
    pub(crate) outcome: Outcome,
    pub(crate) receipts: Vec<Vec<Option<Receipt>>>,
    /// By namespace, the encoded entries.
    pub(crate) slices: BTreeMap<u64, Vec<Vec<u8>>>,
    pub(crate) withdrawals: Vec<Withdrawal>,
    pub(crate) ends: Vec<End>,
    /// How many lots each winner of the auction has.
    pub(crate) won: Vec<usize>,
    pub(crate) decided: Vec<Decided>,
}

/// A transaction that is well formed.
struct Checked {
    id: B256,
    sender: Address,
}

/// What accumulates over a block.
struct Running {
    height: u64,
    now: u64,
    /// With this block.
    non_empty_blocks: u64,
    base_fee: Wei,
    collected: Wei,
    submitted_bytes: BTreeMap<u64, u128>,
    slices: BTreeMap<u64, Vec<Vec<u8>>>,
    withdrawals: Vec<Withdrawal>,
    decided: Vec<Decided>,
}

impl Oracle {
    pub(crate) fn genesis(genesis: &Genesis) -> Self {
        let floor = (genesis.params.min_base_fee, genesis.time_ms);
        let stakes: BTreeMap<_, _> =
            genesis.stakes.iter().map(|s| (s.validator, s.stake)).collect();
        let mut next_committee = deal(&stakes, genesis.params.committee_size);
        if next_committee.is_empty() {
            next_committee = genesis.validators.clone();
        }
        Self {
            params: genesis.params,
            chain_id: genesis.chain_id,
            height: 0,
            time_ms: genesis.time_ms,
            non_empty_blocks: 0,
            l1_origin: genesis.l1_origin,
            price: floor,
            burned: 0,
            committee: genesis.validators.clone(),
            next_committee,
            stakes,
            withdrawals: Vec::new(),
            relay: (0, genesis.l1_origin.number),
            accounts: genesis.accounts.iter().map(|a| (a.address, a.balance)).collect(),
            namespaces: (genesis.namespaces.iter())
                .map(|n| (n.namespace.0, Namespace::new(&n.settings, floor, 0)))
                .collect(),
            collateral: BTreeMap::new(),
            releases: BTreeMap::new(),
            undecided: BTreeMap::new(),
            validators: genesis.validators.iter().map(|m| (m.address, (0, 0, 0))).collect(),
            lanes: BTreeMap::new(),
            remembered: BTreeMap::new(),
            embedded: Vec::new(),
        }
    }

    pub(crate) fn balance(&self, account: &Address) -> Wei {
        self.accounts.get(account).copied().unwrap_or(0)
    }

    /// A price at a block's time.
    pub(crate) fn price_at(&self, (base, at_ms): Price, now: u64) -> Wei {
        let price = base - base * u128::from((now - at_ms).min(8000)) / 8000;
        price.max(self.params.min_base_fee).min(MOST)
    }

    /// What a namespace's bucket holds at a block's time; `None` without a quota.
    pub(crate) fn tokens_at(&self, namespace: u64, now: u64) -> Option<u64> {
        let namespace = &self.namespaces[&namespace];
        let quota = namespace.settings.quota?;
        let elapsed = u128::from(now - namespace.tokens_at_ms);
        let gained = elapsed * u128::from(quota.bytes_per_second) / 1000;
        let tokens = (u128::from(namespace.tokens) + gained).min(u128::from(quota.burst_bytes));
        Some(u64::try_from(tokens).unwrap())
    }

    /// Executes the next block.
    pub(crate) fn apply(&mut self, block: &OrderedBlock<'_>) -> Expected {
        let now = block.time_ms;
        self.remembered.retain(|(valid_until, _), _| *valid_until >= now);
        for ((at_ms, account), amount) in std::mem::take(&mut self.releases) {
            if at_ms <= now {
                *self.accounts.entry(account).or_default() += amount;
            } else {
                self.releases.insert((at_ms, account), amount);
            }
        }

        let base_fee = self.price_at(self.price, now);
        let mut running = Running {
            height: block.height,
            now,
            non_empty_blocks: self.non_empty_blocks + u64::from(!block.observers.is_empty()),
            base_fee,
            collected: 0,
            submitted_bytes: BTreeMap::new(),
            slices: BTreeMap::new(),
            withdrawals: Vec::new(),
            decided: Vec::new(),
        };
        for (number, events) in (self.l1_origin.number + 1..).zip(&block.events) {
            for event in &events.0 {
                self.l1_event(number, event, &mut running);
            }
        }
        let (mut ends, mut receipts, mut block_bytes) = (Vec::new(), Vec::new(), 0u128);
        let mut unpaid: Vec<(Address, u128)> = Vec::new();
        let (mut early, mut bids) = (BTreeMap::new(), Vec::new());
        for (batch, ordered) in block.batches.iter().enumerate() {
            for (at, transaction) in ordered.batch.body.transactions.iter().enumerate() {
                if matches!(transaction.body.payload, Payload::Bid { .. }) {
                    let ended = self.transaction(transaction, block.height, now, &mut running);
                    if ended.0 == End::Bid(0) {
                        let Checked { id, sender } = check(transaction, self.chain_id).unwrap();
                        bids.push(Bid::new(id, sender, &transaction.body.payload));
                    }
                    early.insert((batch, at), ended);
                }
            }
        }
        let mut auction = self.auction(&bids, &mut running);
        for (batch, ordered) in block.batches.iter().enumerate() {
            let mut of_batch = Vec::new();
            block_bytes += size(&**ordered.batch);
            for (at, transaction) in ordered.batch.body.transactions.iter().enumerate() {
                let (end, receipt) = match early.remove(&(batch, at)) {
                    Some((End::Bid(_), receipt)) => {
                        let id = check(transaction, self.chain_id).unwrap().id;
                        (End::Bid(auction.results[&id]), receipt)
                    }
                    Some(ended) => ended,
                    None => self.transaction(transaction, block.height, now, &mut running),
                };
                let pays = match end {
                    End::Malformed | End::OutsideWindow | End::LateDuplicate => false,
                    End::Duplicate => true,
                    _ => receipt.is_some_and(|r| r.fee > 0),
                };
                if !pays {
                    unpaid.push((ordered.author, size(transaction)));
                }
                ends.push(end);
                of_batch.push(receipt);
            }
            receipts.push(of_batch);
        }

        let (leaves, of_bundles) = self.decisions(&mut running);
        auction.leaves.extend(leaves);
        for (author, bytes) in unpaid {
            self.validators.get_mut(&author).unwrap().1 += bytes * base_fee;
        }
        let room = (self.params.relay_reward * 64).saturating_sub(self.relay.0);
        let for_relayers = (running.collected / 20).min(room);
        self.relay.0 += for_relayers;
        let shared = running.collected - for_relayers + auction.for_validators + of_bundles;
        self.share_out(shared, &block.observers);

        self.price = (raised(base_fee, block_bytes, self.params.target_bytes_per_second), now);
        for (id, bytes) in running.submitted_bytes {
            let price = self.price_at(self.namespaces[&id].price, now);
            let target = self.params.namespace_target_bytes_per_second;
            self.namespaces.get_mut(&id).unwrap().price = (raised(price, bytes, target), now);
        }

        if now / self.params.epoch_ms > self.time_ms / self.params.epoch_ms {
            self.committee = self.next_committee.clone();
            let next = deal(&self.stakes, self.params.committee_size);
            if !next.is_empty() {
                self.next_committee = next;
            }
            for member in &self.committee {
                self.validators.entry(member.address).or_default();
            }
        }
        self.lanes.extend(block.cuts.iter().copied());
        (self.height, self.time_ms, self.l1_origin) = (block.height, now, block.l1_origin);
        if !block.observers.is_empty() {
            self.non_empty_blocks += 1;
            self.embedded.push(block.observers.iter().copied().collect());
            for observer in &block.observers {
                self.validators.get_mut(observer).unwrap().0 = self.non_empty_blocks;
            }
        }

        let outcome = Outcome {
            ledger_root: self.ledger_root(),
            slices_root: slices_root(&running.slices),
            results_root: results_root(&auction.leaves),
            withdrawals_root: withdrawals_root(&self.withdrawals),
            unseal_key: UnsealKey([0; 48]),
        };
        let Running { slices, withdrawals, decided, .. } = running;
        Expected { outcome, receipts, slices, withdrawals, ends, won: auction.won, decided }
    }

    fn l1_event(&mut self, number: u64, event: &L1Event, running: &mut Running) {
        match event {
            L1Event::Deposit { to, amount } => *self.accounts.entry(*to).or_insert(0) += amount,
            L1Event::Stake { validator, stake: 0 } => drop(self.stakes.remove(validator)),
            L1Event::Stake { validator, stake } => drop(self.stakes.insert(*validator, *stake)),
            L1Event::Forced { namespace, index, sender, fee, data } => {
                self.relay.0 += fee;
                if self.namespaces.contains_key(&namespace.0) {
                    let mut entry = vec![2];
                    entry.extend_from_slice(&index.to_le_bytes());
                    entry.extend_from_slice(sender.as_slice());
                    entry.extend_from_slice(&length(data.len()));
                    entry.extend_from_slice(data);
                    running.slices.entry(namespace.0).or_default().push(entry);
                }
            }
            L1Event::Posted { poster, .. } => {
                if number >= self.relay.1 + self.params.relay_interval {
                    let reward = self.params.relay_reward.min(self.relay.0);
                    self.relay = (self.relay.0 - reward, number);
                    *self.accounts.entry(*poster).or_insert(0) += reward;
                }
            }
        }
    }

    /// All wei there is.
    pub(crate) fn supply(&self) -> Wei {
        let put_up = self.collateral.values().chain(self.releases.values()).sum::<Wei>();
        let set_aside = self.undecided.values().map(|bundle| bundle.locked).sum::<Wei>();
        self.accounts.values().sum::<Wei>() + put_up + set_aside + self.burned + self.relay.0
    }

    /// Gives everything collected to the embedded validators, as far as they have no debt, and
    /// burns the rest.
    fn share_out(&mut self, collected: Wei, observers: &[Address]) {
        let seats: u64 = self.committee.iter().map(|member| member.seats).sum();
        let n = u128::from(seats);
        let mut given = 0;
        for member in self.committee.clone() {
            if !observers.contains(&member.address) {
                continue;
            }
            // collected * seats / n, in an order that does not overflow.
            let held = u128::from(member.seats);
            let part = collected / n * held + collected % n * held / n;
            let (_, debt, earned) = self.validators.get_mut(&member.address).unwrap();
            let covered = part.min(*debt);
            *debt -= covered;
            *earned += part - covered;
            *self.accounts.entry(member.address).or_insert(0) += part - covered;
            given += part - covered;
        }
        self.burned += collected - given;
    }

    fn transaction(
        &mut self,
        transaction: &Transaction,
        height: u64,
        now: u64,
        running: &mut Running,
    ) -> (End, Option<Receipt>) {
        let Some(Checked { id, sender }) = check(transaction, self.chain_id) else {
            return (End::Malformed, None);
        };
        let body = &transaction.body;
        let latest = u128::from(now) + u128::from(self.params.max_validity_ms);
        if body.valid_until < now || u128::from(body.valid_until) > latest {
            return (End::OutsideWindow, None);
        }
        if let Some(before) = self.remembered.get(&(body.valid_until, id)) {
            let late = height - before > 16;
            return (if late { End::LateDuplicate } else { End::Duplicate }, None);
        }
        self.remembered.insert((body.valid_until, id), height);

        let bytes = size(transaction);
        let flat =
            if matches!(body.payload, Payload::Bid { .. }) { self.params.bid_fee } else { 0 };
        let inclusion = bytes * running.base_fee + flat;
        if body.max_fee < inclusion {
            return skipped(SkipReason::FeeAboveMax, 0);
        }
        if self.balance(&sender) < inclusion {
            return skipped(SkipReason::CannotPayFee, 0);
        }
        self.charge(sender, inclusion, running);
        match self.payload(transaction, id, sender, inclusion, (height, now), running) {
            Err(reason) => skipped(reason, inclusion),
            Ok((end, more)) => {
                let fee = inclusion + more;
                (end, Some(Receipt { status: ReceiptStatus::Executed, fee }))
            }
        }
    }

    /// The payload's effect. On success, what it cost beyond inclusion.
    fn payload(
        &mut self,
        transaction: &Transaction,
        id: B256,
        sender: Address,
        inclusion: Wei,
        (height, now): (u64, u64),
        running: &mut Running,
    ) -> Result<(End, Wei), SkipReason> {
        match &transaction.body.payload {
            Payload::Submit { namespace, data } => {
                let bytes = size(transaction);
                let fee = self.tested(namespace.0, bytes, sender, now)?;
                if fee > transaction.body.max_fee - inclusion || fee > self.balance(&sender) {
                    return Err(SkipReason::NamespaceFeeNotCovered);
                }
                self.charge(sender, fee, running);
                self.take_tokens(namespace.0, bytes, now);
                let mut entry = vec![3];
                entry.extend_from_slice(id.as_slice());
                entry.extend_from_slice(sender.as_slice());
                entry.extend_from_slice(&items(data));
                running.slices.entry(namespace.0).or_default().push(entry);
                *running.submitted_bytes.entry(namespace.0).or_insert(0) += bytes;
                Ok((End::Submitted, fee))
            }
            Payload::Transfer { to, amount } => {
                if self.balance(&sender) < *amount {
                    return Err(SkipReason::BalanceTooLow);
                }
                if *to == sender {
                    return Ok((End::TransferredToOneself, 0));
                }
                let received = self.balance(to).checked_add(*amount).ok_or(SkipReason::Overflow)?;
                self.accounts.insert(sender, self.balance(&sender) - amount);
                self.accounts.insert(*to, received);
                Ok((End::Transferred, 0))
            }
            Payload::Withdraw { to, amount } => {
                if self.balance(&sender) < *amount {
                    return Err(SkipReason::BalanceTooLow);
                }
                self.accounts.insert(sender, self.balance(&sender) - amount);
                let index = self.withdrawals.len() as u64;
                self.withdrawals.push(withdrawal_leaf(index, to, *amount));
                running.withdrawals.push(Withdrawal { index, to: *to, amount: *amount });
                Ok((End::Withdrawn, 0))
            }
            Payload::RegisterNamespace { namespace, settings } => {
                if self.namespaces.contains_key(&namespace.0) {
                    return Err(SkipReason::NamespaceTaken);
                }
                let fee = self.params.registration_fee;
                if self.balance(&sender) < fee {
                    return Err(SkipReason::BalanceTooLow);
                }
                self.charge(sender, fee, running);
                let new = Namespace::new(settings, (self.params.min_base_fee, now), height);
                self.namespaces.insert(namespace.0, new);
                Ok((End::Registered, fee))
            }
            Payload::UpdateNamespace { namespace, settings } => {
                let known =
                    self.namespaces.get(&namespace.0).ok_or(SkipReason::UnknownNamespace)?;
                if known.settings.owner != sender {
                    return Err(SkipReason::NotOwner);
                }
                // Without a bucket before, the new one (if any) starts full.
                let kept = self.tokens_at(namespace.0, now).unwrap_or(u64::MAX);
                let reserve = self.reserve(namespace.0, height + 1);
                let known = self.namespaces.get_mut(&namespace.0).unwrap();
                known.settings = settings.clone();
                known.tokens = kept.min(full(settings));
                known.tokens_at_ms = now;
                known.reserve = reserve.unwrap_or(known.reserve);
                known.reserve_at = height;
                Ok((End::Updated, 0))
            }
            Payload::LockCollateral { amount } => {
                if self.balance(&sender) < *amount {
                    return Err(SkipReason::BalanceTooLow);
                }
                *self.accounts.entry(sender).or_default() -= amount;
                *self.collateral.entry(sender).or_default() += amount;
                Ok((End::Locked, 0))
            }
            Payload::ReleaseCollateral { amount } => {
                if self.locked(&sender) < *amount {
                    return Err(SkipReason::CollateralTooLow);
                }
                *self.collateral.entry(sender).or_default() -= amount;
                let at_ms = now.saturating_add(self.params.collateral_delay_ms);
                *self.releases.entry((at_ms, sender)).or_default() += amount;
                Ok((End::Released, 0))
            }
            Payload::Bid { .. } => Ok((End::Bid(0), 0)),
            Payload::Verdict { bundle, namespace, effects } => {
                let heard = self.verdict(bundle.0, namespace.0, *effects, sender)?;
                Ok((End::Judged(heard), 0))
            }
            Payload::Bundle { legs } => {
                let mut all = Vec::new();
                for leg in legs {
                    let bytes = size(leg);
                    let fee = self.tested(leg.namespace.0, bytes, sender, now)?;
                    all.push((leg.namespace.0, bytes, fee));
                }
                let fee: Wei = all.iter().map(|(_, _, fee)| fee).sum();
                if fee > transaction.body.max_fee - inclusion || fee > self.balance(&sender) {
                    return Err(SkipReason::NamespaceFeeNotCovered);
                }
                self.charge(sender, fee, running);
                let tie = Tie::of(legs);
                for (index, (leg, (id_of_namespace, bytes, _))) in legs.iter().zip(all).enumerate()
                {
                    self.take_tokens(id_of_namespace, bytes, now);
                    let mut entry = vec![4];
                    entry.extend_from_slice(id.as_slice());
                    entry.extend_from_slice(sender.as_slice());
                    entry.extend_from_slice(&tie.place(index));
                    entry.extend_from_slice(&items(&leg.data));
                    running.slices.entry(id_of_namespace).or_default().push(entry);
                    *running.submitted_bytes.entry(id_of_namespace).or_insert(0) += bytes;
                }
                Ok((End::Bundled, fee))
            }
        }
    }

    /// What a namespace charges for so many bytes of the sender's, if it takes them.
    fn tested(
        &self,
        namespace: u64,
        bytes: u128,
        sender: Address,
        now: u64,
    ) -> Result<Wei, SkipReason> {
        let known = self.namespaces.get(&namespace).ok_or(SkipReason::UnknownNamespace)?;
        if let Submitters::Only(list) = &known.settings.submitters
            && !list.contains(&sender)
        {
            return Err(SkipReason::NotAdmitted);
        }
        if self.tokens_at(namespace, now).is_some_and(|tokens| u128::from(tokens) < bytes) {
            return Err(SkipReason::OverQuota);
        }
        Ok(bytes * self.price_at(known.price, now))
    }

    fn take_tokens(&mut self, namespace: u64, bytes: u128, now: u64) {
        let tokens = self.tokens_at(namespace, now);
        let known = self.namespaces.get_mut(&namespace).unwrap();
        known.tokens = tokens.map_or(0, |tokens| tokens - u64::try_from(bytes).unwrap());
        // Moves without a bucket, too.
        known.tokens_at_ms = now;
    }

    fn charge(&mut self, account: Address, fee: Wei, running: &mut Running) {
        *self.accounts.get_mut(&account).unwrap() -= fee;
        running.collected += fee;
    }

    /// Whether none of the last `absence_window` non-empty blocks embeds the validator.
    pub(crate) fn is_absent(&self, validator: &Address) -> bool {
        let window = usize::try_from(self.params.absence_window).unwrap();
        self.embedded.len() >= window
            && self.embedded.iter().rev().take(window).all(|block| !block.contains(validator))
    }

    /// Who of the committee may lead round 0.
    pub(crate) fn leaders(&self) -> Vec<bool> {
        let present: Vec<bool> =
            self.committee.iter().map(|member| !self.is_absent(&member.address)).collect();
        let all: u64 = self.committee.iter().map(|member| member.seats).sum();
        let here: u64 = (self.committee.iter().zip(&present))
            .filter(|(_, present)| **present)
            .map(|(member, _)| member.seats)
            .sum();
        if 3 * here > 2 * all { present } else { vec![true; self.committee.len()] }
    }
}

/// What ties legs together: how many, and their root.
pub(crate) struct Tie(u8, B256);

impl Tie {
    pub(crate) fn of(legs: &[Leg]) -> Self {
        let leaves = legs.iter().map(|leg| {
            let digest = blake3(&[&items(&leg.data)]);
            keccak256(&[&[0], &leg.namespace.0.to_be_bytes(), digest.as_slice()])
        });
        let count = u8::try_from(legs.len()).unwrap();
        Self(count, legs_root(leaves.collect()))
    }

    /// As an entry has it.
    pub(crate) fn place(&self, index: usize) -> Vec<u8> {
        [&[u8::try_from(index).unwrap(), self.0], self.1.as_slice()].concat()
    }
}

/// Items as entries have them.
pub(crate) fn items(data: &[Bytes]) -> Vec<u8> {
    let mut bytes = length(data.len()).to_vec();
    for item in data {
        bytes.extend_from_slice(&length(item.len()));
        bytes.extend_from_slice(item);
    }
    bytes
}

fn fine_legs(legs: &[Leg]) -> bool {
    legs.windows(2).all(|pair| pair[0].namespace < pair[1].namespace)
        && legs.iter().all(|leg| {
            (1..=4096).contains(&leg.data.len()) && leg.data.iter().all(|item| !item.is_empty())
        })
}

fn skipped(reason: SkipReason, fee: Wei) -> (End, Option<Receipt>) {
    let receipt = Receipt { status: ReceiptStatus::Skipped(reason), fee };
    (End::Skipped(reason as u8), Some(receipt))
}

/// Seat by seat, to whoever would then have the most stake per seat; of equals, the lower address.
fn deal(stakes: &BTreeMap<Address, Wei>, size: u16) -> Vec<Member> {
    let mut seats: BTreeMap<Address, u64> = BTreeMap::new();
    for _ in 0..size {
        let mut best: Option<(Address, Wei, Wei)> = None;
        for (address, stake) in stakes {
            let held = Wei::from(*seats.get(address).unwrap_or(&0)) + 1;
            if best.is_none_or(|(_, most, for_seats)| stake * for_seats > most * held) {
                best = Some((*address, *stake, held));
            }
        }
        if let Some((address, ..)) = best {
            *seats.entry(address).or_insert(0) += 1;
        }
    }
    seats.into_iter().map(|(address, seats)| Member { address, seats }).collect()
}

/// A price after a block that used so many bytes.
fn raised(price: Wei, bytes: u128, target: u64) -> Wei {
    let most = 8 * u128::from(target);
    (price + price * bytes.min(most) / most).min(MOST)
}

/// The tokens of a full bucket.
fn full(settings: &NamespaceSettings) -> u64 {
    settings.quota.map_or(0, |quota| quota.burst_bytes)
}

/// What a transaction's form, chain id and signature come to; `None` if one is bad.
fn check(transaction: &Transaction, chain_id: u64) -> Option<Checked> {
    let body = &transaction.body;
    let fine = match &body.payload {
        Payload::Submit { data, .. } => {
            (1..=4096).contains(&data.len()) && data.iter().all(|item| !item.is_empty())
        }
        Payload::Transfer { .. } | Payload::Verdict { .. } => true,
        Payload::Withdraw { amount, .. }
        | Payload::LockCollateral { amount }
        | Payload::ReleaseCollateral { amount } => *amount > 0,
        Payload::Bundle { legs } => (2..=8).contains(&legs.len()) && fine_legs(legs),
        Payload::Bid { amount, mode, legs, .. } => {
            let least = if *mode == BidMode::Atomic { 2 } else { 1 };
            let offers = (1..=1 << 100).contains(amount) && (least..=8).contains(&legs.len());
            let withdraws = *amount == 0 && legs.is_empty() && *mode == BidMode::Inclusion;
            fine_legs(legs) && (offers || withdraws)
        }
        Payload::RegisterNamespace { settings, .. } | Payload::UpdateNamespace { settings, .. } => {
            let listed = match &settings.submitters {
                Submitters::Anyone => true,
                Submitters::Only(list) => {
                    list.len() <= 64 && list.windows(2).all(|pair| pair[0] < pair[1])
                }
            };
            let quota = settings.quota;
            let sells = |a: weft_types::AuctionSettings| a.every > 0 && a.floor <= 1 << 100;
            listed
                && quota.is_none_or(|q| q.bytes_per_second > 0 && q.burst_bytes > 0)
                && settings.auction.is_none_or(sells)
                && settings
                    .atomic
                    .as_ref()
                    .is_none_or(|it| settings.auction.is_some() && judges(it))
        }
    };
    if !fine || body.chain_id != chain_id || size(transaction) > 128 * 1024 {
        return None;
    }
    let signed = keccak256(&[
        keccak256(&[b"weft/transaction/v1"]).as_slice(),
        &chain_id.to_be_bytes(),
        blake3(&[&borsh::to_vec(body).unwrap()]).as_slice(),
    ]);
    let sender = transaction.signature.recover(signed).ok()?;
    Some(Checked { id: blake3(&[&borsh::to_vec(transaction).unwrap()]), sender })
}

fn judges(atomic: &AtomicSettings) -> bool {
    let AtomicSettings { executors, quorum, hold_fee, partners, .. } = atomic;
    let (count, quorum) = (executors.len(), usize::from(*quorum));
    (1..=16).contains(&count)
        && executors.windows(2).all(|pair| pair[0] < pair[1])
        && 2 * quorum > count
        && quorum <= count
        && *hold_fee <= 1 << 100
        && match partners {
            Partners::Anyone => true,
            Partners::Only(list) => {
                list.len() <= 64 && list.windows(2).all(|pair| pair[0] < pair[1])
            }
        }
}

fn size<T: borsh::BorshSerialize>(value: &T) -> u128 {
    borsh::to_vec(value).unwrap().len() as u128
}
