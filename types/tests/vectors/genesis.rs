//! Genesis: its block's header and id, and each rule.

use weft_types::genesis::{Allocation, GenesisNamespace};
use weft_types::{
    Address, AtomicSettings, AuctionSettings, Genesis, L1Contracts, L1Origin, Member, NamespaceId,
    NamespaceSettings, Params, Quota, Stake, Submitters,
};

use crate::document::{Vector, hex};
use crate::fixtures::{CHAIN, NOW, address, hash_of, members, validators};
use crate::refusal::Refusal;
use crate::transaction::{atomic, settings};

pub(crate) fn vectors() -> Vec<Vector> {
    let fine = sample();
    let least = Genesis {
        l1_origin: L1Origin::default(),
        l1: None,
        stakes: vec![],
        validators: vec![Member { address: Address::with_last_byte(1), seats: 1 }],
        accounts: vec![],
        namespaces: vec![],
        ..sample()
    };
    let chosen = Params {
        max_block_bytes: 262_144,
        max_validity_ms: 3_600_000,
        absence_window: 1,
        min_base_fee: 8,
        target_bytes_per_second: 1,
        namespace_target_bytes_per_second: 2,
        registration_fee: 0,
        committee_size: 1,
        epoch_ms: 1_000,
        relay_reward: 0,
        relay_interval: 0,
        bid_fee: 0,
        bid_penalty: 0,
        collateral_delay_ms: 0,
        auction_validators: 0,
        auction_burned: 0,
        hold_limit_ms: 1,
        hold_heights: 4,
        suspension_ms: 0,
    };
    let other = Params {
        max_block_bytes: 4_194_304,
        max_validity_ms: 1_000,
        min_base_fee: 1 << 64,
        registration_fee: u128::MAX,
        committee_size: 256,
        epoch_ms: u64::MAX,
        relay_reward: 1 << 80,
        relay_interval: u64::MAX,
        bid_fee: 1 << 80,
        bid_penalty: 1 << 80,
        collateral_delay_ms: u64::MAX,
        auction_validators: 10_000,
        hold_limit_ms: 60_000,
        hold_heights: 1024,
        suspension_ms: 86_400_000,
        ..chosen
    };
    let burning = Params { auction_burned: 10_000, ..chosen };
    let halved = Params { auction_validators: 4_999, auction_burned: 5_001, ..chosen };
    let change = |change: &dyn Fn(&mut Genesis)| {
        let mut changed = sample();
        change(&mut changed);
        changed
    };
    let param = |set: &dyn Fn(&mut Params)| change(&|g| set(&mut g.params));
    let with = |params| Genesis { params, ..least.clone() };
    let allocation = |name, balance| Allocation { address: address(name), balance };
    let bytes = borsh::to_vec(&fine).unwrap();
    let mut vectors = vec![
        vector("full", &fine, "accepted"),
        vector("one validator and nothing else", &least, "accepted"),
        vector("lowest parameters", &with(chosen), "accepted"),
        vector("other extremes of parameters", &with(other), "accepted"),
        vector("all that lots bring is burned", &with(burning), "accepted"),
        vector("nothing that lots bring is for rollups", &with(halved), "accepted"),
    ];
    let refused: [(&str, Genesis, &str); 43] = [
        ("no validators", change(&|g| g.validators.clear()), "validators/size"),
        ("validators descending", change(&|g| g.validators.reverse()), "validators/unsorted"),
        ("no seats", change(&|g| g.validators[0].seats = 0), "validators/seats"),
        ("accounts descending", change(&|g| g.accounts.reverse()), "unsorted/accounts"),
        (
            "an account twice",
            change(&|g| g.accounts = vec![allocation("rich", 1); 2]),
            "unsorted/accounts",
        ),
        ("namespaces descending", change(&|g| g.namespaces.reverse()), "unsorted/namespaces"),
        (
            "a quota without a rate",
            change(&|g| {
                g.namespaces[0].settings.quota =
                    Some(Quota { bytes_per_second: 0, burst_bytes: 1 });
            }),
            "settings/empty_quota",
        ),
        (
            "submitters twice",
            change(&|g| {
                let twice = vec![address("gateway"); 2];
                g.namespaces[0].settings.submitters = Submitters::Only(twice);
            }),
            "settings/unsorted_submitters",
        ),
        (
            "an auction at no height",
            change(&|g| {
                g.namespaces[1].settings.auction = Some(AuctionSettings { every: 0, floor: 1 });
            }),
            "settings/auction_never",
        ),
        (
            "an auction with a floor too high",
            change(&|g| {
                let floor = (1 << 100) + 1;
                g.namespaces[1].settings.auction = Some(AuctionSettings { every: 1, floor });
            }),
            "settings/auction_floor",
        ),
        (
            "executors without an auction",
            change(&|g| g.namespaces[1].settings.auction = None),
            "settings/atomic_without_auction",
        ),
        (
            "executors twice",
            change(&|g| {
                let executors = vec![address("executor one"); 2];
                let twice = AtomicSettings { executors, ..atomic() };
                g.namespaces[1].settings.atomic = Some(twice);
            }),
            "settings/unsorted_executors",
        ),
        (
            "a quorum of nobody",
            change(&|g| {
                g.namespaces[1].settings.atomic = Some(AtomicSettings { quorum: 0, ..atomic() });
            }),
            "settings/quorum",
        ),
        ("balances above 128 bits", change(&|g| g.accounts[0].balance = u128::MAX), "too_much_wei"),
        ("blocks too small", param(&|p| p.max_block_bytes = 262_143), "param/max_block_bytes"),
        ("blocks too large", param(&|p| p.max_block_bytes = 4_194_305), "param/max_block_bytes"),
        ("validity too short", param(&|p| p.max_validity_ms = 999), "param/max_validity_ms"),
        ("validity too long", param(&|p| p.max_validity_ms = 3_600_001), "param/max_validity_ms"),
        ("absence at once", param(&|p| p.absence_window = 0), "param/absence_window"),
        ("base fee too low", param(&|p| p.min_base_fee = 7), "param/min_base_fee"),
        ("base fee too high", param(&|p| p.min_base_fee = (1 << 64) + 1), "param/min_base_fee"),
        ("no target", param(&|p| p.target_bytes_per_second = 0), "param/target_bytes_per_second"),
        (
            "no target of namespaces",
            param(&|p| p.namespace_target_bytes_per_second = 0),
            "param/namespace_target_bytes_per_second",
        ),
        ("no seats to deal", param(&|p| p.committee_size = 0), "param/committee_size"),
        ("too many seats to deal", param(&|p| p.committee_size = 257), "param/committee_size"),
        ("epochs too short", param(&|p| p.epoch_ms = 999), "param/epoch_ms"),
        ("too much for relayers", param(&|p| p.relay_reward = (1 << 80) + 1), "param/relay_reward"),
        ("bids too dear", param(&|p| p.bid_fee = (1 << 80) + 1), "param/bid_fee"),
        ("too high a penalty", param(&|p| p.bid_penalty = (1 << 80) + 1), "param/bid_penalty"),
        (
            "more than all for validators",
            param(&|p| (p.auction_validators, p.auction_burned) = (10_001, 0)),
            "param/auction_validators",
        ),
        (
            "more than all burned",
            param(&|p| (p.auction_validators, p.auction_burned) = (0, 10_001)),
            "param/auction_burned",
        ),
        (
            "more than all for validators and burned",
            param(&|p| (p.auction_validators, p.auction_burned) = (5_000, 5_001)),
            "param/auction_burned",
        ),
        ("holds of no time", param(&|p| p.hold_limit_ms = 0), "param/hold_limit_ms"),
        ("holds too long", param(&|p| p.hold_limit_ms = 60_001), "param/hold_limit_ms"),
        ("holds of too few heights", param(&|p| p.hold_heights = 3), "param/hold_heights"),
        ("holds of too many heights", param(&|p| p.hold_heights = 1025), "param/hold_heights"),
        ("holds of most heights there are", param(&|p| p.hold_heights = u16::MAX), "param/hold_heights"),
        ("suspended too long", param(&|p| p.suspension_ms = 86_400_001), "param/suspension_ms"),
        ("stakes descending", change(&|g| g.stakes.reverse()), "unsorted/stakes"),
        ("a stake of nothing", change(&|g| g.stakes[1].stake = 0), "no_stake"),
        ("an origin too far", change(&|g| g.l1_origin.number = 1 << 48), "l1_origin"),
        (
            "a validator twice",
            change(&|g| g.validators[1] = g.validators[0]),
            "validators/unsorted",
        ),
        ("too many seats", change(&|g| g.validators[0].seats = 1024), "validators/seats"),
    ];
    vectors.extend(refused.map(|(name, genesis, reason)| vector(name, &genesis, reason)));
    vectors.push(Vector::undecodable::<Genesis>("one byte short", &bytes[..bytes.len() - 1]));
    vectors.push(Vector::undecodable::<Genesis>("one byte more", &[&bytes[..], &[0]].concat()));
    vectors
}

fn sample() -> Genesis {
    let mut accounts = vec![("rich", 10u128.pow(24)), ("poor", 1), ("sender", 25 * 10u128.pow(17))]
        .into_iter()
        .map(|(name, balance)| Allocation { address: address(name), balance })
        .collect::<Vec<_>>();
    accounts.sort_by_key(|allocation| allocation.address);
    let limited = NamespaceSettings {
        submitters: Submitters::Only(vec![address("gateway")]),
        quota: Some(Quota { bytes_per_second: 65_536, burst_bytes: 1_000_000 }),
        auction: Some(AuctionSettings { every: 12, floor: 3 * 10u128.pow(15) }),
        atomic: Some(atomic()),
        ..settings()
    };
    Genesis {
        chain_id: CHAIN,
        time_ms: NOW,
        l1_origin: L1Origin { number: 23_456_789, hash: hash_of("L1 origin") },
        l1: Some(L1Contracts {
            chain_id: 1,
            light_client: address("light client"),
            stake_registry: address("stake registry"),
            vault: address("vault"),
            inbox: address("inbox"),
        }),
        params: Params::default(),
        validators: members(&validators(4), &[1, 1, 2, 1]),
        stakes: (validators(3).iter().zip(32..))
            .map(|(key, ether): (_, u128)| Stake {
                validator: key.address(),
                stake: ether * 10u128.pow(18),
            })
            .collect(),
        accounts,
        namespaces: vec![
            GenesisNamespace { namespace: NamespaceId(7), settings: settings() },
            GenesisNamespace { namespace: NamespaceId(845_300), settings: limited },
        ],
    }
}

fn vector(name: &str, genesis: &Genesis, expected: &str) -> Vector {
    let checked = genesis.check().map(|committee| {
        let header = genesis.header(&committee);
        serde_json::json!({
            "header": hex(header.layout()),
            "id": header.id(),
            "parent": header.parent,
            "validators_hash": committee.hash(),
        })
    });
    let bytes = borsh::to_vec(genesis).unwrap();
    Vector::of(name, genesis)
        .hash("keccak256", weft_types::hash::keccak256(&[&bytes]))
        .verdict(expected, checked.map_err(Refusal))
}
