//! A bare engine: Malachite with the same signing scheme, network and timeouts, and a host that
//! has nothing to do. What one height costs before anything is ordered.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use arc_malachitebft_core_consensus::{LocallyProposedValue, ProposedValue};
use arc_malachitebft_core_types::{CommitCertificate, HeightParams, Round, Validity, ValueOrigin};
use arc_malachitebft_engine::consensus::ConsensusMsg;
use arc_malachitebft_engine::host::{Next, SyncedValueOutcome};
use arc_malachitebft_metrics::SharedRegistry;
use arc_malachitebft_sync::RawDecidedValue;
use eyre::eyre;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use weft_consensus::Tip;
use weft_consensus::engine::{
    Context, Height, ValidatorId, ValidatorSet, Value, Verifier, convert,
};
use weft_consensus::leader::Rotation;
use weft_node::config::Config;
use weft_node::engine::host::EngineEvent;
use weft_node::engine::{self, Engine};
use weft_node::home::Home;
use weft_node::p2p::{self, NetEvent, P2p, Seats};
use weft_node::{keystore, run};
use weft_types::{Address, BlockId, Committee, Header, ProposedBlock};

/// How often an engine hears how far others are, as in a node.
const STATUSES: Duration = Duration::from_millis(100);

/// Heights that are not counted, while connections come up.
const WARM_UP: u64 = 20;

/// Runs one bare engine in a node's home.
#[derive(Clone, Debug, clap::Args)]
pub struct BareCommand {
    /// The node's home
    #[arg(long)]
    pub home: PathBuf,
    /// For how long
    #[arg(long = "for", value_parser = humantime::parse_duration)]
    pub duration: Duration,
}

/// What it came to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Heights {
    /// Heights decided.
    pub heights: u64,
    /// Mean time between decisions, in milliseconds.
    pub mean_ms: f64,
}

/// The host.
struct Host {
    engine: Engine,
    committee: Committee,
    config: Config,
    own: Address,
    header: Header,
    seats: watch::Sender<Seats>,
    counted: Option<Instant>,
    /// What was proposed at the next height.
    proposed: BTreeMap<BlockId, ProposedBlock>,
    /// What was decided, for engines that came up later.
    decided: Vec<RawDecidedValue<Context>>,
}

impl BareCommand {
    /// Runs it.
    #[expect(clippy::print_stdout, reason = "what a command answers")]
    pub async fn run(self) -> eyre::Result<()> {
        let home = Home::new(&self.home);
        let config = Config::load(&home.config(), &serde_json::json!({}))?;
        let genesis = home.genesis()?;
        let committee = genesis.check()?;
        let password_file = config.keys.password_file.as_ref().map(|file| home.resolve(file));
        let path = home.resolve(&config.keys.validator);
        let password = keystore::password(password_file.as_deref(), &path.display().to_string())?;
        let key = keystore::read(&path, &password)?;
        let header = genesis.header(&committee);
        let verifier = Verifier::new(genesis.chain_id);
        let (seats, of_next_height) = watch::channel(Seats::of(&Tip::genesis(&genesis)?));
        let (to_events, mut events) = mpsc::channel(1024);
        let p2p = p2p::Config {
            announce: None,
            chain_id: genesis.chain_id,
            genesis: header.id(),
            key: home.network_key()?,
            validator: Some(key.clone()),
            listen: config.p2p.listen.clone(),
            peers: config.p2p.peers.clone(),
            sync: run::sync_behaviour(&config),
        };
        let (p2p, network) = P2p::new(p2p, verifier.clone(), of_next_height, to_events)?;
        tokio::spawn(network);
        std::fs::create_dir_all(home.wal().parent().ok_or_else(|| eyre!("no data directory"))?)?;
        let (engine_events, mut asked) = mpsc::unbounded_channel();
        let engine = engine::start(engine::Setup {
            chain_id: genesis.chain_id,
            key: key.clone(),
            wal: &home.wal(),
            sync: run::value_sync(&config),
            p2p: p2p.clone(),
            verifier,
            events: engine_events,
            registry: SharedRegistry::global(),
        })
        .await?;
        let own = key.address();
        let mut host = Host {
            engine,
            committee,
            config,
            own,
            header,
            seats,
            counted: None,
            proposed: BTreeMap::new(),
            decided: Vec::new(),
        };
        let until = tokio::time::sleep(self.duration);
        tokio::pin!(until);
        let mut statuses = tokio::time::interval(STATUSES);
        loop {
            tokio::select! {
                _ = statuses.tick() => p2p.bus().release(host.tip()),
                () = &mut until => break,
                Some(event) = asked.recv() => host.answer(event)?,
                Some(event) = events.recv() => host.hear(event)?,
            }
        }
        let heights = host.tip().saturating_sub(WARM_UP);
        let since = host.counted.ok_or_else(|| eyre!("not even warm"))?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 heights")]
        let mean_ms = since.elapsed().as_secs_f64() * 1000.0 / heights.max(1) as f64;
        println!("{}", serde_json::to_string(&Heights { heights, mean_ms })?);
        Ok(())
    }
}

impl Host {
    fn tip(&self) -> u64 {
        self.seats.borrow().tip
    }

    fn params(&self) -> HeightParams<Context> {
        let members = vec![true; self.committee.members().len()];
        let rotation = Rotation::new(&self.committee, &members);
        let set = ValidatorSet::new(&self.committee, rotation);
        HeightParams::new(set, self.config.timeouts(), None)
    }

    fn answer(&mut self, event: EngineEvent) -> eyre::Result<()> {
        let next = Height(self.tip() + 1);
        match event {
            EngineEvent::Ready(reply) => reply.send((next, self.params()))?,
            EngineEvent::ValueWanted { height, round, reply } => {
                let header = Header { height, proposer: self.own, ..self.header };
                let block = ProposedBlock { header, observations: Vec::new() };
                self.proposed.insert(block.header.id(), block.clone());
                let value = Value::new(block).ok_or_else(|| eyre!("a block that is none"))?;
                // The round may be over.
                let _ =
                    reply.send(LocallyProposedValue::new(Height(height), Round::new(round), value));
            }
            EngineEvent::Decided(certificate, reply) => {
                let height = certificate.height.0;
                self.keep(&certificate)?;
                self.seats.send_modify(|seats| seats.tip = height);
                if height == WARM_UP {
                    self.counted = Some(Instant::now());
                }
                reply.send(())?;
            }
            EngineEvent::Finalized { reply, .. } => {
                reply.send(Next::Start(next, self.params()))?;
            }
            EngineEvent::DecidedValues { from, to, reply } => {
                let index = |height: u64| usize::try_from(height).unwrap_or(usize::MAX);
                let (from, to) = (index(from.saturating_sub(1)), index(to));
                let known = self.decided.get(from..to.min(self.decided.len()));
                reply.send(known.unwrap_or_default().to_vec())?;
            }
            EngineEvent::Synced { height, round, proposer, bytes, reply } => {
                let block: ProposedBlock = borsh::from_slice(&bytes)?;
                self.proposed.insert(block.header.id(), block.clone());
                reply.send(SyncedValueOutcome::Verdict(valid(height, round, proposer, block)?))?;
            }
            EngineEvent::StartedRound { .. } => {}
        }
        Ok(())
    }

    /// Keeps what was decided for others.
    fn keep(&mut self, certificate: &CommitCertificate<Context>) -> eyre::Result<()> {
        let block = self.proposed.get(&certificate.value_id);
        let bytes = borsh::to_vec(block.ok_or_else(|| eyre!("decided what nobody proposed"))?)?;
        let certificate = convert::certificate(certificate, &self.committee)
            .and_then(|certificate| convert::sync_certificate(&certificate, &self.committee))
            .ok_or_else(|| eyre!("decided by strangers"))?;
        let height = certificate.height.0;
        self.decided.push(RawDecidedValue::new(bytes.into(), certificate));
        self.proposed.retain(|_, block| block.header.height > height);
        Ok(())
    }

    /// Finds every proposal valid.
    fn hear(&mut self, event: NetEvent) -> eyre::Result<()> {
        let NetEvent::Proposal(message) = event else { return Ok(()) };
        let block = message.block;
        self.proposed.insert(block.header.id(), block.clone());
        let value = valid(block.header.height, message.round, message.proposer, block)?;
        let message = ConsensusMsg::ReceivedProposedValue(value, ValueOrigin::Consensus);
        // The engine may be stopping.
        let _ = self.engine.consensus.cast(message);
        Ok(())
    }
}

fn valid(
    height: u64,
    round: u32,
    proposer: Address,
    block: ProposedBlock,
) -> eyre::Result<ProposedValue<Context>> {
    Ok(ProposedValue {
        height: Height(height),
        round: Round::new(round),
        valid_round: Round::Nil,
        proposer: ValidatorId(proposer),
        value: Value::new(block).ok_or_else(|| eyre!("a block that is none"))?,
        validity: Validity::Valid,
    })
}
