//! A rollup as a searcher sees it: through its JSON-RPC alone.

use std::time::Duration;

use alloy_consensus::TxEip1559;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_sol_types::SolCall;
use eyre::{WrapErr, bail, ensure, eyre};
use serde::Deserialize;
use serde_json::{Value, json};
use weft_rollup_adapter::evm::items::{Bound, MARK};
use weft_types::{Height, NamespaceId, SecretKey};

use crate::client::wait_for;
use crate::exchange::Contracts;
use crate::exchange::formula::in_order_of;
use crate::load::evm::sign;
use crate::rpc::{Rpc, quantity};

pub(super) mod abi {
    #![allow(clippy::all, clippy::pedantic, reason = "generated")]

    alloy_sol_types::sol! {
        function transfer(address to, uint256 amount) external returns (bool);
        function approve(address spender, uint256 amount) external returns (bool);
        function balanceOf(address account) external view returns (uint256);
        function getReserves() external view returns (uint112, uint112, uint32);
        function swapExactTokensForTokens(
            uint256 given, uint256 least, address[] path, address to, uint256 deadline
        ) external returns (uint256[] memory);
    }
}

/// How long a rollup may take to execute what was sent or ordered.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a simulation is asked for again while slices come in.
const SIMULATIONS: usize = 20;

/// Gas of a call: enough for a swap, without asking how much it takes.
const GAS: u64 = 300_000;

/// The most that is paid for a unit of gas, in wei: twice the base fee.
pub(super) const GAS_PRICE: u128 = 2_000_000_000;

/// A rollup with exchanges of two tokens.
pub(super) struct Rollup {
    /// Its namespace, which is its chain id.
    pub namespace: NamespaceId,
    /// Its RPC.
    pub rpc: Rpc,
    /// A and B.
    pub tokens: [Address; 2],
    /// Exchanges of the two.
    pub exchanges: Vec<Contracts>,
}

/// What an account gained of A and B, in their smallest units.
pub(super) type Moved = [i128; 2];

/// A transaction that is signed and not sent.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    /// Its hash.
    pub hash: B256,
    /// Itself.
    pub raw: Bytes,
}

/// What a bundle would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Simulated {
    /// What the account would gain.
    pub moved: Moved,
    /// How much gas it would take.
    pub gas_used: u64,
}

/// Where transactions were executed, one after another at the head of a block.
#[derive(Clone, Debug)]
pub(super) struct Executed {
    /// The number of the block.
    pub block: u64,
    /// The Weft height whose slice it was made of.
    pub height: Height,
    /// What the account gained, as their logs say.
    pub moved: Moved,
    /// What they cost in gas, in wei.
    pub gas: u128,
}

/// A log, as far as transfers of tokens need it.
#[derive(Deserialize)]
struct Log {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

impl Rollup {
    /// What the pair of an exchange holds of A and B.
    pub async fn reserves(&self, exchange: usize) -> eyre::Result<[U256; 2]> {
        let on = self.exchange(exchange)?;
        let found = self.read(on.pair, &abi::getReservesCall {}).await?;
        let [a, b] = self.tokens;
        Ok(in_order_of(a, b, [found._0, found._1].map(|amount| U256::from(amount))))
    }

    /// What an account holds of A and B.
    pub async fn holdings(&self, account: Address) -> eyre::Result<[U256; 2]> {
        let mut holdings = [U256::ZERO; 2];
        for (holding, token) in holdings.iter_mut().zip(self.tokens) {
            *holding = self.read(token, &abi::balanceOfCall { account }).await?;
        }
        Ok(holdings)
    }

    /// How many transactions of an account were executed, which is the nonce of its next one.
    pub async fn nonce(&self, account: Address) -> eyre::Result<u64> {
        self.rpc.quantity("eth_getTransactionCount", json!([account, "latest"])).await
    }

    /// A swap at one of the exchanges, of A for B or of B for A. It pays exactly what is expected or
    /// more, or is reverted.
    pub fn swap(
        &self,
        exchange: usize,
        sells_a: bool,
        given: U256,
        least: U256,
        to: Address,
    ) -> eyre::Result<(Address, Vec<u8>)> {
        let on = self.exchange(exchange)?;
        let [a, b] = self.tokens;
        let path = if sells_a { vec![a, b] } else { vec![b, a] };
        // Whoever has it executed elsewhere gains nothing by that: no deadline needed.
        let deadline = U256::MAX;
        let call = abi::swapExactTokensForTokensCall { given, least, path, to, deadline };
        Ok((on.router, call.abi_encode()))
    }

    /// Signs a call of a contract.
    pub fn sign(&self, key: &SecretKey, nonce: u64, call: (Address, Vec<u8>)) -> Signed {
        self.sign_with(key, nonce, call, AccessList::default())
    }

    /// Signs a call of a contract that is executed in one bundle only.
    pub fn sign_bound(
        &self,
        key: &SecretKey,
        nonce: u64,
        call: (Address, Vec<u8>),
        bound: &Bound,
    ) -> Signed {
        let mark = AccessListItem { address: MARK, storage_keys: bound.keys() };
        self.sign_with(key, nonce, call, AccessList(vec![mark]))
    }

    fn sign_with(
        &self,
        key: &SecretKey,
        nonce: u64,
        (to, input): (Address, Vec<u8>),
        access_list: AccessList,
    ) -> Signed {
        let transaction = TxEip1559 {
            chain_id: self.namespace.0,
            nonce,
            gas_limit: GAS,
            max_fee_per_gas: GAS_PRICE,
            max_priority_fee_per_gas: 0,
            to: TxKind::Call(to),
            input: input.into(),
            access_list,
            ..TxEip1559::default()
        };
        let (hash, raw) = sign(transaction, key);
        Signed { hash, raw }
    }

    /// Sends calls through the gateway, as wallets do, and waits until they are executed. Returns what
    /// they cost in gas, in wei.
    pub async fn send(
        &self,
        key: &SecretKey,
        calls: impl IntoIterator<Item = (Address, Vec<u8>)>,
    ) -> eyre::Result<u128> {
        let mut sent = Vec::new();
        for (nonce, call) in (self.nonce(key.address()).await?..).zip(calls) {
            let Signed { hash, raw } = self.sign(key, nonce, call);
            self.rpc.call("eth_sendRawTransaction", json!([raw])).await?;
            sent.push(hash);
        }
        let mut gas = 0u128;
        for hash in sent {
            let receipt = self.receipt(hash).await?;
            ensure!(receipt["status"] == "0x1", "{hash} was reverted on {}", self.namespace);
            gas = gas.saturating_add(gas_of(&receipt)?);
        }
        Ok(gas)
    }

    /// Lets every exchange take an account's tokens. Returns what that cost in gas, in wei.
    pub async fn approve(&self, key: &SecretKey) -> eyre::Result<u128> {
        let routers = self.exchanges.iter().map(|exchange| exchange.router);
        let calls = routers.flat_map(|spender| {
            let call = abi::approveCall { spender, amount: U256::MAX }.abi_encode();
            self.tokens.map(|token| (token, call.clone()))
        });
        self.send(key, calls).await
    }

    /// What transactions would do for an account at the head of the next slice. All of them have to
    /// succeed.
    pub async fn simulate(
        &self,
        transactions: &[Signed],
        account: Address,
    ) -> eyre::Result<Simulated> {
        let txs: Vec<&Bytes> = transactions.iter().map(|signed| &signed.raw).collect();
        for _ in 0..SIMULATIONS {
            let bundle = json!([{ "txs": txs }]);
            let answer = match self.rpc.try_call("eth_callBundle", bundle).await? {
                Ok(answer) => answer,
                // A slice has come in while it ran.
                Err(error) if error.0["message"].to_string().contains("try again") => continue,
                Err(error) => bail!("{}: eth_callBundle: {}", self.namespace, error.0),
            };
            let none = answer["skipped"].as_array().is_some_and(Vec::is_empty);
            ensure!(none, "{}: would be skipped: {}", self.namespace, answer["skipped"]);
            let results = answer["results"].as_array().cloned().unwrap_or_default();
            ensure!(results.len() == transactions.len(), "not all was simulated: {answer}");
            let mut logs = Vec::new();
            for result in results {
                ensure!(result["status"] == "0x1", "would be reverted: {result}");
                logs.extend(read_logs(&result["logs"])?);
            }
            let gas_used = quantity(&answer["totalGasUsed"])?;
            return Ok(Simulated { moved: moved(&logs, self.tokens, account), gas_used });
        }
        bail!("{}: slices come in faster than anything can be simulated", self.namespace)
    }

    /// Waits until transactions are executed. They have to be the first of their block, in order, and
    /// to succeed.
    pub async fn executed(
        &self,
        transactions: &[Signed],
        account: Address,
    ) -> eyre::Result<Executed> {
        let (mut block, mut logs, mut gas) = (None, Vec::new(), 0u128);
        for (place, Signed { hash, .. }) in (0u64..).zip(transactions) {
            let receipt = self.receipt(*hash).await?;
            ensure!(receipt["status"] == "0x1", "{hash} was reverted on {}", self.namespace);
            let index = quantity(&receipt["transactionIndex"])?;
            ensure!(index == place, "{hash} is transaction {index} of its block, not {place}");
            let number = quantity(&receipt["blockNumber"])?;
            ensure!(*block.get_or_insert(number) == number, "{hash} is in another block");
            logs.extend(read_logs(&receipt["logs"])?);
            gas = gas.saturating_add(gas_of(&receipt)?);
        }
        let (Some(block), Some(first)) = (block, transactions.first()) else {
            bail!("nothing was to be executed");
        };
        let status = self.rpc.call("weft_status", json!([first.hash])).await?;
        let height = status["height"].as_str().and_then(|height| height.parse().ok());
        let height = height.ok_or_else(|| eyre!("no height of {}: {status}", first.hash))?;
        Ok(Executed { block, height, moved: moved(&logs, self.tokens, account), gas })
    }

    fn exchange(&self, exchange: usize) -> eyre::Result<&Contracts> {
        let found = self.exchanges.get(exchange);
        found.ok_or_else(|| eyre!("{} has no exchange {exchange}", self.namespace))
    }

    /// Whether a transaction was executed.
    pub async fn has(&self, hash: B256) -> eyre::Result<bool> {
        let receipt = self.rpc.call("eth_getTransactionReceipt", json!([hash])).await?;
        Ok(!receipt.is_null())
    }

    async fn receipt(&self, hash: B256) -> eyre::Result<Value> {
        let what = format!("{} to execute {hash}", self.namespace);
        wait_for(&what, PATIENCE, || async {
            let status = self.rpc.call("weft_status", json!([hash])).await?;
            match status["status"].as_str() {
                Some("final" | "settled") => Ok(Some(status["receipt"].clone())),
                Some("skipped" | "dropped") => {
                    bail!("{} did not execute {hash}: {status}", self.namespace)
                }
                _ => Ok(None),
            }
        })
        .await
    }

    async fn read<C: SolCall>(&self, to: Address, call: &C) -> eyre::Result<C::Return> {
        let input = Bytes::from(call.abi_encode());
        let params = json!([{ "to": to, "input": input }, "latest"]);
        let answer: Bytes = serde_json::from_value(self.rpc.call("eth_call", params).await?)?;
        C::abi_decode_returns(&answer).wrap_err_with(|| format!("{} of {to}", C::SIGNATURE))
    }
}

/// What a transaction cost in gas, in wei.
fn gas_of(receipt: &Value) -> eyre::Result<u128> {
    let price = u128::from(quantity(&receipt["effectiveGasPrice"])?);
    Ok(price.saturating_mul(quantity(&receipt["gasUsed"])?.into()))
}

fn read_logs(value: &Value) -> eyre::Result<Vec<Log>> {
    serde_json::from_value(value.clone()).wrap_err("logs")
}

/// What somebody gained who had so much before and has so much after; `None` if it is no number of that kind.
pub(super) fn gained(before: U256, after: U256) -> Option<i128> {
    let difference = |more: U256, less: U256| i128::try_from(more.checked_sub(less)?).ok();
    difference(after, before).or_else(|| difference(before, after).map(|lost| -lost))
}

/// What an account gained of two tokens by what their contracts logged.
fn moved(logs: &[Log], tokens: [Address; 2], account: Address) -> Moved {
    let transfer = keccak256("Transfer(address,address,uint256)");
    tokens.map(|token| {
        let of_token = logs.iter().filter(|log| log.address == token);
        of_token.fold(0i128, |sum, log| {
            let &[event, from, to] = &log.topics[..] else { return sum };
            let amount = U256::try_from_be_slice(&log.data).and_then(|n| i128::try_from(n).ok());
            let Some(amount) = amount.filter(|_| event == transfer) else { return sum };
            let came = if to == account.into_word() { amount } else { 0 };
            let went = if from == account.into_word() { amount } else { 0 };
            sum.saturating_add(came).saturating_sub(went)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_add_up() {
        let [a, b, me, pair] = [1, 2, 3, 4].map(Address::repeat_byte);
        let transfer = keccak256("Transfer(address,address,uint256)");
        let log = |token: Address, from: Address, to: Address, amount: u64| Log {
            address: token,
            topics: vec![transfer, from.into_word(), to.into_word()],
            data: B256::from(U256::from(amount)).to_vec().into(),
        };
        let approval = Log {
            topics: vec![
                keccak256("Approval(address,address,uint256)"),
                me.into_word(),
                me.into_word(),
            ],
            ..log(a, me, me, 1000)
        };
        let logs = [
            log(a, me, pair, 10),
            log(b, pair, me, 40),
            log(b, me, pair, 40),
            log(a, pair, me, 12),
            log(a, pair, pair, 500),
            log(pair, pair, me, 7),
            log(a, me, me, 3),
            approval,
        ];
        assert_eq!(moved(&logs, [a, b], me), [2, 0]);
        assert_eq!(moved(&logs[..2], [a, b], me), [-10, 40]);
    }
}
