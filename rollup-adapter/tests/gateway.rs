//! The gateway against endpoints that lie about what no proof shows, and against its own past.
#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]

mod support;

use std::time::Instant;

use alloy_primitives::{Address, Bytes, keccak256};
use serde_json::{Value, json};
use support::chain::Chain;
use support::node::{Fault, Network, Node};
use support::process::{PATIENCE, Rollup, RollupHome};
use support::wallet::{Wallet, genesis_json, wallet};
use weft_rollup_adapter::evm::genesis::EvmGenesis;
use weft_rollup_adapter::gateway::price::wall_ms;
use weft_rollup_adapter::gateway::store::{Changes, GatewayStore, StoredItem};

const ROLLUP: u64 = 77_003;

fn home(network: &Network, wallet: &Wallet, nodes: &[&Node]) -> RollupHome {
    let urls: Vec<String> = nodes.iter().map(|node| node.url()).collect();
    network.with(|chain| RollupHome::init(chain, &genesis_json(ROLLUP, [wallet]), &urls))
}

async fn send(rollup: &Rollup, wallet: &Wallet, nonce: u64) -> Value {
    let transfer = wallet.transfer(ROLLUP, nonce, Address::with_last_byte(7), 1);
    rollup.call("eth_sendRawTransaction", json!([transfer])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_endpoint_that_lies_about_the_price_stops_nothing() {
    for fault in [Fault::QuotesNothing, Fault::QuotesTooMuch] {
        let network = Network::new(Chain::new(ROLLUP));
        network.set_price(1_000_000_000);
        network.order_as_they_come();
        let (liar, honest) = (Node::start(&network).await, Node::start(&network).await);
        liar.set(fault);
        let wallet = wallet(0);
        let rollup = home(&network, &wallet, &[&liar, &honest]).start(&[]);
        for nonce in 0..3 {
            let hash = send(&rollup, &wallet, nonce).await;
            let status = rollup.until_settled(&hash).await;
            assert_eq!(status["status"], "final", "{fault:?}: {status}");
        }
        let log = rollup.log();
        assert!(!log.contains("not taken") && !log.contains("not ordered in time"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_is_offered_until_it_is_enough() {
    let network = Network::new(Chain::new(ROLLUP));
    // Ten times the least; offered is four times the least at first.
    network.set_price(10_000_000);
    let node = Node::start(&network).await;
    node.set(Fault::QuotesNothing);
    let wallet = wallet(0);
    let home = home(&network, &wallet, &[&node]);
    home.configure("validity_ms", "2000");
    network.order();
    let rollup = home.start(&[]);
    let hash = send(&rollup, &wallet, 0).await;
    let since = Instant::now();
    loop {
        let status = rollup.call("weft_status", json!([hash])).await;
        if status["status"] == "final" {
            break;
        }
        assert_eq!(status["status"], "received", "{status}");
        assert!(since.elapsed() < PATIENCE, "{}", rollup.log());
        if wall_ms() > network.with(|chain| chain.time_ms()) + 200 {
            network.order();
        }
    }
    let log = rollup.log();
    let expired = log.matches("not ordered in time").count();
    // 4, 8 and 16 times the least, for some more bytes than there are.
    assert!((1..=2).contains(&expired), "{expired}:\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_valid_after_a_restart_is_given_up_and_named() {
    let network = Network::new(Chain::new(ROLLUP));
    network.order_as_they_come();
    let node = Node::start(&network).await;
    let wallet = wallet(0);
    let home = home(&network, &wallet, &[&node]);
    let genesis = EvmGenesis::from_json(&genesis_json(ROLLUP, [&wallet])).unwrap();
    let network_id = network.with(|chain| chain.genesis_id());
    let identity = keccak256([genesis.fingerprint().0, network_id.0.0].concat());
    let (stale, fine) = (
        Bytes::from_static(b"valid once"),
        wallet.transfer(ROLLUP, 0, Address::with_last_byte(7), 1),
    );
    {
        let data = home.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        let store = GatewayStore::open(&data.join("gateway.redb"), identity).unwrap();
        let items = [&stale, &fine].into_iter().zip(0..).map(|(raw, arrival)| {
            let received_ms = wall_ms();
            (keccak256(raw), StoredItem { raw: raw.to_vec(), arrival, received_ms, attempts: 0 })
        });
        store.apply(&Changes { items: items.collect(), ..Changes::default() }).unwrap();
    }
    let hash = keccak256(&stale);
    for restart in [false, true] {
        let rollup = home.start(&[]);
        let status = rollup.until_settled(&json!(keccak256(&fine))).await;
        assert_eq!(status["status"], "final", "{status}");
        let status = rollup.call("weft_status", json!([hash])).await;
        assert_eq!(status["status"], "dropped", "{status}");
        let log = rollup.log();
        let named = log.contains(&format!("{hash}")) && log.contains("no longer valid");
        assert_eq!(named, !restart, "{log}");
        rollup.stop();
    }
}
