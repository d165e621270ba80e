//! The genesis file of an EVM rollup: the format that Ethereum tools share, read strictly where it
//! matters. Fields that have no meaning here (`difficulty`, `extraData` and the like) are ignored,
//! as are fork times: the rules are those of [`HARDFORK`](super::spec::HARDFORK) from block 1.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes, U256, address, keccak256};
use serde::{Deserialize, Deserializer, de::Error as _};
use weft_types::B256;

use super::spec::{ChainSpec, Leaves};

/// Gas limit of a rollup whose genesis names none.
pub const DEFAULT_GAS_LIMIT: u64 = 30_000_000;
/// Base fee of a rollup whose genesis names none: 1 gwei.
pub const DEFAULT_BASE_FEE: u64 = 1_000_000_000;
/// Most accounts in a genesis file.
pub const MAX_ALLOCATIONS: usize = 100_000;

/// Where EIP-2935 keeps block hashes.
pub const HISTORY_ADDRESS: Address = address!("0000F90827F1C53a10cb7A02335B175320002935");

/// A rollup's genesis.
#[derive(Clone, Debug)]
pub struct EvmGenesis {
    /// The fields that never change.
    pub spec: ChainSpec,
    /// The state to start with.
    pub alloc: BTreeMap<Address, Allocation>,
}

/// An account to start with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// Balance in wei.
    pub balance: U256,
    /// Nonce.
    pub nonce: u64,
    /// Code, maybe empty.
    pub code: Bytes,
    /// Storage.
    pub storage: BTreeMap<B256, B256>,
}

/// Why a genesis file was refused.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// Not the JSON expected.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A field out of range.
    #[error("{0}: {1}")]
    Field(&'static str, &'static str),
}

impl EvmGenesis {
    /// Reads a genesis file.
    pub fn from_json(json: &str) -> Result<Self, GenesisError> {
        let file: File = serde_json::from_str(json)?;
        let range = |field, fine: bool, why| {
            if fine { Ok(()) } else { Err(GenesisError::Field(field, why)) }
        };
        range("config.chainId", file.config.chain_id.0 > 0, "above zero")?;
        range("number", file.number.is_none_or(|n| n.0 == 0), "the genesis block has number 0")?;
        let gas_limit = file.gas_limit.map_or(DEFAULT_GAS_LIMIT, |n| n.0);
        range("gasLimit", (1_000_000..=1 << 40).contains(&gas_limit), "from 10^6 to 2^40")?;
        let base_fee = file.base_fee_per_gas.map_or(DEFAULT_BASE_FEE, |n| n.0);
        range("baseFeePerGas", base_fee > 0, "above zero")?;
        let timestamp = file.timestamp.map_or(0, |n| n.0);
        range("timestamp", timestamp < 1 << 40, "in seconds since the epoch")?;
        range("alloc", file.alloc.len() <= MAX_ALLOCATIONS, "too many accounts")?;
        let spec = ChainSpec {
            chain_id: file.config.chain_id.0,
            gas_limit,
            base_fee,
            coinbase: file.coinbase,
            genesis_time: timestamp,
            leaves: file.weft.state_leaves,
        };
        let mut alloc: BTreeMap<Address, Allocation> = BTreeMap::new();
        // Part of the rules rather than of the file (EIP-2935), and overridden by the file.
        let history = Allocation { code: history_code(), ..Allocation::default() };
        alloc.insert(HISTORY_ADDRESS, history);
        for (address, account) in file.alloc {
            let allocation = Allocation {
                balance: account.balance.0,
                nonce: account.nonce.map_or(0, |n| n.0),
                code: account.code,
                storage: account.storage,
            };
            alloc.insert(address.0, allocation);
        }
        Ok(Self { spec, alloc })
    }

    /// A hash over all of it, to recognise a home that belongs to another rollup.
    pub fn fingerprint(&self) -> B256 {
        let mut bytes = format!("{:?}", self.spec).into_bytes();
        for (address, account) in &self.alloc {
            bytes.extend_from_slice(format!("{address}{account:?}").as_bytes());
        }
        keccak256(bytes)
    }
}

fn history_code() -> Bytes {
    alloy_eips::eip2935::HISTORY_STORAGE_CODE.clone()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    config: Config,
    #[serde(default)]
    number: Option<Number>,
    #[serde(default)]
    timestamp: Option<Number>,
    #[serde(default)]
    gas_limit: Option<Number>,
    #[serde(default)]
    base_fee_per_gas: Option<Number>,
    #[serde(default)]
    coinbase: Address,
    #[serde(default)]
    alloc: BTreeMap<LooseAddress, Account>,
    #[serde(default)]
    weft: Weft,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    chain_id: Number,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Weft {
    #[serde(default)]
    state_leaves: Leaves,
}

#[derive(Deserialize)]
struct Account {
    balance: Amount,
    #[serde(default)]
    nonce: Option<Number>,
    #[serde(default)]
    code: Bytes,
    #[serde(default, deserialize_with = "slots")]
    storage: BTreeMap<B256, B256>,
}

/// An address with or without `0x`: both are common in genesis files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct LooseAddress(Address);

impl<'de> Deserialize<'de> for LooseAddress {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A number as hex string, decimal string or JSON number: all three are common.
#[derive(Clone, Copy)]
struct Number(u64);

#[derive(Clone, Copy)]
struct Amount(U256);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Number(u64),
        }
        match Form::deserialize(input)? {
            Form::Number(number) => Ok(Self(U256::from(number))),
            Form::Text(text) => {
                let parsed = match text.strip_prefix("0x") {
                    Some("") => Ok(U256::ZERO),
                    Some(hex) => U256::from_str_radix(hex, 16),
                    None => U256::from_str_radix(&text, 10),
                };
                parsed.map(Self).map_err(D::Error::custom)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let amount = Amount::deserialize(input)?;
        amount.0.try_into().map(Self).map_err(|_| D::Error::custom("above 2^64 - 1"))
    }
}

fn slots<'de, D: Deserializer<'de>>(input: D) -> Result<BTreeMap<B256, B256>, D::Error> {
    let loose = BTreeMap::<String, Amount>::deserialize(input)?;
    let slot = |(key, value): (String, Amount)| {
        let hex = key.strip_prefix("0x").unwrap_or(&key);
        let key = U256::from_str_radix(hex, 16).map_err(D::Error::custom)?;
        Ok((B256::from(key), B256::from(value.0)))
    };
    loose.into_iter().map(slot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_tools_write() {
        let genesis = EvmGenesis::from_json(
            r#"{ "config": { "chainId": 77, "homesteadBlock": 0 }, "difficulty": "0x0",
                "timestamp": "0x5", "gasLimit": "20000000", "coinbase":
                "0x00000000000000000000000000000000000000cc", "alloc": {
                "00000000000000000000000000000000000000aa": { "balance": "0x10" },
                "0x00000000000000000000000000000000000000bb": { "balance": "17", "nonce": "0x1",
                    "code": "0x6001", "storage": { "0x01": "0x02" } } } }"#,
        )
        .unwrap();
        assert_eq!(genesis.spec.chain_id, 77);
        assert_eq!(genesis.spec.gas_limit, 20_000_000);
        assert_eq!(genesis.spec.base_fee, DEFAULT_BASE_FEE);
        assert_eq!(genesis.spec.genesis_time, 5);
        let bb = &genesis.alloc[&Address::with_last_byte(0xbb)];
        assert_eq!((bb.balance, bb.nonce, bb.storage.len()), (U256::from(17), 1, 1));
        assert!(!genesis.alloc[&HISTORY_ADDRESS].code.is_empty());
        assert_eq!(genesis.alloc.len(), 3);
    }

    #[test]
    fn names_what_is_wrong() {
        for (json, field) in [
            (r#"{"config":{"chainId":0}}"#, "config.chainId"),
            (r#"{"config":{"chainId":1},"number":"0x1"}"#, "number"),
            (r#"{"config":{"chainId":1},"gasLimit":"0x1"}"#, "gasLimit"),
            (r#"{"config":{"chainId":1},"baseFeePerGas":"0x0"}"#, "baseFeePerGas"),
        ] {
            let error = EvmGenesis::from_json(json).unwrap_err();
            assert!(matches!(error, GenesisError::Field(f, _) if f == field), "{error}");
        }
        assert!(
            EvmGenesis::from_json(r#"{"config":{"chainId":1},"weft":{"stateLeaf":1}}"#).is_err()
        );
    }
}
