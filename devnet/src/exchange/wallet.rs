//! A wallet: one key, used through cast and forge as they are.

use std::fmt::Display;
use std::process::Stdio;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256};
use eyre::{WrapErr, ensure};
use tokio::process::Command;

use super::answers::{self, Log, Receipt};
use crate::command::{Ended, run};
use crate::tools::Tools;

/// How long cast and forge wait for a receipt, in seconds.
const RECEIPT_SECONDS: &str = "60";

/// How long any one of their runs may take, with all it asks before and after.
const RUN_PATIENCE: Duration = Duration::from_secs(90);

/// How a transaction offers to pay for its gas. Prices are those that cast finds by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fee {
    /// One price, as before EIP-1559.
    Legacy,
    /// A highest price and a tip, as EIP-1559 has it.
    Capped,
}

/// What came of an attempt to send a transaction.
#[derive(Clone, Debug)]
pub enum Sent {
    /// It is in a block, whether it succeeded there or was reverted.
    Mined(Receipt),
    /// It was not sent; why, in cast's words.
    Refused(String),
}

/// Arguments of a contract's function, as cast and forge want them.
pub fn args<const N: usize>(values: [&dyn Display; N]) -> Vec<String> {
    values.map(ToString::to_string).to_vec()
}

/// A wallet of one key on one chain.
///
/// The key is given to the tools as an argument, where every user of this machine can see it: only
/// keys of a devnet belong here.
#[derive(Debug)]
pub struct Wallet<'a> {
    tools: &'a Tools,
    rpc: &'a str,
    key: String,
    address: Address,
}

impl<'a> Wallet<'a> {
    /// A wallet for the chain whose JSON-RPC is at the URL `rpc`.
    pub async fn new(tools: &'a Tools, rpc: &'a str, key: B256) -> eyre::Result<Self> {
        let mut wallet = Self { tools, rpc, key: key.to_string(), address: Address::ZERO };
        let mut command = tools.command(&tools.cast());
        command.args(["wallet", "address", "--private-key", &wallet.key]);
        let printed = wallet.run(command, "cast wallet address").await?.output("cast wallet")?;
        wallet.address = printed.trim().parse().wrap_err("cast wallet address: no address")?;
        Ok(wallet)
    }

    /// The tools it uses.
    pub fn tools(&self) -> &Tools {
        self.tools
    }

    /// Its address.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Deploys a contract of forge's project, named as `contracts/Token.sol:Token`, with arguments
    /// for its constructor. Waits for the receipt, whatever it says.
    pub async fn deploy_source(&self, contract: &str, args: &[String]) -> eyre::Result<Receipt> {
        let what = format!("forge create {contract}");
        let mut command = self.tools.command(&self.tools.forge());
        command.arg("create").arg("--root").arg(self.tools.directory());
        command.args(["--rpc-url", self.rpc, "--private-key", &self.key]);
        command.args(["--timeout", RECEIPT_SECONDS, "--broadcast", "--json", contract]);
        command.arg("--constructor-args").args(args);
        let printed = self.run(command, &what).await?.output(&what)?;
        self.receipt(answers::deployment(&printed).wrap_err(what)?).await
    }

    /// Deploys a contract from its published code. `signature` is its constructor's, such as
    /// `constructor(address)`; empty if it takes no arguments. Waits for the receipt.
    pub async fn deploy_code(
        &self,
        code: &Bytes,
        signature: &str,
        args: &[String],
    ) -> eyre::Result<Receipt> {
        let what = "cast send --create";
        let mut command = self.sending(Fee::Capped);
        command.arg("--create").arg(code.to_string());
        if !signature.is_empty() {
            command.arg(signature).args(args);
        }
        let printed = self.run(command, what).await?.output(what)?;
        answers::receipt(&printed).wrap_err(what)
    }

    /// Calls a function by a transaction and waits for its receipt, whatever it says. `signature`
    /// is such as `transfer(address,uint256)`. With a gas limit, cast sends without asking first
    /// what would come of it; without, a call that would be reverted is refused.
    pub async fn send(
        &self,
        to: Address,
        signature: &str,
        args: &[String],
        fee: Fee,
        gas_limit: Option<u64>,
    ) -> eyre::Result<Sent> {
        let what = format!("cast send {signature}");
        let mut command = self.sending(fee);
        if let Some(limit) = gas_limit {
            command.args(["--gas-limit", &limit.to_string()]);
        }
        command.arg(to.to_string()).arg(signature).args(args);
        let ended = self.run(command, &what).await?;
        if !ended.success {
            return Ok(Sent::Refused(ended.complaint().to_owned()));
        }
        Ok(Sent::Mined(answers::receipt(&ended.stdout).wrap_err(what)?))
    }

    /// What a function returns at the latest block, as 32-byte words. `signature` must not name
    /// results.
    pub async fn call(
        &self,
        to: Address,
        signature: &str,
        args: &[String],
    ) -> eyre::Result<Vec<U256>> {
        let what = format!("cast call {signature}");
        let to = to.to_string();
        let args: Vec<&str> =
            [&*to, signature].into_iter().chain(args.iter().map(String::as_str)).collect();
        let printed = self.ask("call", &args).await?;
        answers::words(&printed).wrap_err(what)
    }

    /// The logs of a contract's event, such as `Sync(uint112,uint112)`, from a block to the latest.
    /// Indexed parameters have to be marked as in the contract's source.
    pub async fn logs(
        &self,
        address: Address,
        event: &str,
        from_block: u64,
    ) -> eyre::Result<Vec<Log>> {
        let (address, from) = (address.to_string(), from_block.to_string());
        let args =
            ["--json", "--from-block", &from, "--to-block", "latest", "--address", &address, event];
        answers::logs(&self.ask("logs", &args).await?)
    }

    /// The receipt of a transaction that is in a block.
    pub async fn receipt(&self, transaction: B256) -> eyre::Result<Receipt> {
        answers::receipt(&self.ask("receipt", &["--json", &transaction.to_string()]).await?)
    }

    /// How many wei this wallet has at the latest block.
    pub async fn balance(&self) -> eyre::Result<U256> {
        self.number("balance").await
    }

    /// How many transactions of this wallet are in blocks.
    pub async fn transactions(&self) -> eyre::Result<U256> {
        self.number("nonce").await
    }

    async fn number(&self, subcommand: &str) -> eyre::Result<U256> {
        let printed = self.ask(subcommand, &[&self.address.to_string()]).await?;
        U256::from_str_radix(printed.trim(), 10)
            .wrap_err_with(|| format!("cast {subcommand}: no number: {printed:.100}"))
    }

    fn sending(&self, fee: Fee) -> Command {
        let mut command = self.tools.command(&self.tools.cast());
        command.args(["send", "--rpc-url", self.rpc, "--private-key", &self.key]);
        command.args(["--timeout", RECEIPT_SECONDS, "--json"]);
        if fee == Fee::Legacy {
            command.arg("--legacy");
        }
        command
    }

    async fn ask(&self, subcommand: &str, args: &[&str]) -> eyre::Result<String> {
        let what = format!("cast {subcommand}");
        let mut command = self.tools.command(&self.tools.cast());
        command.args([subcommand, "--rpc-url", self.rpc]).args(args);
        self.run(command, &what).await?.output(&what)
    }

    async fn run(&self, mut command: Command, what: &str) -> eyre::Result<Ended> {
        ensure!(self.rpc.starts_with("http"), "{:?} is no URL of a JSON-RPC", self.rpc);
        run(&mut command, what, Stdio::null(), RUN_PATIENCE).await
    }
}
