//! Load on a rollup: wallets that send transfers through its RPC and look for them in its blocks.
//!
//! A wallet keeps what it has signed and sends it again until the rollup has it, as wallets do. So
//! every transfer must be executed, once, whatever is killed meanwhile; [`EvmReport::check`] says
//! whether it was.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip4844};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use eyre::{ensure, eyre};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};
use weft_types::SecretKey;

use super::report::Percentiles;
use crate::client::wait_for;
use crate::rpc::{Rpc, quantity};

/// Pause before a transfer is sent again, or blocks are looked at again.
const PAUSE: Duration = Duration::from_millis(50);

/// A transfer's gas.
const GAS: u64 = 21_000;

/// What load to make on a rollup.
#[derive(Clone, Debug)]
pub struct EvmLoad {
    /// The rollup's RPC.
    pub rpc: Rpc,
    /// Its chain id.
    pub chain_id: u64,
    /// Who sends. They must not send anything else meanwhile.
    pub accounts: Vec<SecretKey>,
    /// Transfers per second.
    pub rate: f64,
    /// For how long.
    pub duration: Duration,
    /// How long to wait for the last ones.
    pub patience: Duration,
}

/// What it came to.
#[derive(Clone, Debug, Serialize)]
pub struct EvmReport {
    /// The rollup's chain id.
    pub chain_id: u64,
    /// Transfers that the rollup took.
    pub accepted: u64,
    /// Times that a transfer had to be sent again because nobody answered.
    pub sent_again: u64,
    /// Seen in a block.
    pub executed: u64,
    /// Seen in two blocks.
    pub repeated: u64,
    /// Accepted and not seen.
    pub missing: u64,
    /// What the receiver holds, beyond what it held before, in wei; each transfer is of 1 wei.
    pub received: u64,
    /// What accounts' nonces say was executed.
    pub counted: u64,
    /// From being due to being seen in a block.
    pub executed_after: Percentiles,
}

impl EvmReport {
    /// Whether every transfer was executed exactly once.
    pub fn check(&self) -> eyre::Result<()> {
        ensure!(
            self.missing == 0
                && self.repeated == 0
                && [self.executed, self.received, self.counted] == [self.accepted; 3],
            "not exactly once on {}: {self:?}",
            self.chain_id
        );
        Ok(())
    }
}

/// What was sent and seen.
#[derive(Default)]
struct Board {
    /// When each was due, until it is seen.
    waiting: HashMap<B256, Instant>,
    seen: BTreeSet<B256>,
    repeated: u64,
    micros: Vec<u32>,
}

impl EvmLoad {
    /// Makes the load and reports on it.
    pub async fn run(&self) -> eyre::Result<EvmReport> {
        ensure!(!self.accounts.is_empty() && self.rate > 0.0, "no accounts or no rate");
        // A receiver that only this load knows.
        let receiver = Address::from_slice(
            &weft_types::hash::blake3(&[
                b"receiver",
                &self.accounts[0].to_bytes(),
                format!("{:?}", std::time::SystemTime::now()).as_bytes(),
            ])
            .0[..20],
        );
        let board = Arc::new(Mutex::new(Board::default()));
        let from = self.rpc.quantity("eth_blockNumber", json!([])).await? + 1;
        let watcher = tokio::spawn(watch(self.rpc.clone(), from, Arc::clone(&board)));
        let before = self.counts().await?;
        let start = Instant::now();
        let senders = (0..self.accounts.len()).map(|i| {
            let (load, board, nonce) = (self.clone(), Arc::clone(&board), before[i]);
            tokio::spawn(async move { load.send(i, nonce, receiver, start, &board).await })
        });
        let (mut accepted, mut sent_again) = (0, 0);
        for sender in senders.collect::<Vec<_>>() {
            let (a, s) = sender.await??;
            accepted += a;
            sent_again += s;
        }
        let all = wait_for("transfers to be executed", self.patience, || async {
            Ok(lock(&board).waiting.is_empty().then_some(()))
        });
        // What is missing after that is in the report.
        let _ = all.await;
        watcher.abort();
        // Whoever kills rollups may have killed this one just now: then it is behind for a while.
        let last = Mutex::new((0, 0));
        let caught_up = wait_for("a rollup's accounts", self.patience, || async {
            let Ok((counted, received)) = self.books(&before, receiver).await else {
                return Ok(None);
            };
            *lock(&last) = (counted, received);
            Ok(([counted, received] == [accepted; 2]).then_some(()))
        });
        // What is missing after that is in the report.
        let _ = caught_up.await;
        let (counted, received) = *lock(&last);
        let mut board = lock(&board);
        Ok(EvmReport {
            chain_id: self.chain_id,
            accepted,
            sent_again,
            executed: board.micros.len() as u64,
            repeated: board.repeated,
            missing: board.waiting.len() as u64,
            received,
            counted,
            executed_after: Percentiles::of(std::mem::take(&mut board.micros)),
        })
    }

    /// How many transfers nonces say were executed beyond those before, and what the receiver has.
    async fn books(&self, before: &[u64], receiver: Address) -> eyre::Result<(u64, u64)> {
        let after = self.counts().await?;
        let counted = before.iter().zip(&after).map(|(b, a)| a.saturating_sub(*b)).sum();
        let balance = self.rpc.call("eth_getBalance", json!([receiver, "latest"])).await?;
        Ok((counted, quantity(&balance)?))
    }

    async fn counts(&self) -> eyre::Result<Vec<u64>> {
        let mut counts = Vec::new();
        for key in &self.accounts {
            let params = json!([key.address(), "latest"]);
            counts.push(self.rpc.quantity("eth_getTransactionCount", params).await?);
        }
        Ok(counts)
    }

    /// Sends one account's share. Returns how many were accepted and how many sent again.
    async fn send(
        &self,
        account: usize,
        mut nonce: u64,
        receiver: Address,
        start: Instant,
        board: &Mutex<Board>,
    ) -> eyre::Result<(u64, u64)> {
        let (mut accepted, mut again) = (0, 0);
        let every = Duration::from_secs_f64(self.accounts.len() as f64 / self.rate);
        // Accounts take turns rather than all at once.
        let mut due = every.mul_f64(account as f64 / self.accounts.len() as f64);
        while due < self.duration {
            sleep_until(start + due).await;
            let (hash, raw) = transfer(&self.accounts[account], self.chain_id, nonce, receiver);
            lock(board).waiting.insert(hash, start + due);
            let until = Instant::now() + self.patience;
            loop {
                let sent = self.rpc.try_call("eth_sendRawTransaction", json!([raw])).await;
                match sent {
                    Ok(Ok(_)) => break,
                    // It was taken by a process that died before it answered.
                    Ok(Err(error)) if is_known(&error.0) => break,
                    Ok(Err(error)) if is_temporary(&error.0) && Instant::now() < until => {
                        again += 1;
                    }
                    Ok(Err(error)) => return Err(eyre!("transfer refused: {}", error.0)),
                    Err(error) if Instant::now() > until => {
                        return Err(error.wrap_err("nobody takes transfers"));
                    }
                    Err(_) => again += 1,
                }
                sleep(PAUSE).await;
            }
            accepted += 1;
            nonce += 1;
            due += every;
        }
        Ok((accepted, again))
    }
}

/// Whether a refusal says that the transaction is there already, waiting or executed.
fn is_known(error: &Value) -> bool {
    let message = error["message"].as_str().unwrap_or_default();
    message.contains("already known") || message.contains("nonce too low")
}

/// Whether a refusal says that the rollup's engine cannot be asked right now.
fn is_temporary(error: &Value) -> bool {
    error["message"].as_str().unwrap_or_default().contains("state unavailable")
}

/// A signed transfer of 1 wei: its hash, and itself as `0x`-hex.
pub fn transfer(key: &SecretKey, chain_id: u64, nonce: u64, to: Address) -> (B256, String) {
    let transaction = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: GAS,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 0,
        to: TxKind::Call(to),
        value: U256::from(1),
        ..TxEip1559::default()
    };
    let (hash, raw) = sign(transaction, key);
    (hash, format!("0x{}", hex::encode(raw)))
}

/// A signed transaction: its hash, and itself as a slice's item or a wallet's raw transaction.
pub fn sign(transaction: TxEip1559, key: &SecretKey) -> (B256, Bytes) {
    let signature = key.sign(transaction.signature_hash()).0;
    let signature = Signature::new(
        U256::from_be_slice(&signature[..32]),
        U256::from_be_slice(&signature[32..64]),
        signature[64] == 28,
    );
    let envelope: EthereumTxEnvelope<TxEip4844> =
        EthereumTxEnvelope::Eip1559(transaction.into_signed(signature));
    (*envelope.hash(), envelope.encoded_2718().into())
}

/// Looks through every block from one on, again and again.
async fn watch(rpc: Rpc, mut next: u64, board: Arc<Mutex<Board>>) {
    loop {
        let block = rpc.call("eth_getBlockByNumber", json!([format!("{next:#x}"), false])).await;
        match block {
            Ok(block) if block.is_object() => {
                let now = Instant::now();
                let mut board = lock(&board);
                let hashes = block["transactions"].as_array().into_iter().flatten();
                for hash in hashes.filter_map(|hash| hash.as_str()?.parse::<B256>().ok()) {
                    if !board.seen.insert(hash) {
                        board.repeated += 1;
                    }
                    if let Some(due) = board.waiting.remove(&hash) {
                        let micros = now.saturating_duration_since(due).as_micros();
                        board.micros.push(u32::try_from(micros).unwrap_or(u32::MAX));
                    }
                }
                next += 1;
            }
            // Not there yet, or nobody there.
            _ => sleep(PAUSE).await,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
