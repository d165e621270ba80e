//! One auction after another: a bid alone, a bid against a rival, and what has to hold afterwards.

use std::time::Duration;

use alloy_primitives::U256;
use eyre::{bail, ensure, eyre};
use serde_json::Value;
use weft_rollup_adapter::api::shapes::{Auction, NextLots};
use weft_rollup_adapter::api::{Bid, Endpoint, Submitted, submit_to_all};
use weft_types::slice::ProvenSlice;
use weft_types::{
    Address, BidMode, BidResult, Bytes, Height, NamespaceId, Observation, OpenedBid, SliceEntry,
    Transaction, TransactionId, Verified, Wei,
};

use super::ATTEMPTS;
use super::feed::Feed;
use super::market::MAKER;
use super::plan::{Party, Plan, sum, worth};
use super::report::{Costs, Leg, Rival, Round, Shares, amounts};
use super::rollup::{Rollup, gained};
use super::site::Site;
use crate::client::wait_for;

/// How long a slice may take until it is proven.
const PATIENCE: Duration = Duration::from_secs(60);

/// The part of what a pair holds of A that somebody sells to move its price: one in so many.
const MOVED: u64 = 20;

/// What searching needs.
pub(super) struct Search<'a> {
    /// The network.
    pub site: &'a Site,
    /// Where is traded.
    pub rollups: Vec<Rollup>,
    /// Auctions as they are decided.
    pub feed: Feed,
    /// Told what goes on.
    pub say: fn(&str),
}

/// A bid that was handed to validators.
struct Placed {
    transaction: Verified<Transaction>,
    submitted: Vec<Submitted>,
}

/// What a party has.
struct Standing {
    balance: Wei,
    collateral: Wei,
    /// On each of the rollups: nonce, A and B.
    held: Vec<(u64, [U256; 2])>,
}

impl Placed {
    fn id(&self) -> TransactionId {
        self.transaction.witness().id
    }

    /// What each validator said.
    fn said(&self) -> Vec<String> {
        let said = |submitted: &Submitted| match &submitted.outcome {
            Ok(status) => format!("{} {}", submitted.url, status.status),
            Err(error) => format!("{} {error}", submitted.url),
        };
        self.submitted.iter().map(said).collect()
    }
}

impl Search<'_> {
    /// Takes the best trade that there is among some of the rollups, and checks all of it.
    pub async fn alone(
        &mut self,
        name: &str,
        party: Party<'_>,
        among: &[usize],
    ) -> eyre::Result<Round> {
        let before = self.standing(party).await?;
        let mut placed: Vec<Placed> = Vec::new();
        while (placed.len() as u64) < ATTEMPTS {
            let plan = self.plan(party, among).await?;
            let lots = self.lots(&plan).await?;
            // Where bids come too late, the next one is for a height further ahead.
            let sequence = placed.len() as u64;
            let of = self.namespaces(&plan);
            let height = self.site.offered_from(&of, lots.height + sequence).await?;
            let transaction = self.sign(party, &plan, &lots, height, sequence).await?;
            placed.push(self.place(transaction).await?);
            let auction = self.feed.auction(height).await?;
            let Some((last, earlier)) = placed.split_last() else { continue };
            let Some(opened) = auction.bid(&last.id()) else {
                (self.say)(&format!("the bid came too late for height {height}"));
                continue;
            };
            (self.say)(&format!("height {height}: {}", opened.result));
            ensure!(opened.result == BidResult::Won, "the bid did not win: {opened:?}");
            self.check_results(&auction).await?;
            let mut legs = Vec::new();
            for (planned, leg) in plan.legs.iter().zip(plan.bid_legs(&self.rollups)) {
                self.check_head(&auction, leg.namespace, last.id(), &leg.data).await?;
                let on = &self.rollups[planned.rollup];
                let executed = on.executed(&planned.transactions, party.key.address()).await?;
                ensure!(
                    executed.height == height,
                    "{} executed at height {}, not {height}",
                    leg.namespace,
                    executed.height
                );
                ensure!(
                    executed.moved == planned.simulated.moved,
                    "{}: gained {:?}, simulated {:?}",
                    leg.namespace,
                    executed.moved,
                    planned.simulated.moved
                );
                legs.push((leg, executed));
            }
            let gas = legs.iter().map(|(_, executed)| executed.gas).sum();
            let fees = self.fees(last, earlier).await?;
            let costs = Costs { gas, paid: plan.amount, fees };
            let moved = sum(legs.iter().map(|(_, executed)| executed.moved));
            self.check_held(party, &before, &plan, costs).await?;
            let legs = legs.into_iter().map(|(leg, executed)| Leg {
                namespace: leg.namespace,
                height: executed.height,
                block: executed.block,
                transactions: leg.data.len(),
                gained: amounts(executed.moved),
            });
            return Ok(Round {
                name: name.to_owned(),
                height,
                bid: last.id(),
                amount: plan.amount,
                attempts: earlier.len() + 1,
                submitted: last.said(),
                lost_to: None,
                legs: legs.collect(),
                gained: amounts(moved),
                worth: worth(moved[0]),
                shares: self.shares(&auction, last.id()).await?,
                net: worth(moved[0]).saturating_sub_unsigned(costs.all()),
                costs,
            });
        }
        bail!("{ATTEMPTS} bids came too late")
    }

    /// Bids for a trade on the first rollup for which a rival bids more, and checks that it costs the
    /// fee alone.
    pub async fn against(
        &mut self,
        name: &str,
        party: Party<'_>,
        rival: Party<'_>,
    ) -> eyre::Result<Round> {
        let among = [0];
        for attempt in 1..=ATTEMPTS {
            self.move_price().await?;
            let plan = self.plan(party, &among).await?;
            let higher = self.plan(rival, &among).await?;
            ensure!(higher.amount > plan.amount, "the rival does not bid more");
            let before = self.standing(party).await?;
            let lots = self.lots(&plan).await?;
            // Further ahead than the next one, so that both are there in time whoever is quicker.
            let of = self.namespaces(&plan);
            let height = self.site.offered_from(&of, lots.height + attempt).await?;
            let (mine, theirs) = (
                self.sign(party, &plan, &lots, height, 0).await?,
                self.sign(rival, &higher, &lots, height, 0).await?,
            );
            let (mine, theirs) = futures::try_join!(self.place(mine), self.place(theirs))?;
            let auction = self.feed.auction(height).await?;
            let opened = auction.bid(&mine.id()).zip(auction.bid(&theirs.id()));
            let Some((lost, won)) = opened else {
                (self.say)(&format!("not both bids came in time for height {height}"));
                continue;
            };
            (self.say)(&format!("height {height}: {}, the rival {}", lost.result, won.result));
            ensure!(lost.result == BidResult::Lost, "the bid did not lose: {lost:?}");
            ensure!(won.result == BidResult::Won, "the rival did not win: {won:?}");
            ensure!(lost.other() == Some(won.bid), "lost to another one: {lost:?}");
            self.check_results(&auction).await?;
            for (planned, leg) in higher.legs.iter().zip(higher.bid_legs(&self.rollups)) {
                self.check_head(&auction, leg.namespace, won.bid, &leg.data).await?;
                let on = &self.rollups[planned.rollup];
                on.executed(&planned.transactions, rival.key.address()).await?;
            }
            let fees = self.fees(&mine, &[]).await?;
            let costs = Costs { gas: 0, paid: 0, fees };
            for leg in &plan.legs {
                for signed in &leg.transactions {
                    let has = self.rollups[leg.rollup].has(signed.hash).await?;
                    ensure!(!has, "{} was executed, though its bid lost", signed.hash);
                }
            }
            let nothing = Plan { legs: Vec::new(), ..plan };
            self.check_held(party, &before, &nothing, costs).await?;
            return Ok(Round {
                name: name.to_owned(),
                height,
                bid: mine.id(),
                amount: nothing.amount,
                attempts: usize::try_from(attempt)?,
                submitted: mine.said(),
                lost_to: Some(rival_of(won)),
                legs: Vec::new(),
                gained: amounts([0, 0]),
                worth: 0,
                shares: Shares::default(),
                net: 0i128.saturating_sub_unsigned(costs.all()),
                costs,
            });
        }
        bail!("{ATTEMPTS} times not both bids came in time")
    }

    async fn plan(&self, party: Party<'_>, among: &[usize]) -> eyre::Result<Plan> {
        let plan = Plan::make(party, &self.rollups, among).await?;
        let plan = plan.ok_or_else(|| eyre!("there is nothing to gain"))?;
        (self.say)(&format!(
            "{}: {} of A for {} of B and back for {}: {} legs, {} wei of profit, bids {}",
            party.name,
            plan.trade.given,
            plan.trade.between,
            plan.trade.back,
            plan.legs.len(),
            plan.profit,
            plan.amount
        ));
        Ok(plan)
    }

    /// Somebody sells A on the first exchange of the first rollup, so that A is cheaper there.
    async fn move_price(&self) -> eyre::Result<()> {
        let key = self.site.account(MAKER)?;
        let on = self.rollups.first().ok_or_else(|| eyre!("no rollups"))?;
        let [a, _] = on.reserves(0).await?;
        let swap = on.swap(0, true, a / U256::from(MOVED), U256::ZERO, key.address())?;
        on.send(key, [swap]).await?;
        Ok(())
    }

    /// The next heads that are for sale, all of those that a plan needs, for no more than it offers.
    async fn lots(&mut self, plan: &Plan) -> eyre::Result<NextLots> {
        let of = self.namespaces(plan);
        let lots = self.feed.next_lots(&of).await?;
        let reserve = lots.reserve(of).unwrap_or(Wei::MAX);
        ensure!(plan.amount >= reserve, "{} is below the reserve of {reserve}", plan.amount);
        Ok(lots)
    }

    /// The namespaces whose heads a plan needs.
    fn namespaces(&self, plan: &Plan) -> Vec<NamespaceId> {
        plan.legs.iter().map(|leg| self.rollups[leg.rollup].namespace).collect()
    }

    async fn sign(
        &self,
        party: Party<'_>,
        plan: &Plan,
        lots: &NextLots,
        height: Height,
        sequence: u64,
    ) -> eyre::Result<Verified<Transaction>> {
        let (amount, mode, legs) = (plan.amount, BidMode::Inclusion, plan.bid_legs(&self.rollups));
        let bid = Bid { height, sequence, amount, mode, legs, max_fee: 0, valid_until: 0 };
        self.site.sign(party.key, bid, lots).await
    }

    /// Hands a bid to all validators.
    async fn place(&self, transaction: Verified<Transaction>) -> eyre::Result<Placed> {
        let submitted = submit_to_all(&self.site.validators, &transaction).await;
        let placed = Placed { transaction, submitted };
        (self.say)(&format!("bid {}: {}", placed.id(), placed.said().join(", ")));
        Ok(placed)
    }

    /// What a bid that was opened cost, as its receipt says, and those before it. What was not ordered
    /// cost nothing.
    async fn fees(&self, opened: &Placed, earlier: &[Placed]) -> eyre::Result<Wei> {
        self.site.client.wait_final(&opened.id(), PATIENCE).await?;
        let mut fees: Wei = 0;
        for bid in earlier.iter().chain([opened]) {
            let found = self.node()?.transaction(bid.id()).await?;
            let receipt = found.and_then(|found| found.receipt);
            fees = fees.saturating_add(receipt.map_or(0, |receipt| receipt.fee));
        }
        Ok(fees)
    }

    async fn standing(&self, party: Party<'_>) -> eyre::Result<Standing> {
        let address = party.key.address();
        let account = self.node()?.account(address).await?;
        let mut held = Vec::new();
        for on in &self.rollups {
            held.push((on.nonce(address).await?, on.holdings(address).await?));
        }
        Ok(Standing { balance: account.balance, collateral: account.collateral, held })
    }

    /// Checks that a party has what it had, plus what a plan's legs gain, less what it paid.
    async fn check_held(
        &self,
        party: Party<'_>,
        before: &Standing,
        plan: &Plan,
        costs: Costs,
    ) -> eyre::Result<()> {
        let after = self.standing(party).await?;
        ensure!(
            before.balance.checked_sub(after.balance) == Some(costs.fees),
            "fees of {} took the balance from {} to {}",
            costs.fees,
            before.balance,
            after.balance
        );
        ensure!(
            before.collateral.checked_sub(after.collateral) == Some(costs.paid),
            "a payment of {} took the collateral from {} to {}",
            costs.paid,
            before.collateral,
            after.collateral
        );
        for (rollup, (before, after)) in before.held.iter().zip(&after.held).enumerate() {
            let leg = plan.legs.iter().find(|leg| leg.rollup == rollup);
            let sent = leg.map_or(0, |leg| leg.transactions.len() as u64);
            ensure!(after.0 == before.0 + sent, "{sent} transactions, but another nonce");
            let moved = leg.map_or([0, 0], |leg| leg.simulated.moved);
            for ((before, after), moved) in before.1.iter().zip(after.1).zip(moved) {
                let found = gained(*before, after);
                ensure!(found == Some(moved), "{before} became {after}, simulated was {moved}");
            }
        }
        Ok(())
    }

    /// Checks that what the feed told is what the header above commits to, and that so is each result
    /// alone.
    async fn check_results(&self, auction: &Auction) -> eyre::Result<()> {
        let lot = auction.lots.first().ok_or_else(|| eyre!("nothing was sold"))?;
        let slice = self.proven(lot.namespace, auction.height).await?;
        let root = slice.child.parent_outcome.results_root;
        ensure!(auction.root() == root, "the auction's results are not those of the header");
        let proven = self.node()?.proven_results(auction.height).await?.unwrap_or_default();
        let count = auction.lots.len() + auction.bids.len();
        let all = proven.iter().all(|result| result.root() == Some(root));
        ensure!(all && proven.len() == count, "the results' proofs do not hold");
        Ok(())
    }

    /// Checks that a bid's leg is the head of a rollup's slice.
    async fn check_head(
        &self,
        auction: &Auction,
        namespace: NamespaceId,
        bid: TransactionId,
        items: &[Bytes],
    ) -> eyre::Result<()> {
        let slice = self.proven(namespace, auction.height).await?;
        let Some(SliceEntry::Head { transaction, data, .. }) = slice.entries.first() else {
            bail!("the slice of {namespace} at height {} has no head", auction.height);
        };
        ensure!(
            *transaction == bid && data == items,
            "{namespace} has another head: {transaction}"
        );
        Ok(())
    }

    /// The slice of a height, verified by the committee that a validator names.
    async fn proven(
        &self,
        namespace: NamespaceId,
        height: Height,
    ) -> eyre::Result<Verified<ProvenSlice>> {
        let node = self.node()?;
        let what = format!("the slice of {namespace} at height {height}");
        let slice =
            wait_for(&what, PATIENCE, || async { Ok(node.slice(namespace, height).await?) });
        let slice = slice.await?;
        let committee = node.committee(height + 1).await?;
        Ok(slice.verify((self.site.chain_id, namespace, &committee))?)
    }

    /// Who got what a bid paid.
    async fn shares(&self, auction: &Auction, bid: TransactionId) -> eyre::Result<Shares> {
        let lots: Vec<_> = auction.lots.iter().filter(|lot| lot.bid == bid).collect();
        let paid = lots.first().ok_or_else(|| eyre!("the bid won no lot"))?.payment;
        let rollups: Wei = lots.iter().map(|lot| lot.revenue).sum();
        let params = &self.site.params;
        let part = |of: u16| paid.saturating_mul(of.into()) / 10_000;
        let for_validators = part(params.auction_validators);
        let left = paid.saturating_sub(for_validators).saturating_sub(part(params.auction_burned));
        ensure!(rollups == left, "rollups got {rollups} of {paid}, not {left}");
        let validators = self.of_embedded(auction.height, for_validators).await?;
        let burned = paid.saturating_sub(rollups).saturating_sub(validators);
        Ok(Shares { rollups, validators, burned })
    }

    /// What of an amount goes to the validators whose observations a block has embedded.
    async fn of_embedded(&self, height: Height, amount: Wei) -> eyre::Result<Wei> {
        let path = format!("/v1/blocks/{height}?parts=observations");
        let mut block: Value = self.site.client.get(&path).await?;
        let embedded: Vec<Observation> = serde_json::from_value(block["observations"].take())?;
        let committee = self.node()?.committee(height).await?;
        let all = Wei::from(committee.seats());
        let members = embedded.iter().filter_map(|o| committee.get(o.body.observer));
        Ok(members.map(|member| amount.saturating_mul(member.seats.into()) / all).sum())
    }

    fn node(&self) -> eyre::Result<&Endpoint> {
        self.site.validators.first().ok_or_else(|| eyre!("no validators"))
    }
}

fn rival_of(won: &OpenedBid) -> Rival {
    let (bidder, bid, amount): (Address, _, _) = (won.bidder, won.bid, won.amount);
    Rival { bidder, bid, amount }
}
