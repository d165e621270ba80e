//! The fields of an EVM rollup that its genesis fixes for good.

use alloy_primitives::{Address, U256};
use borsh::{BorshDeserialize, BorshSerialize};
use revm::context::{BlockEnv, CfgEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::primitives::hardfork::SpecId;
use serde::{Deserialize, Serialize};
use weft_types::B256;

/// The EVM's rules, from block 1 on.
pub const HARDFORK: SpecId = SpecId::OSAKA;

/// Most gas one transaction may ask for (EIP-7825).
pub const MAX_TRANSACTION_GAS: u64 = 1 << 24;

/// Largest init code of a contract creation (EIP-3860).
pub const MAX_INITCODE: usize = 49_152;

/// What the state trie holds a leaf for.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Leaves {
    /// Every account and slot that execution has looked up, empty ones too. What anvil does, so
    /// that both engines agree on state root and block hash.
    #[default]
    Visited,
    /// Accounts that are not empty and slots that are not zero, as on Ethereum.
    Ethereum,
}

/// What every block of a rollup has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChainSpec {
    /// EIP-155 chain id; also the rollup's Weft namespace.
    pub chain_id: u64,
    /// Gas limit of every block.
    pub gas_limit: u64,
    /// Base fee of every block, in wei.
    pub base_fee: u64,
    /// Who receives what is paid above the base fee.
    pub coinbase: Address,
    /// Timestamp of the genesis block, in seconds.
    pub genesis_time: u64,
    /// What the state trie holds.
    pub leaves: Leaves,
}

impl ChainSpec {
    /// The configuration of the EVM for executing blocks.
    pub fn cfg(&self) -> CfgEnv {
        let mut cfg = CfgEnv::new_with_spec(HARDFORK).with_chain_id(self.chain_id);
        // Not observable: nobody holds the key of a contract's address. Engines differ in whether
        // they check, so the rule is that none does.
        cfg.disable_eip3607 = true;
        cfg
    }

    /// The context in which a block executes.
    pub fn block_env(&self, number: u64, timestamp: u64, prevrandao: B256) -> BlockEnv {
        BlockEnv {
            number: U256::from(number),
            beneficiary: self.coinbase,
            timestamp: U256::from(timestamp),
            gas_limit: self.gas_limit,
            basefee: self.base_fee,
            difficulty: U256::ZERO,
            prevrandao: Some(prevrandao),
            // No blobs ever: excess 0 gives the least price, 1 wei.
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice {
                excess_blob_gas: 0,
                blob_gasprice: 1,
            }),
            slot_num: 0,
        }
    }
}
