//! The drills at their short scale, and real contracts on both rollups. Real processes, one network
//! at a time: whoever runs takes a lock that other test processes wait for.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::{lab, say};
use weft_devnet::Options;
use weft_devnet::drill::Drill;
use weft_devnet::exchange;
use weft_devnet::load::evm;
use weft_devnet::network::Rollup;
use weft_devnet::up::ROLLUPS;

async fn drill(drill: Drill) {
    let (lab, _lock) = lab().await;
    let report = drill.run(&lab).await;
    assert!(report.failure.is_none(), "{}", report.markdown());
}

macro_rules! drills {
    ($($name:ident: $drill:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                drill(Drill::$drill).await;
            }
        )*
    };
}

drills! {
    nothing_final_is_lost_while_validators_are_killed_in_turn: Rolling;
    nobody_signs_twice_when_all_are_killed_at_once: AllKilled;
    rollups_execute_exactly_once_wherever_they_are_killed: Adapters;
    damaged_storage_is_mended_or_refused: Storage;
    nothing_final_is_lost_when_power_fails: Power;
    one_validator_may_be_down_and_two_stop_ordering: Down;
    a_late_full_node_catches_up_and_serves_proven_slices: Late;
    misbehaving_validators_are_outvoted: Byzantine;
    garbage_gets_clear_errors: Garbage;
    providers_of_ethereum_may_do_what_they_like: Providers;
    what_is_taken_in_stays_on_ethereum: Reorg;
    every_validator_is_replaced: Turnover;
    who_signs_twice_loses_its_bond: Slashing;
    nobody_can_keep_a_message_out: Forced;
    a_rollup_goes_on_without_its_committee: Escape;
    auctions_end_as_anybody_finds_who_reads_the_chain: Auction;
    a_flood_of_bad_bids_changes_nothing: Flood;
    bundles_stand_in_one_block_or_nowhere: Bundles;
    atomic_bundles_are_executed_on_all_rollups_or_on_none: Atomic;
}

/// Both engines run the same transactions of the same wallet, so they must give the same answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_works_on_both_rollups() {
    let (lab, _lock) = lab().await;
    let options = Options { rollups: ROLLUPS.to_vec(), ..lab.options("exchange") };
    let mut network = lab.start(options).await.unwrap();
    let key = alloy_primitives::B256::from(network.plan.accounts[5].to_bytes());
    let mut reports = Vec::new();
    for rollup in &network.rollups {
        let rpc = rollup.rpc.url();
        let report = exchange::run(&lab.tools, rpc, key, say).await.unwrap();
        reports.push((report.contracts, report.amounts));
    }
    assert_eq!(reports[0], reports[1], "the engines disagree");
    network.stop().await.unwrap();
}

/// A quantity, as 0x-hex.
fn quantity_of(value: &Value) -> u128 {
    let digits = value.as_str().unwrap();
    u128::from_str_radix(digits.trim_start_matches("0x"), 16).unwrap()
}

/// What a rollup says of a bundle, or why it says nothing: that a slice came in while it ran is no
/// reason.
async fn simulated(rollup: &Rollup, bundle: Value) -> Result<Value, String> {
    loop {
        let answer = rollup.rpc.try_call("eth_callBundle", json!([bundle])).await.unwrap();
        match answer.map_err(|error| error.0["message"].to_string()) {
            Err(reason) if reason.contains("try again") => {}
            answer => return answer,
        }
    }
}

/// A bundle that pays somebody twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bundles_are_simulated_alike_by_both_engines_and_leave_no_trace() {
    let (lab, _lock) = lab().await;
    let options = Options { rollups: ROLLUPS.to_vec(), ..lab.options("simulation") };
    let mut network = lab.start(options).await.unwrap();
    let key = &network.plan.accounts[6];
    let to = network.plan.accounts[7].address();
    let mut answers = Vec::new();
    for rollup in &network.rollups {
        let raw: Vec<String> =
            [0, 1].map(|nonce| evm::transfer(key, rollup.plan.namespace, nonce, to).1).into();
        let call = |bundle: Value| simulated(rollup, bundle);
        let bundle = json!({ "txs": raw, "accounts": [to, key.address()] });
        let answer = call(bundle.clone()).await.unwrap();
        let gained = |at: usize| {
            let wei = |name: &str| quantity_of(&answer["accounts"][at][name]);
            i128::try_from(wei("after")).unwrap() - i128::try_from(wei("before")).unwrap()
        };
        assert_eq!(gained(0), 2);
        assert!(gained(1) < -2, "the sender pays for gas");
        answers.push((
            answer["totalGasUsed"].clone(),
            answer["results"].as_array().unwrap().iter().map(|r| r["status"].clone()).collect(),
            gained(1),
        ));
        let again: (Value, Vec<Value>, i128) = answers[0].clone();
        assert_eq!(call(bundle).await.unwrap()["totalGasUsed"], again.0, "nothing was kept");
        let strange = call(json!({ "txs": ["0x01"], "accounts": [] })).await.unwrap();
        assert_eq!(strange["skipped"].as_array().unwrap().len(), 1);
        let refused = call(json!({ "txs": [], "blockNumber": "0x1" })).await.unwrap_err();
        assert!(refused.contains("unknown field"), "{refused}");
        let later = json!({ "txs": [], "afterHeight": "0xffffff" });
        let refused = call(later).await.unwrap_err();
        assert!(refused.contains("is not there yet"), "{refused}");

        // On top of a slice that has just been decided, proven or not.
        let node = &network.validators[0].client;
        let mut blocks = node.blocks(node.height().await.unwrap() + 1).await.unwrap();
        let sender = &network.plan.accounts[8];
        let mut nonces = 0..;
        let answer = loop {
            let nonce = nonces.next().unwrap();
            let [first, second] = [nonce, nonce + 1]
                .map(|nonce| evm::transfer(sender, rollup.plan.namespace, nonce, to).1);
            rollup.rpc.call("eth_sendRawTransaction", json!([first])).await.unwrap();
            let block = loop {
                let block = blocks.next().await.unwrap().unwrap();
                if !block.transactions.is_empty() {
                    break block;
                }
            };
            let height = format!("{:#x}", block.height);
            let next = json!({ "txs": [second], "accounts": [to], "afterHeight": height });
            match call(next).await {
                Ok(answer) => {
                    assert_eq!(answer["weftHeight"], block.height.to_string(), "{answer}");
                    break answer;
                }
                // Asked too late.
                Err(reason) => assert!(reason.contains("taken in already"), "{reason}"),
            }
        };
        assert_eq!(answer["results"][0]["status"], "0x1", "{answer}");
        let wei = |name: &str| quantity_of(&answer["accounts"][0][name]);
        assert_eq!(wei("after") - wei("before"), 1, "{answer}");
        // Nobody has had that height, and nobody runs it for a second one.
        loop {
            let idle = blocks.next().await.unwrap().unwrap().height;
            match call(json!({ "txs": [], "afterHeight": format!("{idle:#x}") })).await {
                Ok(answer) if answer["proven"] == false => {
                    assert_eq!(answer["weftHeight"], idle.to_string());
                    break;
                }
                // Asked too late.
                Ok(answer) => assert_eq!(answer["proven"], true, "{answer}"),
                Err(reason) => assert!(reason.contains("taken in already"), "{reason}"),
            }
        }
    }
    assert_eq!(answers[0], answers[1], "the engines disagree");
    network.stop().await.unwrap();
}
