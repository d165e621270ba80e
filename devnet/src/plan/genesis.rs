//! What a devnet starts from.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use weft_node::home::Home;
use weft_types::genesis::{Allocation, GenesisNamespace};
use weft_types::{
    Address, AtomicSettings, Genesis, L1Origin, Member, NamespaceId, NamespaceSettings, Partners,
    SecretKey, Submitters,
};

use super::{AtomicTerms, CHAIN_ID, Options, PlannedNode, PlannedRollup, RICH, key};

/// The keys of each rollup's executors: those of its nodes, then outsiders'.
pub(super) fn executors(
    options: &Options,
    rollups: &[PlannedRollup],
) -> BTreeMap<u64, Vec<SecretKey>> {
    let mut executors: BTreeMap<u64, Vec<SecretKey>> = BTreeMap::new();
    for rollup in rollups {
        executors.entry(rollup.namespace).or_default().push(rollup.executor.clone());
    }
    let outsiders = options.atomic.map_or(0, |terms| terms.outsiders);
    for (place, keys) in executors.values_mut().enumerate() {
        keys.extend((0..outsiders).map(|i| key("outsider", place * outsiders + i)));
    }
    executors
}

/// The genesis of the first home if it is there, else a new one.
pub(super) fn genesis<'a>(
    options: &Options,
    validators: &[PlannedNode],
    accounts: impl Iterator<Item = &'a SecretKey>,
    executors: &BTreeMap<u64, Vec<SecretKey>>,
) -> eyre::Result<Genesis> {
    // A devnet that is started again goes on with the genesis it has.
    if let Some(first) = validators.first() {
        let home = Home::new(&first.home);
        if home.genesis_file().exists() {
            return home.genesis();
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let owner = key("account", 0).address();
    let mut allocations: Vec<Allocation> =
        accounts.map(|key| Allocation { address: key.address(), balance: RICH }).collect();
    allocations.sort_by_key(|allocation| allocation.address);
    let mut ids = options.namespaces.clone();
    ids.extend(options.rollups.iter().map(|(namespace, _)| *namespace));
    ids.sort_unstable();
    ids.dedup();
    let namespaces = ids
        .into_iter()
        .map(|id| GenesisNamespace {
            namespace: NamespaceId(id),
            settings: NamespaceSettings {
                owner,
                revenue_recipient: owner,
                submitters: Submitters::Anyone,
                quota: None,
                auction: options.auction,
                atomic: options.atomic.and_then(|terms| atomic(terms, id, executors)),
            },
        })
        .collect();
    let members = validators
        .iter()
        .map(|node| Member {
            address: node.key.as_ref().map_or(Address::ZERO, SecretKey::address),
            seats: 1,
        })
        .collect();
    let genesis = Genesis {
        chain_id: CHAIN_ID,
        time_ms: u64::try_from(now.as_millis())?,
        l1_origin: L1Origin::default(),
        l1: None,
        params: options.params,
        validators: members,
        stakes: Vec::new(),
        accounts: allocations,
        namespaces,
    };
    genesis.check()?;
    Ok(genesis)
}

/// With all other rollups, and nobody else.
fn atomic(
    terms: AtomicTerms,
    namespace: u64,
    executors: &BTreeMap<u64, Vec<SecretKey>>,
) -> Option<AtomicSettings> {
    let others = executors.keys().filter(|other| **other != namespace);
    let partners: Vec<NamespaceId> = others.map(|other| NamespaceId(*other)).collect();
    let executors = executors.get(&namespace)?;
    let mut addresses: Vec<Address> = executors.iter().map(SecretKey::address).collect();
    addresses.sort_unstable();
    let quorum = u8::try_from(addresses.len() / 2 + 1).ok()?;
    let AtomicTerms { bond, hold_fee, .. } = terms;
    let partners = Partners::Only(partners);
    Some(AtomicSettings { executors: addresses, quorum, bond, hold_fee, partners })
}
