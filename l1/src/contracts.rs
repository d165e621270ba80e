//! The contracts of `spec/ethereum.md`: calls to them, and what their logs mean.

use alloy_primitives::{Address, B256, Bytes, LogData, U256};
pub use alloy_sol_types::SolCall;
use alloy_sol_types::{SolEvent, sol};
use borsh::{BorshDeserialize, BorshSerialize};
use weft_types::{BlockId, Height, L1Contracts, L1Event, L1Events, NamespaceId, Wei};

/// Calls, events, errors and creation code, from the artifacts of `contracts/`.
pub mod abi {
    #![allow(missing_docs, reason = "described in spec/ethereum.md and in the contracts")]
    #![allow(clippy::all, clippy::pedantic, reason = "generated")]

    use super::sol;

    sol!(
        #[sol(all_derives)]
        LightClient,
        "../contracts/artifacts/LightClient.json"
    );
    sol!(
        #[sol(all_derives)]
        StakeRegistry,
        "../contracts/artifacts/StakeRegistry.json"
    );
    sol!(
        #[sol(all_derives)]
        Vault,
        "../contracts/artifacts/Vault.json"
    );
    sol!(
        #[sol(all_derives)]
        Inbox,
        "../contracts/artifacts/Inbox.json"
    );
}

/// A log as a provider gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawLog {
    /// Which contract.
    pub address: Address,
    /// Topics, the event's own first.
    pub topics: Vec<B256>,
    /// The rest.
    pub data: Bytes,
}

/// What a contract logged that matters to the network or to rollups.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum ContractEvent {
    /// Something that the network takes in.
    Network(L1Event),
    /// Fallback has been announced, because of a message or, with `u64::MAX`, of a stall.
    FallbackAnnounced {
        /// The message's number.
        message: u64,
    },
    /// Rollups go on without the network.
    FallbackActivated {
        /// Height of the last header that was posted before.
        height: Height,
        /// Its L1 origin's number.
        origin: u64,
    },
}

/// Why a log is none of a contract's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// From elsewhere.
    #[error("a log of {0}, which was not asked for")]
    Stranger(Address),
    /// Topics or data that the event cannot have.
    #[error("a malformed log of {0}: {1}")]
    Malformed(Address, String),
    /// More wei than there can be.
    #[error("an amount above 2^128")]
    Amount,
}

/// Addresses whose logs matter.
pub fn addresses(contracts: &L1Contracts) -> [Address; 4] {
    [contracts.light_client, contracts.stake_registry, contracts.vault, contracts.inbox]
}

/// What a log means; `None` if it means nothing to the network or to rollups.
pub fn event_of(contracts: &L1Contracts, log: &RawLog) -> Result<Option<ContractEvent>, LogError> {
    let is = |topic: B256| log.topics.first() == Some(&topic);
    let network = |event| Ok(Some(ContractEvent::Network(event)));
    if log.address == contracts.light_client && is(abi::LightClient::Posted::SIGNATURE_HASH) {
        let abi::LightClient::Posted { height, id, poster } = decode(log)?;
        return network(L1Event::Posted { height, block: BlockId(id), poster });
    }
    if log.address == contracts.stake_registry
        && is(abi::StakeRegistry::StakeChanged::SIGNATURE_HASH)
    {
        let abi::StakeRegistry::StakeChanged { validator, stake } = decode(log)?;
        return network(L1Event::Stake { validator, stake: wei(stake)? });
    }
    if log.address == contracts.vault && is(abi::Vault::Deposited::SIGNATURE_HASH) {
        let abi::Vault::Deposited { to, amount } = decode(log)?;
        return network(L1Event::Deposit { to, amount: wei(amount)? });
    }
    if log.address == contracts.inbox {
        if is(abi::Inbox::Forced::SIGNATURE_HASH) {
            let abi::Inbox::Forced { namespace, index, sender, fee, data } = decode(log)?;
            let (namespace, fee) = (NamespaceId(namespace), wei(fee)?);
            return network(L1Event::Forced { namespace, index, sender, fee, data });
        }
        if is(abi::Inbox::FallbackAnnounced::SIGNATURE_HASH) {
            let abi::Inbox::FallbackAnnounced { message } = decode(log)?;
            return Ok(Some(ContractEvent::FallbackAnnounced { message }));
        }
        if is(abi::Inbox::FallbackActivated::SIGNATURE_HASH) {
            let abi::Inbox::FallbackActivated { height, origin } = decode(log)?;
            return Ok(Some(ContractEvent::FallbackActivated { height, origin }));
        }
    }
    if addresses(contracts).contains(&log.address) {
        // Claims, roots, who was slashed: nobody but people reads these.
        return Ok(None);
    }
    Err(LogError::Stranger(log.address))
}

/// What the network takes in of a block's events.
pub fn network_events(events: &[ContractEvent]) -> L1Events {
    let network = events.iter().filter_map(|event| match event {
        ContractEvent::Network(event) => Some(event.clone()),
        _ => None,
    });
    L1Events(network.collect())
}

fn decode<E: SolEvent>(log: &RawLog) -> Result<E, LogError> {
    let malformed = |what: String| LogError::Malformed(log.address, what);
    let data = LogData::new(log.topics.clone(), log.data.clone())
        .ok_or_else(|| malformed("more than four topics".to_owned()))?;
    E::decode_log_data_validate(&data).map_err(|e| malformed(e.to_string()))
}

fn wei(amount: U256) -> Result<Wei, LogError> {
    Wei::try_from(amount).map_err(|_| LogError::Amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contracts() -> L1Contracts {
        L1Contracts {
            chain_id: 1,
            light_client: Address::with_last_byte(1),
            stake_registry: Address::with_last_byte(2),
            vault: Address::with_last_byte(3),
            inbox: Address::with_last_byte(4),
        }
    }

    fn log(address: Address, event: &impl SolEvent) -> RawLog {
        let data = event.encode_log_data();
        RawLog { address, topics: data.topics().to_vec(), data: data.data }
    }

    #[test]
    fn logs_become_events() {
        let c = contracts();
        let (to, id) = (Address::repeat_byte(9), B256::repeat_byte(8));
        let of =
            |address, event: &dyn Fn(Address) -> RawLog| event_of(&c, &event(address)).unwrap();
        let deposit = abi::Vault::Deposited { to, amount: U256::from(5) };
        assert_eq!(
            of(c.vault, &|a| log(a, &deposit)),
            Some(ContractEvent::Network(L1Event::Deposit { to, amount: 5 }))
        );
        let posted = abi::LightClient::Posted { height: 7, id, poster: to };
        assert_eq!(
            of(c.light_client, &|a| log(a, &posted)),
            Some(ContractEvent::Network(L1Event::Posted {
                height: 7,
                block: BlockId(id),
                poster: to
            }))
        );
        let data = Bytes::from_static(b"hear me");
        let forced = abi::Inbox::Forced {
            namespace: 3,
            index: 4,
            sender: to,
            fee: U256::from(6),
            data: data.clone(),
        };
        let message =
            L1Event::Forced { namespace: NamespaceId(3), index: 4, sender: to, fee: 6, data };
        assert_eq!(of(c.inbox, &|a| log(a, &forced)), Some(ContractEvent::Network(message)));
        let activated = abi::Inbox::FallbackActivated { height: 3, origin: 2 };
        assert_eq!(
            of(c.inbox, &|a| log(a, &activated)),
            Some(ContractEvent::FallbackActivated { height: 3, origin: 2 })
        );
        assert_eq!(of(c.inbox, &|a| log(a, &deposit)), None, "another contract's event");
        let claimed = abi::Vault::Claimed { index: 1, to, amount: U256::from(1) };
        assert_eq!(of(c.vault, &|a| log(a, &claimed)), None);
    }

    #[test]
    fn what_is_no_log_of_theirs_is_refused() {
        let c = contracts();
        let deposit = abi::Vault::Deposited { to: Address::ZERO, amount: U256::MAX };
        assert_eq!(event_of(&c, &log(c.vault, &deposit)), Err(LogError::Amount));
        let stranger = Address::repeat_byte(7);
        let of_stranger = event_of(&c, &log(stranger, &deposit));
        assert_eq!(of_stranger, Err(LogError::Stranger(stranger)));
        let fine = log(c.vault, &deposit);
        for broken in [
            RawLog { data: Bytes::new(), ..fine.clone() },
            RawLog { topics: fine.topics[..1].to_vec(), ..fine.clone() },
            RawLog { topics: vec![fine.topics[0]; 5], ..fine.clone() },
            RawLog { data: vec![0; 31].into(), ..fine },
        ] {
            assert!(matches!(event_of(&c, &broken), Err(LogError::Malformed(..))));
        }
    }
}
