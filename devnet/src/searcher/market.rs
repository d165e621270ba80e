//! Where is traded: tokens and exchanges that are deployed on a rollup for it.

use alloy_primitives::{Address, B256};
use weft_types::NamespaceId;

use super::rollup::Rollup;
use super::site::Site;
use crate::exchange::wallet::Wallet;
use crate::exchange::{ONE, Trade};
use crate::tools::Tools;

/// The account that deploys, deposits, and moves prices.
pub(super) const MAKER: usize = 11;

/// What a searcher holds of each token to begin with.
const INVENTORY: u128 = 100_000 * ONE;

/// Deploys two tokens on a rollup, and an exchange of them for each of the deposits, of so much A and
/// B. Gives the traders an inventory of both.
pub(super) async fn open(
    tools: &Tools,
    site: &Site,
    namespace: u64,
    deposits: &[[u128; 2]],
    traders: &[Address],
    say: impl Fn(&str),
) -> eyre::Result<Rollup> {
    let rpc = site.rollup(namespace)?;
    let key = B256::from(site.account(MAKER)?.to_bytes());
    let wallet = Wallet::new(tools, rpc.url(), key).await?;
    let mut trade = Trade::new(wallet, |line: &str| say(&format!("{namespace}: {line}")));
    let tokens = trade.deploy_tokens().await?;
    let weth = trade.deploy_weth().await?;
    let mut exchanges = Vec::new();
    for deposit in deposits {
        let exchange = trade.deploy_exchange(tokens, weth).await?;
        trade.deposit(&exchange, *deposit).await?;
        exchanges.push(exchange);
    }
    for trader in traders {
        for token in tokens {
            trade.give(token, *trader, INVENTORY).await?;
        }
    }
    Ok(Rollup { namespace: NamespaceId(namespace), rpc: rpc.clone(), tokens, exchanges })
}
