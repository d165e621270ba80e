//! Drills: a network is broken in a stated way, and what it did is said.
//!
//! Every drill has a short scale, which the test suite runs, and a full one. A drill fails with an
//! error when something that must hold did not; otherwise it says what it found.

mod adapters;
mod all_killed;
mod atomic;
mod auction;
mod audit;
mod bundles;
mod byzantine;
mod command;
mod down;
mod escape;
mod ethereum;
mod forced;
mod garbage;
mod lab;
mod late;
mod peer;
mod power;
mod providers;
mod reorg;
mod report;
mod rolling;
mod slashing;
mod storage;
mod traffic;
mod turnover;

use std::time::Instant;

use clap::ValueEnum;

pub use command::DrillCommand;
pub use lab::{Lab, Scale, free_base_port};
pub use report::{Findings, Report};

/// What can be drilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Drill {
    /// Validators and rollups are killed one after another, under load
    Rolling,
    /// All validators are killed at the same instant, again and again
    AllKilled,
    /// Rollups and their engines are killed, again and again
    Adapters,
    /// Logs are torn and flipped, views deleted
    Storage,
    /// Everything that was not fsynced is lost, on all validators at once
    Power,
    /// One validator is down, then two
    Down,
    /// A full node joins late
    Late,
    /// Validators misbehave, in every way there is
    Byzantine,
    /// Garbage and floods come in at every port
    Garbage,
    /// Providers of Ethereum diverge, lag, say nonsense, die and come back
    Providers,
    /// Ethereum is reorganised, above finality and below
    Reorg,
    /// Every validator is replaced by a newcomer
    Turnover,
    /// A validator that signs twice loses its bond
    Slashing,
    /// What all nodes refuse comes in by way of Ethereum; wei goes there and back
    Forced,
    /// The committee stops, and a rollup goes on by way of Ethereum until it is back
    Escape,
    /// Searchers bid against each other while proposers lie and nodes are killed
    Auction,
    /// Bids come in floods, of every bad kind
    Flood,
    /// Bundles over several namespaces, some of which cannot be
    Bundles,
    /// Atomic bundles while legs fail and executors lie, are killed, and vanish
    Atomic,
}

impl Drill {
    /// All of them.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// The name by which it is chosen.
    pub fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
    }

    /// What it shows.
    pub fn claim(self) -> &'static str {
        match self {
            Self::Rolling => {
                "No final transaction is lost or repeated, and rollups execute each slice once, \
                 while validators and rollups are killed one after another."
            }
            Self::AllKilled => {
                "Validators that are all killed at once come back by themselves, and nobody signs \
                 twice."
            }
            Self::Adapters => "Rollups execute exactly once, wherever they are killed.",
            Self::Storage => {
                "A torn log is cut and says so, a flipped bit is refused, a deleted view costs \
                 only time."
            }
            Self::Power => {
                "Nothing final is lost, and nobody signs twice, when all validators lose whatever \
                 was not fsynced."
            }
            Self::Down => {
                "One validator of four may be down; with two down ordering stops, says so, and \
                 resumes by itself."
            }
            Self::Late => "A full node that joins late catches up and serves slices that verify.",
            Self::Byzantine => {
                "A misbehaving validator is outvoted, is left with evidence against it, and costs \
                 the others nothing lasting."
            }
            Self::Providers => {
                "Whatever providers of Ethereum do, ordering goes on, nothing wrong is taken in, and \
                 who does it is shut out and named."
            }
            Self::Reorg => {
                "Nothing is taken in that is later not on Ethereum; a reorganisation below finality \
                 stops the origin, and nothing else."
            }
            Self::Turnover => {
                "All validators are replaced through the contracts alone, without a stop, and light \
                 clients follow."
            }
            Self::Slashing => {
                "A validator that signs twice loses bond and seat by evidence that others kept and \
                 anybody submits."
            }
            Self::Forced => {
                "A message that every node refuses is in the very block that takes in its L1 block; \
                 deposits and withdrawals conserve every wei, and nothing is claimed twice."
            }
            Self::Escape => {
                "A rollup whose committee has stopped goes on with what Ethereum says, and returns \
                 when headers are posted again: all its nodes at the same points, each message once."
            }
            Self::Auction => {
                "Every result of every auction is what anybody finds who reads the chain, no bid that all \
                 validators had in time is missing, and no proposer can change that."
            }
            Self::Flood => {
                "Honest bidders win what they would have won without a flood of bad bids, and who floods \
                 pays."
            }
            Self::Bundles => {
                "All legs of a bundle stand in one block, or none stands anywhere, and one leg's proof says so."
            }
            Self::Atomic => {
                "Every atomic bundle is executed on all its rollups or on none, and decided by its \
                 deadline, whatever legs do and a minority of executors; rollups whose executors vanish \
                 go on without."
            }
            Self::Garbage => {
                "Garbage gets clear errors; nothing panics, grows without bound, or stops ordering."
            }
        }
    }

    /// Runs it.
    pub async fn run(self, lab: &Lab) -> Report {
        let started = Instant::now();
        let mut findings = Findings::new(self.name(), lab.say);
        let ended = match self {
            Self::Rolling => rolling::run(lab, &mut findings).await,
            Self::AllKilled => all_killed::run(lab, &mut findings).await,
            Self::Adapters => adapters::run(lab, &mut findings).await,
            Self::Storage => storage::run(lab, &mut findings).await,
            Self::Power => power::run(lab, &mut findings).await,
            Self::Down => down::run(lab, &mut findings).await,
            Self::Late => late::run(lab, &mut findings).await,
            Self::Byzantine => byzantine::run(lab, &mut findings).await,
            Self::Garbage => garbage::run(lab, &mut findings).await,
            Self::Providers => providers::run(lab, &mut findings).await,
            Self::Reorg => reorg::run(lab, &mut findings).await,
            Self::Turnover => turnover::run(lab, &mut findings).await,
            Self::Slashing => slashing::run(lab, &mut findings).await,
            Self::Forced => forced::run(lab, &mut findings).await,
            Self::Escape => escape::run(lab, &mut findings).await,
            Self::Auction => auction::run(lab, &mut findings).await,
            Self::Flood => auction::flood(lab, &mut findings).await,
            Self::Bundles => bundles::run(lab, &mut findings).await,
            Self::Atomic => atomic::run(lab, &mut findings).await,
        };
        findings.into_report(self, lab.scale, started.elapsed(), ended)
    }
}
