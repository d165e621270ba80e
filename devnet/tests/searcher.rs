//! The example searcher, on a network of real processes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{lab, say};
use weft_devnet::searcher::{self, Amount};

/// What has to hold on Weft and on the rollups is checked by the searcher itself; this is about what
/// it says it earned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_searcher_earns_what_it_simulated_and_pays_what_it_bid() {
    let (lab, _lock) = lab().await;
    let options = searcher::options(lab.options("searcher"));
    let mut network = lab.start(options).await.unwrap();
    let dir = network.plan.options.dir.clone();
    let report = searcher::run(&lab.tools, &dir, say).await.unwrap();
    network.check_same_chain().await.unwrap();
    network.stop().await.unwrap();

    let [within, across, lost] = &report.rounds[..] else { panic!("{report:?}") };
    for won in [within, across] {
        assert!(won.lost_to.is_none());
        let [Amount(a), Amount(b)] = won.gained;
        assert!(a > 0, "{}: gained {a} of A", won.name);
        assert_eq!(b, 0, "{}: all of B that is bought is sold", won.name);
        assert!(won.legs.iter().all(|leg| leg.height == won.height), "legs at other heights");
        assert_eq!(won.costs.paid, won.amount);
        let shares = won.shares;
        assert!(shares.rollups > 0 && shares.validators > 0 && shares.burned > 0, "{shares:?}");
        assert_eq!(shares.rollups + shares.validators + shares.burned, won.amount);
        assert!(won.net > 0, "{}: {} wei", won.name, won.net);
    }
    let transactions = |legs: &[searcher::Leg]| -> Vec<(u64, usize)> {
        legs.iter().map(|leg| (leg.namespace.0, leg.transactions)).collect()
    };
    assert_eq!(transactions(&within.legs), [(7001, 2)]);
    assert_eq!(transactions(&across.legs), [(7001, 1), (7002, 1)]);
    let opposite = |token: usize| {
        let [one, other] = [0, 1].map(|leg: usize| across.legs[leg].gained[token].0);
        one.signum() == -other.signum() && one != 0
    };
    assert!(opposite(0) && opposite(1), "what one rollup gives the other takes: {across:?}");

    let rival = lost.lost_to.unwrap();
    assert!(rival.amount > lost.amount && rival.bidder != report.searcher);
    assert!(lost.legs.is_empty());
    assert_eq!((lost.costs.paid, lost.costs.gas), (0, 0));
    assert!(lost.costs.fees > 0);
    assert_eq!(lost.net, -i128::try_from(lost.costs.fees).unwrap());

    let rounds: i128 = report.rounds.iter().map(|round| round.net).sum();
    assert_eq!(report.net, rounds - i128::try_from(report.setup.all()).unwrap());
    assert!(report.net > 0);
    let table = report.table();
    assert!(table.contains(&format!("LOST to {:.10}", rival.bidder.to_string())), "{table}");
}

/// What has to hold on Weft and on the rollups is checked by the examples themselves: what is committed is
/// executed on both rollups, what fails on none, and no leg by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn atomic_examples_do_all_or_nothing() {
    let (lab, _lock) = lab().await;
    let options = searcher::options(lab.options("atomic-examples"));
    let mut network = lab.start(options).await.unwrap();
    let dir = network.plan.options.dir.clone();
    for account in [
        searcher::transfer(&lab.tools, &dir, say).await.unwrap(),
        searcher::arbitrage(&lab.tools, &dir, say).await.unwrap(),
    ] {
        let tables = account.tables();
        assert!(tables.contains("committed at height"), "{tables}");
        assert!(tables.contains("failed at height"), "{tables}");
        assert!(tables.contains("bound to a bundle that it is not in"), "{tables}");
    }
    network.check_same_chain().await.unwrap();
    network.stop().await.unwrap();
}
