//! `weft-rollup` killed again and again under a stream of slices: every slice is executed once.
#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]

mod support;

use alloy_primitives::{Address, Bytes, TxKind};
use serde_json::json;
use support::chain::Chain;
use support::clean::{clean_run, same_head};
use support::node::{Network, Node};
use support::process::RollupHome;
use support::programs::deployer;
use support::tools::{Anvil, Relay};
use support::wallet::{Wallet, genesis_json, wallet};

const ROLLUP: u64 = 77_002;
const SLICES: u64 = 240;

/// A contract that counts its calls, and remembers hashes of recent blocks.
fn counter() -> Bytes {
    // sstore(0, sload(0) + 1); sstore(number, blockhash(number - 1)); sstore(number + 2^16,
    // blockhash(number - 30))
    let code = alloy_primitives::hex!("60005460010160005560014303404355601e4303404362010000015500");
    deployer(&code).into()
}

/// Slices of transfers, calls and rubbish; some heights have none.
fn slices(wallets: &[Wallet], from: u64, to: u64) -> Vec<Vec<Vec<Bytes>>> {
    let contract = wallets[0].address().create(0);
    (from..to)
        .map(|i| {
            if i == 0 {
                let creation = wallets[0].call(ROLLUP, 0, TxKind::Create, counter(), 1_000_000);
                return vec![vec![creation]];
            }
            if i % 5 == 0 {
                return vec![];
            }
            let nonce = i - i / 5;
            vec![
                vec![wallets[1].transfer(ROLLUP, nonce - 1, Address::with_last_byte(7), i)],
                vec![
                    wallets[0].call(ROLLUP, nonce, TxKind::Call(contract), Bytes::new(), 200_000),
                    wallets[0].call(ROLLUP, nonce, TxKind::Call(contract), Bytes::new(), 200_000),
                    Bytes::from_static(b"rubbish"),
                ],
            ]
        })
        .collect()
}

fn network(wallets: &[Wallet]) -> Network {
    let mut chain = Chain::new(ROLLUP);
    for slice in slices(wallets, 0, SLICES / 4) {
        chain.push(slice);
    }
    Network::new(chain)
}

/// Kills the process at `kills` moments while slices go on coming, then lets it finish.
async fn survive(home: &RollupHome, network: &Network, wallets: &[Wallet], arguments: &[&str]) {
    let mut rest = slices(wallets, SLICES / 4, SLICES).into_iter();
    let blocks = |slices: u64| slices - slices.div_ceil(5) + 1;
    let kills = 12;
    for kill in 1..=kills {
        let rollup = home.start(arguments);
        for slice in rest.by_ref().take((SLICES / 20) as usize) {
            network.with(|chain| chain.push(slice));
        }
        rollup.until_block(blocks(SLICES) * kill / (kills * 2)).await;
        rollup.kill();
    }
    for slice in rest.chain([vec![]]) {
        network.with(|chain| chain.push(slice));
    }
    let rollup = home.start(arguments);
    let number = same_head(&rollup, network, &genesis_json(ROLLUP, wallets)).await;
    assert_eq!(number, blocks(SLICES), "one block per slice");
    // The contract was called once per slice that has a call.
    let contract = wallets[0].address().create(0);
    let count = rollup.number("eth_getStorageAt", json!([contract, "0x0", "latest"])).await;
    assert_eq!(count, blocks(SLICES) - 1);
    rollup.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_engine_executes_every_slice_once() {
    let wallets: Vec<Wallet> = (0..2).map(wallet).collect();
    let network = network(&wallets);
    let node = Node::start(&network).await;
    let home = network
        .with(|chain| RollupHome::init(chain, &genesis_json(ROLLUP, &wallets), &[node.url()]));
    let error = home.verify().unwrap_err();
    assert!(error.contains("nothing to verify"), "{error}");
    survive(&home, &network, &wallets, &[]).await;
    let said = home.verify().unwrap();
    assert!(said.contains("root"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_engine_executes_every_slice_once() {
    let wallets: Vec<Wallet> = (0..2).map(wallet).collect();
    let network = network(&wallets);
    let node = Node::start(&network).await;
    let home = network
        .with(|chain| RollupHome::init(chain, &genesis_json(ROLLUP, &wallets), &[node.url()]));
    let anvil = Anvil::start(&home.evm_genesis, None);
    let engine = format!("external:{}", anvil.url);
    home.configure("kind", &format!("{engine:?}"));
    survive(&home, &network, &wallets, &[]).await;
    let error = home.verify().unwrap_err();
    assert!(error.contains("nothing to verify") && error.contains(&anvil.url), "{error}");
    assert!(!home.path().join("data/state.redb").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_engine_that_lost_blocks_gets_them_again() {
    let wallets: Vec<Wallet> = (0..2).map(wallet).collect();
    let network = network(&wallets);
    let node = Node::start(&network).await;
    let home = network
        .with(|chain| RollupHome::init(chain, &genesis_json(ROLLUP, &wallets), &[node.url()]));
    let anvil = Anvil::start(&home.evm_genesis, None);
    let relay = Relay::start(&anvil).await;
    let engine = format!("external:{}", relay.url);
    let arguments = ["--engine", engine.as_str()];
    let rollup = home.start(&arguments);
    rollup.until_block(20).await;
    // The engine goes back to where it was a while ago, while the rollup runs on.
    let before = clean_run(&network, &genesis_json(ROLLUP, &wallets)).await.header.number;
    rollup.until_taken(network.height() - 1).await;
    anvil.call("anvil_rollback", json!([before - 20])).await;
    assert_eq!(anvil.call("eth_blockNumber", json!([])).await, json!("0x14"));
    let more = |item: &'static [u8]| {
        network.with(|chain| {
            chain.push(vec![vec![Bytes::from_static(item)]]);
            chain.push(vec![]);
        });
    };
    more(b"one more");
    same_head(&rollup, &network, &genesis_json(ROLLUP, &wallets)).await;
    assert!(rollup.log().contains("older state"));
    // It dies, and comes back with nothing at all. Nothing is decided from then on.
    relay.lead_to(None);
    anvil.kill();
    let anvil = Anvil::start(&home.evm_genesis, None);
    relay.lead_to(Some(&anvil));
    same_head(&rollup, &network, &genesis_json(ROLLUP, &wallets)).await;
    more(b"and one more");
    same_head(&rollup, &network, &genesis_json(ROLLUP, &wallets)).await;
    // Both die.
    rollup.kill();
    let state = home.dir.join("anvil-state.json");
    anvil.save(&state).await;
    anvil.kill();
    let anvil = Anvil::start(&home.evm_genesis, None);
    relay.lead_to(Some(&anvil));
    let rollup = home.start(&arguments);
    same_head(&rollup, &network, &genesis_json(ROLLUP, &wallets)).await;
    rollup.kill();
    anvil.kill();
    // A saved state does not bring back what BLOCKHASH knows: that is noticed.
    let anvil = Anvil::start(&home.evm_genesis, Some(&state));
    relay.lead_to(Some(&anvil));
    let log = home.start(&arguments).until_failed();
    assert!(log.contains("start it empty"), "{log}");
}
