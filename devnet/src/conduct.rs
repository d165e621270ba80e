//! Validators that misbehave: real nodes with another conduct. `weft-conduct` runs them.

mod fault;
mod record;

use std::path::PathBuf;

use clap::ValueEnum;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use weft_node::cli::logging;
use weft_node::config::Config;
use weft_node::home::Home;
use weft_node::keystore;
use weft_node::run;

pub use record::{Record, read_records};

/// How a validator conducts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum As {
    /// As the protocol says
    Honest,
    /// Signs two batches for one place in its lane and sends each to half of the others
    SplitAuthor,
    /// Sends each batch to one other validator and gives it to nobody else
    WithholdingAuthor,
    /// Signs two observations of a height and sends each to half of the others
    SplitObserver,
    /// Proposes blocks without their last batch
    DroppingProposer,
    /// Proposes blocks with a batch that nobody has observed
    AddingProposer,
    /// Proposes blocks with the first and the last batch exchanged
    ReorderingProposer,
    /// Proposes blocks a millisecond before their time
    BackDatingProposer,
    /// Proposes blocks that say something else of their parent's outcome
    LyingProposer,
    /// Proposes blocks that say that somebody else has won an auction
    SwappingProposer,
    /// Proposes empty blocks although there is something to order
    EmptyProposer,
    /// Proposes blocks that leave out what comes from Ethereum
    OmittingProposer,
    /// Votes for nil in every round in which it votes for a block as well
    DoubleVoter,
}

impl As {
    /// The name by which it is chosen.
    pub fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
    }
}

/// A validator that conducts itself in some way. For trying out how a network bears with it; never
/// run one with a key that has stake.
#[derive(Clone, Debug, clap::Parser)]
pub struct Conducted {
    /// The node's home
    #[arg(long, value_name = "DIR")]
    pub home: PathBuf,
    /// How it conducts itself
    #[arg(long = "as", value_name = "CONDUCT", value_enum)]
    pub conduct: As,
    /// Append every signature it makes or hears of to this file, before anything is done with it
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

impl Conducted {
    /// Runs it until it is told to stop.
    pub async fn run(self) -> eyre::Result<()> {
        let home = Home::new(&self.home);
        let config = Config::load(&home.config(), &serde_json::json!({}))?;
        logging::start(&config.log)?;
        let (stop, stopped) = watch::channel(false);
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::spawn(async move {
            terminate.recv().await;
            let _ = stop.send(true);
        });
        let genesis = home.genesis()?;
        let committee = genesis.check()?;
        let password_file = config.keys.password_file.as_ref().map(|file| home.resolve(file));
        let path = home.resolve(&config.keys.validator);
        let password = keystore::password(password_file.as_deref(), &path.display().to_string())?;
        let key = keystore::read(&path, &password)?;
        let recorder = self.record.as_deref().map(record::Recorder::open).transpose()?;
        let fault = fault::Faulty::new(
            self.conduct,
            key.clone(),
            genesis.chain_id,
            &committee,
            recorder.clone(),
        );
        let conduct = self.conduct;
        let listen = move |p2p: &weft_node::p2p::P2p| {
            if let Some(recorder) = recorder {
                p2p.bus().tap(move |event| recorder.heard(event));
            }
            if conduct == As::DoubleVoter {
                let voter = fault::double_voter(p2p.clone(), key, genesis.chain_id);
                p2p.bus().tap(voter);
            }
        };
        run::run_as(Box::new(fault), listen, home, config, stopped).await
    }
}
