//! Real input for a rollup: Uniswap V2 as published and two ERC-20s of OpenZeppelin, deployed and
//! used with forge and cast through the rollup's JSON-RPC, and every answer checked against what
//! the contracts have to answer.
//!
//! [`run`] does all of it; others deploy exchanges with the same steps. [`wallet`] starts the tools,
//! [`answers`] reads what they print, [`formula`] says what the exchange must pay.

pub mod answers;
mod contracts;
pub mod formula;
mod report;
mod trade;
pub mod wallet;

use alloy_primitives::{B256, U256};
use eyre::ensure;

pub use report::{Amounts, Contracts, Report, Step};

use crate::tools::Tools;
use trade::DEPOSIT;
pub(crate) use trade::{ONE, Trade};
use wallet::Wallet;

/// Makes an exchange on the chain whose JSON-RPC is at the URL `rpc`, and trades on it.
///
/// `key` is the private key of an account of a devnet that has some ether, at least a hundredth,
/// and that nobody else uses meanwhile. The token contract is compiled first if need be. What is
/// being done is told through `progress`, a line at a time.
///
/// An error says which step failed and what the tool said, or what was found and what should have
/// been.
pub async fn run(
    tools: &Tools,
    rpc: &str,
    key: B256,
    progress: impl Fn(&str),
) -> eyre::Result<Report> {
    tools.compile(&progress).await?;
    let wallet = Wallet::new(tools, rpc, key).await?;
    let balance = wallet.balance().await?;
    let transactions = wallet.transactions().await?;

    let mut trade = Trade::new(wallet, &progress);
    let tokens = trade.deploy_tokens().await?;
    let weth = trade.deploy_weth().await?;
    let contracts = trade.deploy_exchange(tokens, weth).await?;
    let deposited = trade.deposit(&contracts, DEPOSIT).await?;
    let swapped = trade.swap(&contracts).await?;
    let refusal = trade.swap_in_vain(&contracts).await?;

    let (wallet, steps) = trade.finish();
    let sent = wallet.transactions().await? - transactions;
    ensure!(sent == U256::from(steps.len()), "{} transactions counted as {sent}", steps.len());
    let fees: U256 =
        steps.iter().map(|step| U256::from(step.receipt.gas_used) * step.receipt.gas_price).sum();
    let left = wallet.balance().await?;
    ensure!(
        balance.checked_sub(left) == Some(fees),
        "the account had {balance} wei and has {left}, but paid {fees} for gas"
    );
    Ok(Report {
        account: wallet.address(),
        contracts,
        amounts: Amounts {
            shares: deposited.shares,
            reserves_before: deposited.reserves,
            given: swapped.given,
            taken: swapped.taken,
            reserves_after: swapped.reserves,
            balances: swapped.balances,
        },
        swap_log: swapped.log,
        refusal,
        fees,
        steps,
    })
}
