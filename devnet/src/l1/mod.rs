//! Ethereum for a devnet: one anvil, providers between it and the nodes that can be told to go
//! wrong, the contracts, and a relayer.

mod fault;
mod provider;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::U256;
use eyre::{WrapErr, eyre};
use serde_json::{Value, json};
use weft_l1::calls;
use weft_l1::contracts::abi::{StakeRegistry, Vault};
use weft_l1::deploy::{self, InboxTerms, StakeTerms, Trust};
use weft_l1::provider::{Finality, final_block};
use weft_l1::rpc::{Bounds, Client};
use weft_l1::wallet::{Wallet, call};
use weft_node::home::write_secret;
use weft_types::genesis::Stake;
use weft_types::{Address, Committee, L1Contracts, SecretKey, Wei};

pub use fault::Fault;
pub use provider::ProviderCommand;

use crate::client::wait_for;
use crate::network::tail_of;
use crate::plan::{Plan, PlannedProvider, key};
use crate::process::{Process, Recipe};
use crate::programs::Programs;
use crate::rpc::Rpc;

/// How long anything on the chain may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The chain's EIP-155 id: anvil's own.
pub const CHAIN_ID: u64 = 31_337;

/// One ether.
pub const ETHER: Wei = 1_000_000_000_000_000_000;

/// What each validator of a devnet bonds.
pub const BOND: Wei = 32 * ETHER;

/// How far the devnet's own clients let the chain go.
const BOUNDS: Bounds = Bounds { max_answer: 64 * 1024 * 1024, timeout: PATIENCE };

/// What is planned of Ethereum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Providers that all nodes share, or that each validator has for itself.
    pub providers: usize,
    /// Whether each validator has providers of its own.
    pub own_providers: bool,
    /// Blocks of an epoch of the chain: after two of them a block is final.
    pub slots: u64,
    /// Seconds from an exit to when the bond can be taken back.
    pub exit_delay: u64,
    /// Seconds after which the light client trusts no more.
    pub trusting_period: u64,
    /// L1 blocks without a header until fallback can be announced.
    pub stall: u64,
    /// L1 blocks until a message is overdue.
    pub overdue: u64,
    /// L1 blocks from an announcement to fallback.
    pub grace: u64,
    /// Whether a relayer runs.
    pub relayer: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            providers: 3,
            own_providers: false,
            slots: 1,
            exit_delay: 1800,
            trusting_period: 600,
            stall: 120,
            overdue: 60,
            grace: 20,
            relayer: true,
        }
    }
}

/// A chain that runs, with everything around it.
#[derive(Debug)]
pub struct L1 {
    /// The chain itself.
    pub anvil: Process,
    /// Its RPC, past all providers.
    pub rpc: Rpc,
    /// Providers, in the order of the plan.
    pub providers: Vec<Provider>,
    /// The relayer, once nodes are there to relay from.
    pub relayer: Option<Process>,
    client: Arc<Client>,
}

/// A provider that runs.
#[derive(Debug)]
pub struct Provider {
    /// What was planned.
    pub plan: PlannedProvider,
    /// Its process.
    pub process: Process,
}

impl Provider {
    /// Has it go wrong, or right again.
    pub fn set(&self, fault: Fault) -> eyre::Result<()> {
        let temporary = self.plan.fault.with_extension("tmp");
        std::fs::write(&temporary, serde_json::to_vec(&fault)?)?;
        Ok(std::fs::rename(&temporary, &self.plan.fault)?)
    }
}

impl L1 {
    /// Starts the chain and its providers. If the plan's genesis names no contracts yet, deploys them,
    /// bonds the validators, and lets the genesis name it all.
    pub async fn start(plan: &mut Plan, programs: &Programs, anvil: PathBuf) -> eyre::Result<Self> {
        let planned = plan.l1.clone().ok_or_else(|| eyre!("no L1 is planned"))?;
        std::fs::create_dir_all(&planned.dir)?;
        let anvil = Recipe {
            name: "l1-anvil".to_owned(),
            program: anvil,
            args: vec![
                format!("--host={}", planned.anvil.ip()),
                format!("--port={}", planned.anvil.port()),
                format!("--chain-id={CHAIN_ID}"),
                format!("--slots-in-an-epoch={}", planned.terms.slots),
                format!("--state={}", planned.dir.join("state.json").display()),
                "--accounts=1".to_owned(),
                "--quiet".to_owned(),
            ],
            env: Vec::new(),
            log: planned.dir.join("anvil.log"),
        };
        let anvil = Process::start(anvil)?;
        let url = format!("http://{}", planned.anvil);
        let client = Arc::new(Client::new(&url, BOUNDS)?);
        let mut l1 = Self {
            anvil,
            rpc: Rpc::new(planned.anvil),
            providers: Vec::new(),
            relayer: None,
            client,
        };
        l1.wait_answers().await?;
        for provider in &planned.providers {
            l1.providers.push(Provider::start(provider, &url, programs)?);
        }
        if plan.genesis.l1.is_none() {
            l1.found(plan).await.wrap_err("cannot deploy the contracts")?;
        }
        // From now on the chain has its own pace.
        l1.set_pace(true).await?;
        Ok(l1)
    }

    async fn wait_answers(&mut self) -> eyre::Result<()> {
        let (rpc, log) = (self.rpc.clone(), self.anvil.log().to_owned());
        let anvil = &mut self.anvil;
        wait_for("the chain to answer", PATIENCE, || {
            let ended = anvil.ended();
            let (rpc, log) = (rpc.clone(), log.clone());
            async move {
                if let Some(status) = ended {
                    return Err(eyre!("anvil ended: {status}\n{}", tail_of(&log)));
                }
                Ok(rpc.quantity("eth_blockNumber", json!([])).await.ok())
            }
        })
        .await
        .map(|_| ())
    }

    /// Deploys the contracts and bonds the validators.
    async fn found(&self, plan: &mut Plan) -> eyre::Result<()> {
        let terms = plan.l1.as_ref().map(|l1| l1.terms).unwrap_or_default();
        let chain_id = plan.genesis.chain_id;
        let deployer = self.rich(&key("deployer", 0)).await?;
        let stake = StakeTerms { least_bond: ETHER, exit_delay: terms.exit_delay };
        let registry = deploy::stake_registry(&deployer, chain_id, stake).await?;
        for node in &plan.validators {
            let Some(validator) = &node.key else { continue };
            self.bond(chain_id, registry, validator, BOND).await?;
        }
        let stakes = self.stakes(registry, plan).await?;
        let claims = stakes.iter().map(|stake| (stake.validator, stake.stake));
        let members = weft_ledger::seats(claims, plan.genesis.params.committee_size);
        let committee = Committee::new(members.clone())?;
        let trust = Trust {
            committee: committee.hash(),
            genesis_time: plan.genesis.time_ms,
            origin: self.client.number("eth_blockNumber").await?,
            trusting_period: terms.trusting_period,
        };
        let inbox = InboxTerms {
            fee_per_message: ETHER / 10_000,
            fee_per_byte: 1_000_000_000,
            stall: terms.stall,
            overdue: terms.overdue,
            grace: terms.grace,
        };
        let contracts = deploy::contracts(&deployer, chain_id, registry, trust, inbox).await?;
        let allocated = plan.genesis.accounts.iter().map(|account| account.balance).sum();
        self.give(deployer.address(), allocated).await?;
        deployer.send(contracts.vault, &Vault::endowCall {}, allocated, PATIENCE).await?;
        for key in plan.accounts.iter().chain([&relayer()]) {
            self.give(key.address(), 0).await?;
        }
        self.mine(2 * terms.slots + 1).await?;
        let origin = final_block(&self.client, Finality::Finalized).await?;
        plan.genesis.l1_origin = origin.ok_or_else(|| eyre!("no L1 block is final"))?;
        plan.genesis.l1 = Some(contracts);
        plan.genesis.stakes = stakes;
        plan.genesis.validators = members;
        plan.genesis.check()?;
        Ok(())
    }

    async fn stakes(&self, registry: Address, plan: &Plan) -> eyre::Result<Vec<Stake>> {
        let mut stakes = Vec::new();
        for key in plan.validators.iter().filter_map(|node| node.key.as_ref()) {
            let validator = key.address();
            let stake = StakeRegistry::stakeOfCall { validator };
            let stake: Wei = call(&self.client, registry, &stake).await?.saturating_to();
            stakes.push(Stake { validator, stake });
        }
        stakes.sort_by_key(|stake| stake.validator);
        Ok(stakes)
    }

    /// Bonds a validator, with its owner's money.
    pub async fn bond(
        &self,
        chain_id: u64,
        registry: Address,
        validator: &SecretKey,
        amount: Wei,
    ) -> eyre::Result<()> {
        let owner = self.rich(&owner_of(validator)).await?;
        let bond = calls::bond(validator, chain_id, registry, owner.address());
        owner.send(registry, &bond, amount, PATIENCE).await?;
        Ok(())
    }

    /// A wallet of a key that has a thousand ether and more.
    pub async fn rich(&self, key: &SecretKey) -> eyre::Result<Wallet> {
        self.give(key.address(), 0).await?;
        Ok(Wallet::new(Arc::clone(&self.client), key.clone(), CHAIN_ID).await?)
    }

    /// Gives an account so much, and a thousand ether.
    async fn give(&self, account: Address, amount: Wei) -> eyre::Result<()> {
        let balance = U256::from(amount).saturating_add(U256::from(1000 * ETHER));
        self.rpc.call("anvil_setBalance", json!([account, balance])).await?;
        Ok(())
    }

    /// Mines so many blocks at once.
    pub async fn mine(&self, blocks: u64) -> eyre::Result<()> {
        self.rpc.call("anvil_mine", json!([format!("{blocks:#x}")])).await?;
        Ok(())
    }

    /// Replaces the last blocks by as many others, without their transactions. The first has one of
    /// its own: else all would be the same blocks again.
    pub async fn reorg(&self, depth: u64) -> eyre::Result<()> {
        let accounts = self.rpc.call("eth_accounts", json!([])).await?;
        let transaction = json!({ "from": accounts[0], "to": accounts[0], "value": "0x1" });
        self.rpc.call("anvil_reorg", json!([depth, [[transaction, 0]]])).await?;
        Ok(())
    }

    /// The chain, past all providers.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Has the chain make a block every second, or at once for each transaction and no other.
    pub async fn set_pace(&self, by_itself: bool) -> eyre::Result<()> {
        // Each of the two ends what the other began.
        let [automine, interval] = [
            ("evm_setAutomine", json!([!by_itself])),
            ("evm_setIntervalMining", json!([u64::from(by_itself)])),
        ];
        let calls = if by_itself { [automine, interval] } else { [interval, automine] };
        for (method, params) in calls {
            self.rpc.call(method, params).await?;
        }
        Ok(())
    }

    /// Starts the relayer, which asks a node's API.
    pub fn start_relayer(
        &mut self,
        plan: &Plan,
        programs: &Programs,
        api: &str,
    ) -> eyre::Result<()> {
        let planned = plan.l1.as_ref().ok_or_else(|| eyre!("no L1 is planned"))?;
        let wallet = planned.dir.join("relayer.key");
        if !wallet.exists() {
            write_secret(&wallet, &hex::encode(relayer().to_bytes()))?;
        }
        let urls: Vec<String> = planned.shared().map(PlannedProvider::url).collect();
        let recipe = Recipe {
            name: "l1-relayer".to_owned(),
            program: programs.weft.clone(),
            args: vec![
                "relay".to_owned(),
                format!("--api={api}"),
                format!("--provider={}", urls.join(",")),
                format!("--wallet={}", wallet.display()),
                "--interval=500ms".to_owned(),
            ],
            env: Vec::new(),
            log: planned.dir.join("relayer.log"),
        };
        self.relayer = Some(Process::start(recipe)?);
        Ok(())
    }

    /// Every process.
    pub fn processes_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        let providers = self.providers.iter_mut().map(|provider| &mut provider.process);
        self.relayer.iter_mut().chain(providers).chain([&mut self.anvil])
    }

    /// Asks everything to stop. Returns what had to be killed.
    pub async fn stop(&mut self) -> eyre::Result<Vec<String>> {
        let mut killed = Vec::new();
        for process in self.processes_mut() {
            if !process.stop().await? {
                killed.push(process.name().to_owned());
            }
        }
        Ok(killed)
    }

    /// As `network.json` has it.
    pub fn describe(&self, contracts: &L1Contracts) -> Value {
        let providers = self.providers.iter().map(|provider| {
            json!({
                "url": provider.plan.url(),
                "pid": provider.process.pid(),
                "fault": provider.plan.fault,
            })
        });
        json!({
            "chain_id": CHAIN_ID.to_string(),
            "providers": providers.collect::<Vec<_>>(),
            "contracts": {
                "StakeRegistry": contracts.stake_registry,
                "Vault": contracts.vault,
                "Inbox": contracts.inbox,
                "LightClient": contracts.light_client,
            },
            "chain": { "url": self.rpc.url(), "pid": self.anvil.pid() },
            "relayer": self.relayer.as_ref().map(|process| json!({
                "address": relayer().address(),
                "pid": process.pid(),
            })),
        })
    }
}

/// The account that owns a validator's bond.
pub fn owner_of(validator: &SecretKey) -> SecretKey {
    let number = validator.address().0[..8].iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
    key("owner", number)
}

fn relayer() -> SecretKey {
    key("relayer", 0)
}

impl Provider {
    fn start(plan: &PlannedProvider, upstream: &str, programs: &Programs) -> eyre::Result<Self> {
        let recipe = Recipe {
            name: plan.name.clone(),
            program: programs.weft_devnet.clone(),
            args: vec![
                "provider".to_owned(),
                format!("--upstream={upstream}"),
                format!("--listen={}", plan.listen),
                format!("--fault={}", plan.fault.display()),
            ],
            env: Vec::new(),
            log: plan.fault.with_extension("log"),
        };
        Ok(Self { plan: plan.clone(), process: Process::start(recipe)? })
    }
}
