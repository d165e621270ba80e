//! Deploys the contracts of a network, in their order (`spec/ethereum.md`).

use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolConstructor;
use weft_types::{L1Contracts, TimeMs, Wei};

use crate::contracts::abi::{Inbox, LightClient, StakeRegistry, Vault};
use crate::wallet::{SendError, Wallet};

/// How long a contract may take to be mined.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a stake registry is told for good.
#[derive(Clone, Copy, Debug)]
pub struct StakeTerms {
    /// Least bond, in wei.
    pub least_bond: Wei,
    /// From an exit to when the bond can be taken back, in seconds.
    pub exit_delay: u64,
}

/// What a light client is told for good.
#[derive(Clone, Copy, Debug)]
pub struct Trust {
    /// Hash of the first committee.
    pub committee: B256,
    /// Time of the genesis.
    pub genesis_time: TimeMs,
    /// An L1 block that is not above the genesis' origin.
    pub origin: u64,
    /// How old the last header may be, in seconds: less than the exit delay.
    pub trusting_period: u64,
}

/// What an inbox is told for good.
#[derive(Clone, Copy, Debug)]
pub struct InboxTerms {
    /// Price of a message, in wei.
    pub fee_per_message: Wei,
    /// Price of each of its bytes, in wei.
    pub fee_per_byte: Wei,
    /// L1 blocks without a header after which fallback can be announced.
    pub stall: u64,
    /// L1 blocks after which a message that is not taken in is overdue.
    pub overdue: u64,
    /// L1 blocks from an announcement to when fallback can be activated.
    pub grace: u64,
}

/// Deploys the stake registry of the network of that chain id. Validators bond before the rest is
/// deployed, which depends on their committee.
pub async fn stake_registry(
    wallet: &Wallet,
    chain_id: u64,
    terms: StakeTerms,
) -> Result<Address, SendError> {
    let arguments = StakeRegistry::constructorCall {
        chainId_: chain_id,
        leastBond_: U256::from(terms.least_bond),
        exitDelay_: number(terms.exit_delay),
    };
    create(wallet, &StakeRegistry::BYTECODE, &arguments).await
}

/// Deploys everything else.
pub async fn contracts(
    wallet: &Wallet,
    chain_id: u64,
    stake_registry: Address,
    trust: Trust,
    terms: InboxTerms,
) -> Result<L1Contracts, SendError> {
    let arguments = LightClient::constructorCall {
        chainId_: chain_id,
        committee: trust.committee,
        genesisTime: number(trust.genesis_time),
        origin: number(trust.origin),
        trustingPeriod_: number(trust.trusting_period),
    };
    let light_client = create(wallet, &LightClient::BYTECODE, &arguments).await?;
    let arguments = Vault::constructorCall { lightClient_: light_client };
    let vault = create(wallet, &Vault::BYTECODE, &arguments).await?;
    let arguments = Inbox::constructorCall {
        vault_: vault,
        lightClient_: light_client,
        feePerMessage_: U256::from(terms.fee_per_message),
        feePerByte_: U256::from(terms.fee_per_byte),
        stall_: terms.stall,
        overdue_: terms.overdue,
        grace_: terms.grace,
    };
    let inbox = create(wallet, &Inbox::BYTECODE, &arguments).await?;
    Ok(L1Contracts { chain_id: wallet.chain_id(), light_client, stake_registry, vault, inbox })
}

async fn create(
    wallet: &Wallet,
    code: &[u8],
    arguments: &impl SolConstructor,
) -> Result<Address, SendError> {
    let code = [code, &arguments.abi_encode()].concat();
    let mined = wallet.create(code.into(), PATIENCE).await?;
    mined.contract.ok_or(SendError::Reverted(mined.hash))
}

/// A number of 48 bits. Times and blocks are far below; what is not becomes the largest.
fn number(value: u64) -> alloy_primitives::aliases::U48 {
    alloy_primitives::aliases::U48::saturating_from(value)
}
