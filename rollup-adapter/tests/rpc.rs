//! What clients may send to the JSON-RPC port, sensible or not.
#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]

mod support;

use std::time::Duration;

use alloy_primitives::{Address, Bytes, TxKind};
use serde_json::{Value, json};
use support::chain::Chain;
use support::node::{Network, Node};
use support::process::{PATIENCE, Rollup, RollupHome};
use support::wallet::{genesis_json, wallet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ROLLUP: u64 = 77_004;
/// Blocks that are made.
const BLOCKS: u64 = 20;
/// Bytes of a large transaction's input; hex doubles them.
const LARGE: usize = 100_000;
/// Large transactions in the last block.
const LARGE_COUNT: usize = 20;
const MIB: usize = 1024 * 1024;

/// A rollup with some blocks, the last one large.
async fn rollup() -> (Rollup, RollupHome) {
    let wallet = wallet(0);
    let mut chain = Chain::new(ROLLUP);
    let to = Address::with_last_byte(7);
    for nonce in 0..BLOCKS - 1 {
        chain.push(vec![vec![wallet.transfer(ROLLUP, nonce, to, 1)]]);
    }
    let large = (BLOCKS - 1..).take(LARGE_COUNT).map(|nonce| {
        wallet.call(ROLLUP, nonce, TxKind::Call(to), Bytes::from(vec![0; LARGE]), 1_100_000)
    });
    chain.push(vec![large.collect()]);
    chain.push(vec![]);
    let network = Network::new(chain);
    let node = Node::start(&network).await;
    let home = network
        .with(|chain| RollupHome::init(chain, &genesis_json(ROLLUP, [&wallet]), &[node.url()]));
    home.configure("log_blocks", "10");
    let rollup = home.start(&[]);
    rollup.until_block(BLOCKS).await;
    (rollup, home)
}

/// What a body is answered with.
async fn post(rollup: &Rollup, body: impl Into<reqwest::Body>) -> Value {
    let sent = reqwest::Client::new().post(&rollup.url).body(body).send().await;
    let response = sent.unwrap_or_else(|error| panic!("{error:?}\n{}", rollup.log()));
    assert!(response.headers()["content-type"].to_str().unwrap().contains("json"));
    response.json().await.unwrap()
}

fn call(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params })
}

#[tokio::test(flavor = "multi_thread")]
async fn senseless_input_is_answered_with_an_error() {
    let (rollup, _home) = rollup().await;
    let raw = |bytes: usize| call("eth_sendRawTransaction", json!([Bytes::from(vec![2; bytes])]));
    let all_times = json!([{ "fromBlock": "earliest", "toBlock": "latest" }]);
    let batch = |count: usize| Value::from(vec![call("eth_blockNumber", json!([])); count]);
    let noise: Vec<u8> =
        (0u32..10_000).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for (what, body, code) in [
        ("noise", noise, -32700),
        ("nothing", vec![], -32700),
        ("no call", b"{}".to_vec(), -32600),
        ("depth", "[".repeat(100_000).into_bytes(), -32700),
        ("a number", b"1".to_vec(), -32600),
        ("no method", call("eth_nonsense", json!([])).to_string().into(), -32601),
        (
            "a number for a block",
            call("eth_getBlockByNumber", json!([{}])).to_string().into(),
            -32602,
        ),
        ("no params", call("eth_getBalance", json!([])).to_string().into(), -32602),
        ("named params", call("eth_getBalance", json!({ "a": 1 })).to_string().into(), -32600),
        ("half a MiB", raw(MIB / 2).to_string().into(), -32000),
        ("2 MiB", raw(2 * MIB).to_string().into(), -32005),
        ("too large", vec![b' '; 3 * MIB], -32005),
        ("much too large", vec![b' '; 15 * MIB], -32005),
        ("logs of all times", call("eth_getLogs", all_times).to_string().into(), -32005),
        ("a batch of 20,000", batch(20_000).to_string().into(), -32005),
        ("a batch of 101", batch(101).to_string().into(), -32005),
        ("an empty batch", b"[]".to_vec(), -32600),
    ] {
        let answer = post(&rollup, body).await;
        assert_eq!(answer["error"]["code"], json!(code), "{what}: {answer}");
        assert!(!answer["error"]["message"].as_str().unwrap().is_empty(), "{what}: {answer}");
        assert_eq!(answer["jsonrpc"], "2.0", "{what}");
    }
    // Who sends more than is read is told that the connection ends.
    let much = reqwest::Client::new().post(&rollup.url).body(vec![b' '; 15 * MIB]);
    assert_eq!(much.send().await.unwrap().headers()["connection"], "close");
    let answers = post(&rollup, batch(100).to_string()).await;
    assert_eq!(answers.as_array().unwrap().len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_no_more_to_say_than_it_may() {
    let (rollup, _home) = rollup().await;
    let mut calls: Vec<Value> = (0..99)
        .map(|id| {
            let mut call = call("eth_getBlockByNumber", json!(["latest", true]));
            call["id"] = json!(id);
            call
        })
        .collect();
    // Too late to be begun.
    let transfer = wallet(0).transfer(ROLLUP, 100, Address::with_last_byte(7), 1);
    let hash = alloy_primitives::keccak256(&transfer);
    calls.push(json!({
        "jsonrpc": "2.0", "id": 99, "method": "eth_sendRawTransaction", "params": [transfer],
    }));
    let response = reqwest::Client::new().post(&rollup.url).json(&calls).send().await.unwrap();
    let text = response.text().await.unwrap();
    assert!((30 * MIB..33 * MIB).contains(&text.len()), "{}", text.len());
    let answers: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(answers.len(), 100);
    for (id, answer) in answers.iter().enumerate() {
        assert_eq!(answer["id"], json!(id));
    }
    assert_eq!(answers[0]["result"]["transactions"].as_array().unwrap().len(), 20);
    for answer in &answers[20..] {
        assert_eq!(answer["error"]["code"], json!(-32005));
    }
    let status = rollup.call("weft_status", json!([hash])).await;
    assert_eq!(status["status"], "unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_finish_a_request_is_left() {
    let (rollup, _home) = rollup().await;
    let address = rollup.url.strip_prefix("http://").unwrap();
    let dawdle = async |begun: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        // With or without an answer, but closed.
        let _ = closed.expect("closed in time");
    };
    tokio::join!(dawdle(""), dawdle("POST / HTTP/1.1\r\nhost: weft\r\ncontent-le"));
    let still = tokio::time::timeout(Duration::from_secs(10), rollup.block_number()).await;
    assert_eq!(still.expect("answered"), BLOCKS);
}
