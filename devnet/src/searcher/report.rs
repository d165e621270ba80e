//! What a searcher's day came to.

use serde::Serialize;
use weft_types::json::decimal;
use weft_types::{Address, Height, NamespaceId, TransactionId, Wei};

use super::plan::{PRICE, worth};
use super::rollup::Moved;
use crate::exchange::ONE;
use crate::l1::ETHER;
use crate::table::table;

/// What came of it all. Amounts are decimal strings: wei, or the tokens' smallest units.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Who searched.
    pub searcher: Address,
    /// What one A is taken to be worth, in wei.
    #[serde(with = "decimal")]
    pub price: Wei,
    /// How much of the expected profit was bid, in percent.
    #[serde(with = "decimal")]
    pub share: Wei,
    /// What had to be done first: approvals on rollups, and collateral on Weft.
    pub setup: Costs,
    /// Every auction in which it bid.
    pub rounds: Vec<Round>,
    /// What is left of all of it, in wei.
    #[serde(with = "decimal")]
    pub net: i128,
}

/// What was paid, in wei.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Costs {
    /// For gas on the rollups.
    #[serde(with = "decimal")]
    pub gas: Wei,
    /// For bids that won.
    #[serde(with = "decimal")]
    pub paid: Wei,
    /// For inclusion on Weft.
    #[serde(with = "decimal")]
    pub fees: Wei,
}

/// An auction.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// What it shows.
    pub name: String,
    /// The height whose heads were bid for.
    #[serde(with = "decimal")]
    pub height: Height,
    /// The bid.
    pub bid: TransactionId,
    /// What was bid.
    #[serde(with = "decimal")]
    pub amount: Wei,
    /// How many bids it took until one was opened at its height.
    pub attempts: usize,
    /// What each validator said when the bid was handed to it.
    pub submitted: Vec<String>,
    /// Who won instead.
    pub lost_to: Option<Rival>,
    /// What was executed: nothing if the bid lost.
    pub legs: Vec<Leg>,
    /// What was gained of A and B on all rollups together.
    pub gained: [Amount; 2],
    /// What that is worth, in wei.
    #[serde(with = "decimal")]
    pub worth: i128,
    /// What was paid.
    pub costs: Costs,
    /// Who got the bid.
    pub shares: Shares,
    /// What is left, in wei.
    #[serde(with = "decimal")]
    pub net: i128,
}

/// Who won instead.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rival {
    /// Who.
    pub bidder: Address,
    /// With which bid.
    pub bid: TransactionId,
    /// For how much, in wei.
    #[serde(with = "decimal")]
    pub amount: Wei,
}

/// What stood at the head of a slice, and was executed first.
#[derive(Clone, Debug, Serialize)]
pub struct Leg {
    /// The rollup.
    pub namespace: NamespaceId,
    /// The Weft height of the slice.
    #[serde(with = "decimal")]
    pub height: Height,
    /// The rollup's block.
    #[serde(with = "decimal")]
    pub block: u64,
    /// How many transactions it had.
    pub transactions: usize,
    /// What it gained of A and B, as was simulated.
    pub gained: [Amount; 2],
}

/// What became of a bid that won, in wei.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Shares {
    /// For the rollups whose heads were sold.
    #[serde(with = "decimal")]
    pub rollups: Wei,
    /// For validators whose observations the block has embedded.
    #[serde(with = "decimal")]
    pub validators: Wei,
    /// For nobody.
    #[serde(with = "decimal")]
    pub burned: Wei,
}

/// An amount of a token that was gained, or given if it is below zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Amount(#[serde(with = "decimal")] pub i128);

impl Costs {
    /// All of it.
    pub fn all(&self) -> Wei {
        self.gas.saturating_add(self.paid).saturating_add(self.fees)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            gas: self.gas.saturating_add(other.gas),
            paid: self.paid.saturating_add(other.paid),
            fees: self.fees.saturating_add(other.fees),
        }
    }
}

impl Report {
    /// Adds it all up.
    pub(super) fn new(searcher: Address, share: Wei, setup: Costs, rounds: Vec<Round>) -> Self {
        let gains: i128 = rounds.iter().map(|round| round.net).sum();
        let net = gains.saturating_sub_unsigned(setup.all());
        Self { searcher, price: PRICE, share, setup, rounds, net }
    }

    /// A table of profit and loss, with what it rests on above.
    pub fn table(&self) -> String {
        let costs = self.rounds.iter().fold(self.setup, |sum, round| sum.plus(round.costs));
        let setup = "setup".to_owned();
        let none = String::new;
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut row = |name: &str, setup: String, cell: &dyn Fn(&Round) -> String, all: String| {
            let mut row = vec![name.to_owned(), setup];
            row.extend(self.rounds.iter().map(cell));
            row.push(all);
            rows.push(row);
        };
        row("", setup, &|round| round.name.clone(), "all".to_owned());
        row("height", none(), &|round| round.height.to_string(), none());
        row("bid", none(), &|round| ether_of(round.amount), none());
        row("result", none(), &Round::result, none());
        let mut namespaces: Vec<NamespaceId> =
            self.rounds.iter().flat_map(|round| &round.legs).map(|leg| leg.namespace).collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        for namespace in namespaces {
            for (token, name) in ["A", "B"].iter().enumerate() {
                let cell = |round: &Round| {
                    let leg = round.legs.iter().find(|leg| leg.namespace == namespace);
                    leg.map_or_else(String::new, |leg| amount(leg.gained[token].0, ONE, 4))
                };
                row(&format!("{name} gained on {namespace}"), none(), &cell, none());
            }
        }
        let total =
            |token: usize| -> i128 { self.rounds.iter().map(|round| round.gained[token].0).sum() };
        let gained = |round: &Round| amount(round.gained[0].0, ONE, 4);
        row("A gained", none(), &gained, amount(total(0), ONE, 4));
        let value = worth(total(0));
        row("worth", none(), &|round| ether(round.worth), ether(value));
        let minus = |wei: Wei| ether(0i128.saturating_sub_unsigned(wei));
        let gas = |round: &Round| minus(round.costs.gas);
        row("gas on rollups", minus(self.setup.gas), &gas, minus(costs.gas));
        row("bid paid", none(), &|round| minus(round.costs.paid), minus(costs.paid));
        let fees = |round: &Round| minus(round.costs.fees);
        row("Weft fees", minus(self.setup.fees), &fees, minus(costs.fees));
        row("net", minus(self.setup.all()), &|round| ether(round.net), ether(self.net));
        let mut share = |name: &str, of: fn(&Shares) -> Wei| {
            let all: Wei = self.rounds.iter().map(|round| of(&round.shares)).sum();
            row(name, none(), &|round| ether_of(of(&round.shares)), ether_of(all));
        };
        share("bid: to rollups", |shares| shares.rollups);
        share("bid: to validators", |shares| shares.validators);
        share("bid: burned", |shares| shares.burned);
        let rows: Vec<[String; 6]> = rows.into_iter().map(six).collect();
        let basis = format!(
            "ether, 1 A taken to be worth {}; bids are {} % of the expected profit",
            ether_of(self.price),
            self.share
        );
        format!("{basis}\n\n{}", table(&rows))
    }
}

/// A row of the table, which has a column for each of three rounds.
fn six(row: Vec<String>) -> [String; 6] {
    let mut cells = row.into_iter();
    std::array::from_fn(|_| cells.next().unwrap_or_default())
}

impl Round {
    fn result(&self) -> String {
        match &self.lost_to {
            None => "won".to_owned(),
            Some(rival) => {
                format!("LOST to {:.10} with {}", rival.bidder.to_string(), ether_of(rival.amount))
            }
        }
    }
}

/// What was gained, as it is shown in JSON.
pub(super) fn amounts(moved: Moved) -> [Amount; 2] {
    moved.map(Amount)
}

fn ether_of(wei: Wei) -> String {
    ether(i128::try_from(wei).unwrap_or(i128::MAX))
}

/// Wei in ether, with enough digits to see fees.
fn ether(wei: i128) -> String {
    amount(wei, ETHER, 10)
}

/// An amount in whole units with so many digits after the point, rounded towards zero.
pub(super) fn amount(smallest: i128, unit: u128, digits: u32) -> String {
    if smallest == 0 {
        return "0".to_owned();
    }
    let sign = if smallest < 0 { "-" } else { "" };
    let size = smallest.unsigned_abs();
    let scale = 10u128.pow(digits);
    let part = (size % unit) / (unit / scale).max(1);
    format!("{sign}{}.{part:0width$}", size / unit, width = digits as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_in_whole_units() {
        assert_eq!(ether(1_500_000_000_000_000_000), "1.5000000000");
        assert_eq!(ether(-100_900_000_000), "-0.0000001009");
        assert_eq!(amount(12_345_678, 1_000_000, 2), "12.34");
        assert_eq!(ether(0), "0");
    }
}
