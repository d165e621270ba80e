//! Entries and roots, laid out by hand.

use std::collections::BTreeMap;

use weft_types::hash::{blake3, keccak256};
use weft_types::{Address, B256, Member, NamespaceSettings, Partners, Submitters, Wei};

use super::atomic::{Leg, Said, Undecided};
use super::{Oracle, Price};

/// Encoded key to encoded value: all a ledger root commits to.
pub(crate) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

impl Oracle {
    /// Every entry.
    pub(crate) fn entries(&self) -> Entries {
        let mut entries = Entries::new();
        let mut put = |key: Bytes, value: Bytes| {
            assert!(entries.insert(key.0, value.0).is_none(), "two entries under one key");
        };
        put(
            Bytes::tag(0),
            (Bytes::tag(0).u64(self.height).u64(self.time_ms).u64(self.non_empty_blocks))
                .u64(self.l1_origin.number)
                .raw(self.l1_origin.hash.as_slice()),
        );
        put(Bytes::tag(1), Bytes::tag(1).price(self.price));
        put(Bytes::tag(2), Bytes::tag(2).u128(self.burned));
        put(Bytes::tag(3), Bytes::tag(3).members(&self.committee));
        for (address, balance) in self.accounts.iter().filter(|(_, balance)| **balance > 0) {
            put(Bytes::tag(4).raw(address.as_slice()), Bytes::tag(2).u128(*balance));
        }
        for (id, namespace) in &self.namespaces {
            let value = Bytes::tag(4).settings(&namespace.settings).price(namespace.price);
            let value = value.u64(namespace.tokens).u64(namespace.tokens_at_ms);
            let value = value.u128(namespace.reserve).u64(namespace.reserve_at);
            let value = value.u128(namespace.earned);
            let value = match namespace.held_by {
                None => value.raw(&[0]),
                Some(bundle) => value.raw(&[1]).raw(bundle.as_slice()),
            };
            let standing = namespace.standing;
            let value = value.raw(&[standing.strikes, standing.level]);
            put(Bytes::tag(5).u64(*id), value.u64(standing.suspended_until));
        }
        for (address, (last_seen, debt, earned)) in &self.validators {
            let value = Bytes::tag(5).u64(*last_seen).u128(*debt).u128(*earned);
            put(Bytes::tag(6).raw(address.as_slice()), value);
        }
        for (address, cut) in &self.lanes {
            let value = Bytes::tag(6).u32(cut.incarnation).u64(cut.seq);
            let value = value.raw(cut.digest.0.as_slice()).u32(cut.carry);
            put(Bytes::tag(7).raw(address.as_slice()), value);
        }
        for ((valid_until, id), height) in &self.remembered {
            put(Bytes::tag(8).u64(*valid_until).raw(id.as_slice()), Bytes::tag(7).u64(*height));
        }
        // The largest perfect subtrees, from the left: one for each bit of the count.
        let (mut left, mut peaks) = (self.withdrawals.as_slice(), Vec::new());
        while !left.is_empty() {
            let (perfect, rest) = left.split_at(1 << left.len().ilog2());
            peaks.push(keccak_root(perfect.to_vec()));
            left = rest;
        }
        let count = self.withdrawals.len() as u64;
        let tree = Bytes::tag(8).u64(count).raw(&length(peaks.len()));
        put(Bytes::tag(9), peaks.iter().fold(tree, |bytes, peak| bytes.raw(peak.as_slice())));
        for (validator, stake) in &self.stakes {
            put(Bytes::tag(10).raw(validator.as_slice()), Bytes::tag(2).u128(*stake));
        }
        put(Bytes::tag(11), Bytes::tag(3).members(&self.next_committee));
        put(Bytes::tag(12), Bytes::tag(9).u128(self.relay.0).u64(self.relay.1));
        for (address, locked) in self.collateral.iter().filter(|(_, locked)| **locked > 0) {
            put(Bytes::tag(13).raw(address.as_slice()), Bytes::tag(2).u128(*locked));
        }
        for ((at_ms, address), amount) in &self.releases {
            put(Bytes::tag(14).u64(*at_ms).raw(address.as_slice()), Bytes::tag(2).u128(*amount));
        }
        for (id, bundle) in &self.undecided {
            put(Bytes::tag(15).raw(id.as_slice()), Bytes::tag(10).undecided(bundle));
        }
        entries
    }

    pub(super) fn ledger_root(&self) -> B256 {
        let mut words = vec![0u16; 1024];
        for (key, value) in self.entries() {
            let mut output = [0; 2048];
            let mut hasher = ::blake3::Hasher::new();
            hasher.update(&[key, value].concat());
            hasher.finalize_xof().fill(&mut output);
            for (word, bytes) in words.iter_mut().zip(output.chunks(2)) {
                *word = word.wrapping_add(u16::from_le_bytes([bytes[0], bytes[1]]));
            }
        }
        let sum: Vec<u8> = words.into_iter().flat_map(u16::to_le_bytes).collect();
        blake3(&[&sum])
    }
}

pub(super) fn length(count: usize) -> [u8; 4] {
    u32::try_from(count).unwrap().to_le_bytes()
}

pub(super) fn slices_root(slices: &BTreeMap<u64, Vec<Vec<u8>>>) -> B256 {
    let mut leaves = Vec::new();
    for (namespace, entries) in slices {
        let bytes: usize = entries.iter().map(Vec::len).sum();
        let content = entries.iter().map(|entry| blake3(&[&[0], entry])).collect();
        let data_root = root(content, |left, right| blake3(&[&[1], left, right]));
        leaves.push(keccak256(&[
            &[0],
            &namespace.to_be_bytes(),
            &u32::try_from(entries.len()).unwrap().to_be_bytes(),
            &(bytes as u64).to_be_bytes(),
            data_root.as_slice(),
        ]));
    }
    let count = leaves.len() as u64;
    commit("weft/slices/v1", keccak_root(leaves), count)
}

pub(super) fn results_root(leaves: &[Vec<u8>]) -> B256 {
    let hashes = leaves.iter().map(|leaf| keccak256(&[&[0], leaf])).collect();
    commit("weft/results/v1", keccak_root(hashes), leaves.len() as u64)
}

pub(super) fn legs_root(leaves: Vec<B256>) -> B256 {
    let count = leaves.len() as u64;
    commit("weft/legs/v1", keccak_root(leaves), count)
}

pub(super) fn withdrawal_leaf(index: u64, to: &Address, amount: Wei) -> B256 {
    keccak256(&[&[0], &index.to_be_bytes(), to.as_slice(), &amount.to_be_bytes()])
}

pub(super) fn withdrawals_root(leaves: &[B256]) -> B256 {
    commit("weft/withdrawals/v1", keccak_root(leaves.to_vec()), leaves.len() as u64)
}

fn keccak_root(leaves: Vec<B256>) -> B256 {
    root(leaves, |left, right| keccak256(&[&[1], left, right]))
}

fn root(mut level: Vec<B256>, node: impl Fn(&[u8], &[u8]) -> B256) -> B256 {
    while level.len() > 1 {
        let mut above = Vec::new();
        for pair in level.chunks(2) {
            above.push(match pair {
                [left, right] => node(left.as_slice(), right.as_slice()),
                last => last[0],
            });
        }
        level = above;
    }
    level.first().copied().unwrap_or(B256::ZERO)
}

fn commit(tag: &str, root: B256, count: u64) -> B256 {
    let tag = keccak256(&[tag.as_bytes()]);
    keccak256(&[tag.as_slice(), &count.to_be_bytes(), root.as_slice()])
}

/// Bytes of an entry's key or value under construction.
struct Bytes(Vec<u8>);

impl Bytes {
    fn tag(tag: u8) -> Self {
        Self(vec![tag])
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u32(self, number: u32) -> Self {
        self.raw(&number.to_le_bytes())
    }

    fn u64(self, number: u64) -> Self {
        self.raw(&number.to_le_bytes())
    }

    fn u128(self, number: u128) -> Self {
        self.raw(&number.to_le_bytes())
    }

    fn members(self, members: &[Member]) -> Self {
        members.iter().fold(self.raw(&length(members.len())), |bytes, member| {
            bytes.raw(member.address.as_slice()).u64(member.seats)
        })
    }

    fn price(self, (base_fee, at_ms): Price) -> Self {
        self.u128(base_fee).u64(at_ms)
    }

    fn settings(self, settings: &NamespaceSettings) -> Self {
        let mut bytes =
            self.raw(settings.owner.as_slice()).raw(settings.revenue_recipient.as_slice());
        bytes = match &settings.submitters {
            Submitters::Anyone => bytes.raw(&[0]),
            Submitters::Only(list) => bytes.raw(&[1]).addresses(list),
        };
        bytes = match settings.quota {
            None => bytes.raw(&[0]),
            Some(quota) => bytes.raw(&[1]).u64(quota.bytes_per_second).u64(quota.burst_bytes),
        };
        bytes = match settings.auction {
            None => bytes.raw(&[0]),
            Some(auction) => bytes.raw(&[1]).u64(auction.every).u128(auction.floor),
        };
        match &settings.atomic {
            None => bytes.raw(&[0]),
            Some(atomic) => (bytes.raw(&[1]).addresses(&atomic.executors).raw(&[atomic.quorum]))
                .u128(atomic.bond)
                .u128(atomic.hold_fee)
                .partners(&atomic.partners),
        }
    }

    fn partners(self, partners: &Partners) -> Self {
        match partners {
            Partners::Anyone => self.raw(&[0]),
            Partners::Only(list) => list
                .iter()
                .fold(self.raw(&[1]).raw(&length(list.len())), |bytes, id| bytes.u64(id.0)),
        }
    }

    fn addresses(self, list: &[Address]) -> Self {
        list.iter().fold(self.raw(&length(list.len())), |bytes, it| bytes.raw(it.as_slice()))
    }

    fn undecided(self, bundle: &Undecided) -> Self {
        let (time, blocks, height) = bundle.deadline;
        let bytes = self.u64(bundle.height).raw(bundle.bidder.as_slice()).u128(bundle.amount);
        let bytes = bytes.u128(bundle.locked).u64(time).u64(blocks).u64(height);
        let bytes = bytes.raw(&length(bundle.legs.len()));
        bundle.legs.iter().fold(bytes, |bytes, (id, leg)| bytes.u64(*id).leg(leg))
    }

    fn leg(self, leg: &Leg) -> Self {
        let bytes = self.u128(leg.reserve).u128(leg.price).u128(leg.share);
        let bytes = bytes.addresses(&leg.executors).raw(&[leg.quorum]).u128(leg.bond);
        let bytes = bytes.raw(&length(leg.said.len()));
        leg.said.iter().fold(bytes, |bytes, (executor, said)| {
            let bytes = bytes.raw(executor.as_slice());
            match said {
                Said::Fails => bytes.raw(&[0]),
                Said::Does(effects) => bytes.raw(&[1]).raw(effects.as_slice()),
                Said::Nothing => bytes.raw(&[2]),
            }
        })
    }
}
