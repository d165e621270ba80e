//! A validator misbehaves, in every way there is, one after another.

use std::time::Duration;

use clap::ValueEnum;
use eyre::{WrapErr, ensure, eyre};

use super::traffic::{Rates, Traffic};
use super::{Findings, Lab, audit};
use crate::conduct::As;
use crate::load::Report;
use crate::network::Network;
use crate::plan::Options;

/// The validator that misbehaves.
const LIAR: usize = 0;

/// Transactions per second that the liar is given: enough for several in each of its batches.
const OWN_RATE: f64 = 200.0;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What others must notice of a conduct.
enum Trace {
    /// Proposals that they refuse.
    InvalidProposals,
    /// Two signatures for one slot.
    Evidence,
    /// Proposals that they do not answer, so that another round comes.
    LaterRounds,
    /// Nothing that can be proven.
    Nothing,
}

fn trace_of(conduct: As) -> Trace {
    match conduct {
        As::DroppingProposer
        | As::AddingProposer
        | As::ReorderingProposer
        | As::BackDatingProposer
        | As::LyingProposer
        | As::SwappingProposer
        | As::OmittingProposer => Trace::InvalidProposals,
        As::EmptyProposer => Trace::LaterRounds,
        As::SplitAuthor | As::SplitObserver | As::DoubleVoter => Trace::Evidence,
        As::Honest | As::WithholdingAuthor => Trace::Nothing,
    }
}

pub async fn run(lab: &Lab, findings: &mut Findings) -> eyre::Result<()> {
    let lasts = lab.scale.pick(Duration::from_secs(6), Duration::from_secs(60));
    let calm = one(lab, As::Honest, lasts, findings).await?;
    // What leaves Ethereum out has its place where there is some, in the drill "forced"; what swaps
    // winners where there are auctions, in the drill "auction".
    let elsewhere = [As::Honest, As::OmittingProposer, As::SwappingProposer];
    for conduct in As::value_variants().iter().filter(|conduct| !elsewhere.contains(conduct)) {
        let report = one(lab, *conduct, lasts, findings).await?;
        findings.note(
            format!("{}: median latency against the honest network's", conduct.name()),
            format!("{:.1} times", report.final_after.p50 / calm.final_after.p50.max(0.1)),
        );
    }
    Ok(())
}

/// A network with one conduct.
async fn one(
    lab: &Lab,
    conduct: As,
    lasts: Duration,
    findings: &mut Findings,
) -> eyre::Result<Report> {
    let name = conduct.name();
    findings.say(&name);
    let options =
        Options { conduct: vec![(LIAR, conduct)], ..lab.options(&format!("byzantine-{name}")) };
    let mut network = lab.start(options).await?;
    // The liar gets transactions, too: an author that misbehaves needs something to misuse. Only
    // what honest validators accepted must become final.
    let spared: &[usize] = if conduct == As::Honest { &[] } else { &[LIAR] };
    let rates = Rates { rate: 100.0, rollup_rate: 0.0, duration: lasts, patience: PATIENCE };
    let own = Traffic::begin(&network, Rates { rate: OWN_RATE, ..rates }, &[1, 2, 3]);
    let mut quiet = Findings::new(name.clone(), |_| ());
    let load = Traffic::start(&network, rates, spared).await?.finish(&mut quiet).await?;
    drop(own);
    ensure!(
        load.missing == 0,
        "{name}: {} transactions that honest validators accepted are not final",
        load.missing
    );
    audit::chain(&network, &load, &mut quiet).await?;

    let mut told = vec![format!("all {} final, p50 {:.0} ms", load.finals, load.final_after.p50)];
    let refused = metric(&network, "weft_invalid_proposals_total").await?;
    let accused = accused(&network).await?;
    match trace_of(conduct) {
        Trace::InvalidProposals => {
            ensure!(refused > 0, "{name}: nobody refused a proposal");
            told.push(format!("{refused} proposals refused"));
        }
        Trace::Evidence => {
            ensure!(accused > 0, "{name}: nobody kept evidence");
            told.push(format!("{accused} pieces of evidence kept"));
        }
        Trace::LaterRounds => {
            let later = metric(&network, "weft_late_heights_total").await?;
            ensure!(later > 0, "{name}: no height took another round");
            no_empty_block_too_soon(&network).await?;
            told.push("not answered; no empty block before its round".to_owned());
        }
        Trace::Nothing => ensure!(refused == 0, "{name}: {refused} proposals refused"),
    }
    findings.note(name.clone(), told.join(", "));

    if conduct != As::Honest {
        // Nothing lasting: with the liar gone, the others go on; with it mended, all four do.
        network.validators[LIAR].process.kill().await?;
        let other = &network.validators[1].client;
        other.wait_height(other.height().await? + 5, PATIENCE).await?;
        network.validators[LIAR].process.recipe_mut().args = vec![
            "--home".to_owned(),
            network.validators[LIAR].plan.home.display().to_string(),
            "--as".to_owned(),
            As::Honest.name(),
        ];
        network.validators[LIAR].process.restart()?;
        network.wait_ready(PATIENCE).await?;
        let after =
            Traffic::start(&network, Rates { duration: Duration::from_secs(2), ..rates }, &[])
                .await?
                .finish(&mut quiet)
                .await?;
        after.check().wrap_err_with(|| format!("{name}: afterwards"))?;
    }
    audit::logs(&network)?;
    network.stop_cleanly().await?;
    Ok(load)
}

/// Checks that no block without observations was decided in a round in which others can be.
async fn no_empty_block_too_soon(network: &Network) -> eyre::Result<()> {
    let client = &network.validators[1].client;
    let tip = client.height().await?;
    let mut blocks = client.blocks(1).await?;
    while let Some(shown) = blocks.next().await? {
        let block = client.block(shown.height).await?;
        let is_fine = !block.observations.as_slice().is_empty() || shown.round >= 2;
        ensure!(is_fine, "block {} is empty, in round {}", shown.height, shown.round);
        if shown.height >= tip {
            return Ok(());
        }
    }
    Err(eyre!("the node has ended its stream"))
}

/// The sum of a metric over the honest validators.
async fn metric(network: &Network, name: &str) -> eyre::Result<u64> {
    let mut sum = 0.0;
    for node in &network.validators[1..] {
        sum += node.metric(name).await?;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    Ok(sum as u64)
}

/// How many pieces of evidence the honest validators keep; all must be against the liar.
async fn accused(network: &Network) -> eyre::Result<usize> {
    let liar = network.plan.validators[LIAR].key.as_ref().map(weft_types::SecretKey::address);
    let liar = serde_json::to_value(liar)?;
    let mut count = 0;
    for node in &network.validators[1..] {
        let answer = node.client.get("/v1/evidence").await?;
        let kept = answer["evidence"].as_array().ok_or_else(|| eyre!("no evidence list"))?;
        for piece in kept {
            ensure!(piece["offender"] == liar, "evidence against an honest validator: {piece}");
        }
        count += kept.len();
    }
    Ok(count)
}
