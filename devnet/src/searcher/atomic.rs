//! Two examples of atomic bundles: a user moves tokens from one rollup to the other, and a searcher closes
//! an arbitrage between them. Each happens on both rollups or on none, and each is tried with a leg that
//! fails as well.
//!
//! Legs are bound to their bundle (`spec/evm-rollup.md`, section 2): whoever sees them cannot have one
//! executed by itself.

use std::time::Duration;

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolCall;
use eyre::{bail, ensure, eyre};
use serde_json::{Value, json};
use weft_rollup_adapter::api::{Bid, submit_to_all};
use weft_rollup_adapter::evm::items::Bound;
use weft_types::{
    BidMode, BidResult, Height, Leg, LegDigest, NamespaceId, Payload, SecretKey, TransactionId, Wei,
};

use super::feed::Feed;
use super::market;
use super::plan::{Party, Plan};
use super::rollup::{Rollup, Signed, abi, gained};
use super::site::Site;
use super::{ATTEMPTS, COLLATERAL, FIRST, ROLLUPS, SEARCHER, SECOND, SHARE};
use crate::client::{number, wait_for};
use crate::exchange::ONE;
use crate::l1::ETHER;
use crate::table::table;
use crate::tools::Tools;

/// Who moves tokens, and who has some on both rollups to give there what it gets here.
const USER: usize = 13;
const MAKER: usize = SEARCHER;

/// How many tokens are moved, and what of them the maker keeps.
const MOVED: u128 = 100 * ONE;
const KEPT: u128 = ONE / 10;

/// What the maker bids beyond reserves, in wei.
const TIP: Wei = ETHER / 1000;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happened, for people to read.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Account {
    /// What was done, in order: a word, and what came of it.
    pub steps: Vec<[String; 2]>,
    /// Balances in whole tokens: whose, then before and after on each rollup.
    pub balances: Vec<[String; 5]>,
}

impl Account {
    fn step(&mut self, what: &str, came: impl Into<String>) {
        self.steps.push([what.to_owned(), came.into()]);
    }

    /// As tables.
    pub fn tables(&self) -> String {
        let mut rows = vec![["what", "came of it"].map(str::to_owned)];
        rows.extend(self.steps.iter().cloned());
        let [first, second] = ROLLUPS.map(|(namespace, _)| namespace);
        let mut balances = vec![[
            "A of".to_owned(),
            format!("on {first}, before"),
            "after".to_owned(),
            format!("on {second}, before"),
            "after".to_owned(),
        ]];
        balances.extend(self.balances.iter().cloned());
        format!("{}\n{}", table(&rows), table(&balances))
    }
}

/// What became of an atomic bundle.
struct Outcome {
    height: Height,
    decided_at: Height,
    decision: String,
    paid: Wei,
}

impl Outcome {
    fn words(&self) -> String {
        format!(
            "{} at height {}, {} after its legs were ordered; {} wei paid",
            self.decision,
            self.decided_at,
            self.decided_at - self.height,
            self.paid
        )
    }
}

/// The network with two rollups, and who bids.
struct Stage<'a> {
    site: &'a Site,
    rollups: [Rollup; 2],
    feed: Feed,
    say: fn(&str),
}

impl<'a> Stage<'a> {
    async fn open(
        tools: &Tools,
        site: &'a Site,
        traders: &[Address],
        say: fn(&str),
    ) -> eyre::Result<Self> {
        for (namespace, _) in ROLLUPS {
            ensure!(
                site.takes_atomic(namespace).await?,
                "rollup {namespace} takes part in no atomic bundles; start the network with `cargo devnet`"
            );
        }
        tools.compile(say).await?;
        let [first, second] = ROLLUPS.map(|(namespace, _)| namespace);
        let first = market::open(tools, site, first, &FIRST, traders, say);
        let second = market::open(tools, site, second, &SECOND, traders, say);
        let (first, second) = futures::try_join!(first, second)?;
        let feed = Feed::open(&site.validators).await?;
        Ok(Self { site, rollups: [first, second], feed, say })
    }

    fn namespaces(&self) -> [NamespaceId; 2] {
        [self.rollups[0].namespace, self.rollups[1].namespace]
    }

    /// What accounts hold of A on each rollup.
    async fn holdings(&self, accounts: &[Address]) -> eyre::Result<Vec<[U256; 2]>> {
        let mut holdings = Vec::new();
        for account in accounts {
            let [first, second] = &self.rollups;
            let (a, b) = futures::try_join!(first.holdings(*account), second.holdings(*account))?;
            holdings.push([a[0], b[0]]);
        }
        Ok(holdings)
    }

    /// Bids for the heads of both rollups' next slices with legs that are signed for the height, and again
    /// for a later one while bids come too late. Waits for the decision.
    async fn bid(
        &mut self,
        bidder: &SecretKey,
        amount: impl Fn(Wei) -> Wei,
        legs: impl AsyncFn(&[Rollup; 2], Height) -> eyre::Result<Vec<Leg>>,
    ) -> eyre::Result<(Outcome, Vec<Leg>)> {
        for sequence in 0..ATTEMPTS {
            let of = self.namespaces();
            let lots = self.feed.next_lots(&of).await?;
            let height = self.site.offered_from(&of, lots.height + sequence).await?;
            let reserve = lots.reserve(of).ok_or_else(|| eyre!("nothing is for sale"))?;
            let legs = legs(&self.rollups, height).await?;
            let (amount, mode) = (amount(reserve), BidMode::Atomic);
            let (max_fee, valid_until) = (0, 0);
            let bid =
                Bid { height, sequence, amount, mode, legs: legs.clone(), max_fee, valid_until };
            let signed = self.site.sign(bidder, bid, &lots).await?;
            let id = signed.witness().id;
            submit_to_all(&self.site.validators, &signed).await;
            let auction = self.feed.auction(height).await?;
            match auction.bid(&id) {
                None => (self.say)(&format!("the bid came too late for height {height}")),
                Some(opened) if opened.result == BidResult::Won => {
                    (self.say)(&format!("height {height}: both rollups are held"));
                    return Ok((self.decision(id, height).await?, legs));
                }
                Some(opened) => bail!("the bid for height {height}: {}", opened.result),
            }
        }
        bail!("{ATTEMPTS} bids came too late")
    }

    async fn decision(&self, id: TransactionId, height: Height) -> eyre::Result<Outcome> {
        let path = format!("/v1/bundles/{id}");
        let decided: Value = wait_for("the decision", PATIENCE, || async {
            let shown = self.site.client.get(&path).await?;
            let is_decided = shown["execution"]["state"] == "decided";
            Ok(is_decided.then(|| shown["execution"].clone()))
        })
        .await?;
        let decision = decided["decision"].as_str().unwrap_or_default().to_owned();
        let outcome = Outcome {
            height,
            decided_at: number(&decided["height"])?,
            decision,
            paid: decided["paid"].as_str().unwrap_or_default().parse()?,
        };
        (self.say)(&outcome.words());
        Ok(outcome)
    }

    /// Waits until both rollups have taken in a height.
    async fn reach(&self, height: Height) -> eyre::Result<()> {
        for rollup in &self.rollups {
            rollup.rpc.reach(height, PATIENCE).await?;
        }
        Ok(())
    }
}

/// A user moves tokens from the first rollup to the second: gives them to a maker here, who gives as many,
/// less a fee, there. First so that it works, then with a user who has spent what is to be moved.
///
/// # Errors
///
/// If anything fails, or anything is not as it has to be; the error says what.
pub async fn transfer(
    tools: &Tools,
    dir: &std::path::Path,
    say: fn(&str),
) -> eyre::Result<Account> {
    let site = Site::read(dir)?;
    let (user, maker) = (site.account(USER)?, site.account(MAKER)?);
    let parties = [user.address(), maker.address()];
    let mut stage = Stage::open(tools, &site, &parties, say).await?;
    let mut account = Account::default();
    site.send(maker, Payload::LockCollateral { amount: COLLATERAL }).await?;
    account.step("the maker puts up", format!("{} ether of collateral", COLLATERAL / ETHER));
    let before = stage.holdings(&parties).await?;

    let tip = |reserve: Wei| reserve + TIP;
    let (moved, _) = stage
        .bid(maker, tip, async |on, height| {
            legs_of_transfer(on, user, maker, U256::from(MOVED), height).await
        })
        .await?;
    account.step("a transfer of 100 A", moved.words());
    ensure!(moved.decision == "committed", "the transfer was {}", moved.decision);
    stage.reach(moved.decided_at).await?;
    let after = stage.holdings(&parties).await?;
    let (all, paid) = (U256::from(MOVED), U256::from(MOVED - KEPT));
    ensure!(after[0] == [before[0][0] - all, before[0][1] + paid], "the user has {after:?}");
    ensure!(after[1] == [before[1][0] + all, before[1][1] - paid], "the maker has {after:?}");

    // More than the user has: the leg on the first rollup reverts, and the other one is not executed.
    let too_much = after[0][0] + U256::from(1);
    let (failed, legs) = stage
        .bid(maker, tip, async |on, height| {
            legs_of_transfer(on, user, maker, too_much, height).await
        })
        .await?;
    account.step("a transfer of more than the user has", failed.words());
    ensure!(failed.decision == "failed", "the transfer was {}", failed.decision);
    ensure!(failed.paid > 0, "rollups were held for nothing");
    stage.reach(failed.decided_at).await?;
    ensure!(stage.holdings(&parties).await? == after, "something has moved");

    // Everybody has seen the maker's leg by now. It is of no use alone.
    let alone = legs.last().and_then(|leg| leg.data.first()).ok_or_else(|| eyre!("no leg"))?;
    let refused = stage.rollups[1].refuses(alone).await?;
    account.step("the maker's leg, sent by itself", refused);
    let namespace = stage.rollups[1].namespace;
    let payload = Payload::Submit { namespace, data: vec![alone.clone()] };
    let submitted = site.submit(user, payload).await?;
    stage.reach(submitted).await?;
    ensure!(stage.holdings(&parties).await? == after, "the leg was executed by itself");
    account.step("the same in a Weft transaction", "ordered, and skipped by the rollup");

    for (name, (before, after)) in ["the user", "the maker"].iter().zip(before.iter().zip(&after)) {
        account.balances.push(balances(name, before, after));
    }
    Ok(account)
}

/// The user's leg on the first rollup, which knows the maker's on the second, which knows who bids.
async fn legs_of_transfer(
    [from, to]: &[Rollup; 2],
    user: &SecretKey,
    maker: &SecretKey,
    amount: U256,
    height: Height,
) -> eyre::Result<Vec<Leg>> {
    let bound =
        Bound { mode: BidMode::Atomic, height, bidder: maker.address(), siblings: Vec::new() };
    let paid = amount - U256::from(KEPT);
    let there = give(to, maker, user.address(), paid, &bound).await?;
    let there = Leg { namespace: to.namespace, data: vec![there.raw] };
    let bound = Bound { siblings: vec![LegDigest::of(&there)], ..bound };
    let here = give(from, user, maker.address(), amount, &bound).await?;
    Ok(vec![Leg { namespace: from.namespace, data: vec![here.raw] }, there])
}

/// A transfer of A that is bound to a bundle.
async fn give(
    on: &Rollup,
    key: &SecretKey,
    to: Address,
    amount: U256,
    bound: &Bound,
) -> eyre::Result<Signed> {
    let nonce = on.nonce(key.address()).await?;
    let call = abi::transferCall { to, amount }.abi_encode();
    Ok(on.sign_bound(key, nonce, (on.tokens[0], call), bound))
}

/// A searcher buys where A is cheap and sells where it is dear, on two rollups: first so that it works, then
/// with a second leg that asks for more than there is.
///
/// # Errors
///
/// If anything fails, or anything is not as it has to be; the error says what.
pub async fn arbitrage(
    tools: &Tools,
    dir: &std::path::Path,
    say: fn(&str),
) -> eyre::Result<Account> {
    let site = Site::read(dir)?;
    let searcher = Party { name: "searcher", key: site.account(SEARCHER)?, share: SHARE };
    let me = [searcher.key.address()];
    let mut stage = Stage::open(tools, &site, &me, say).await?;
    let mut account = Account::default();
    for rollup in &stage.rollups {
        rollup.approve(searcher.key).await?;
    }
    site.send(searcher.key, Payload::LockCollateral { amount: COLLATERAL }).await?;
    account.step("the searcher puts up", format!("{} ether of collateral", COLLATERAL / ETHER));
    // One exchange of the first rollup against the one of the second.
    stage.rollups[0].exchanges.truncate(1);
    let before = stage.holdings(&me).await?;

    let plan = Plan::make(searcher, &stage.rollups, &[0, 1]).await?;
    let plan = plan.ok_or_else(|| eyre!("there is nothing to gain"))?;
    let moves: Vec<[i128; 2]> = plan.legs.iter().map(|leg| leg.simulated.moved).collect();
    ensure!(moves.len() == 2, "not on two rollups");
    let amount = plan.amount;
    account.step("what it sees", format!("{} wei to gain; it bids {amount}", plan.profit));
    let asks_too_much =
        |leg: usize, asks: bool| if asks && leg == 1 { U256::MAX } else { U256::ZERO };

    let (failed, legs) = stage
        .bid(
            searcher.key,
            |_| amount,
            async |on, height| {
                plan.bound_legs(searcher.key, on, height, |leg| asks_too_much(leg, true)).await
            },
        )
        .await?;
    account.step("both legs, of which the second reverts", failed.words());
    ensure!(failed.decision == "failed", "it was {}", failed.decision);
    stage.reach(failed.decided_at).await?;
    ensure!(stage.holdings(&me).await? == before, "something has moved");
    let first = legs.first().and_then(|leg| leg.data.first()).ok_or_else(|| eyre!("no leg"))?;
    account.step("the first leg, sent by itself", stage.rollups[0].refuses(first).await?);

    let (closed, _) = stage
        .bid(
            searcher.key,
            |_| amount,
            async |on, height| {
                plan.bound_legs(searcher.key, on, height, |leg| asks_too_much(leg, false)).await
            },
        )
        .await?;
    account.step("both legs, which do what they should", closed.words());
    ensure!(closed.decision == "committed", "it was {}", closed.decision);
    stage.reach(closed.decided_at).await?;
    let after = stage.holdings(&me).await?;
    for (rollup, moved) in moves.iter().enumerate() {
        let (before, after) = (before[0][rollup], after[0][rollup]);
        let found = gained(before, after);
        ensure!(found == Some(moved[0]), "rollup {rollup}: {before} became {after}");
    }
    let both = moves[0][0] + moves[1][0];
    ensure!(both > 0, "nothing was gained");
    account.step("gained", format!("{} of A, on both rollups together", tokens(both)));
    account.balances.push(balances("the searcher", &before[0], &after[0]));
    Ok(account)
}

fn balances(name: &str, before: &[U256; 2], after: &[U256; 2]) -> [String; 5] {
    let shown = |amount: U256| tokens(i128::try_from(amount).unwrap_or(i128::MAX));
    let [a, b] = before.map(shown);
    let [c, d] = after.map(shown);
    [name.to_owned(), a, c, b, d]
}

/// Whole tokens, to four digits.
fn tokens(smallest: i128) -> String {
    super::report::amount(smallest, ONE, 4)
}

impl Rollup {
    /// What its RPC says of a transaction that it does not take. An error if it takes it.
    async fn refuses(&self, raw: &Bytes) -> eyre::Result<String> {
        match self.rpc.try_call("eth_sendRawTransaction", json!([raw])).await? {
            Ok(hash) => bail!("{} takes {hash} by itself", self.namespace),
            Err(error) => {
                Ok(format!("refused: {}", error.0["message"].as_str().unwrap_or_default()))
            }
        }
    }
}
