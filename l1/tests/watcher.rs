//! The watcher against a provider whose blocks hold more than an answer may.
#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]

use std::net::SocketAddr;
use std::time::Duration;

use alloy_primitives::{Address, B256, keccak256};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::watch;
use weft_l1::provider::Finality;
use weft_l1::quorum::Rules;
use weft_l1::rpc::{Bounds, Client};
use weft_l1::watcher::{Config, Watcher};
use weft_types::{L1Contracts, L1Origin};

const LAST: u64 = 40;

fn hash(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
}

fn answer(call: &Value) -> Value {
    let result = match call["method"].as_str().unwrap() {
        "eth_chainId" => json!("0x1"),
        "eth_getLogs" => json!([]),
        _ => {
            let asked = call["params"][0].as_str().unwrap();
            let number = asked.strip_prefix("0x");
            let number = number.map_or(LAST, |digits| u64::from_str_radix(digits, 16).unwrap());
            json!({
                "number": format!("{number:#x}"),
                "hash": hash(number),
                "parentHash": hash(number - 1),
                "timestamp": "0x1",
                "extraData": "0".repeat(10_000),
            })
        }
    };
    json!({ "jsonrpc": "2.0", "id": call["id"], "result": result })
}

async fn serve(Json(body): Json<Value>) -> Json<Value> {
    Json(match body {
        Value::Array(calls) => calls.iter().map(answer).collect(),
        call => answer(&call),
    })
}

#[tokio::test]
async fn who_cannot_answer_for_many_blocks_at_once_is_asked_for_fewer() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let router = Router::new().route("/", post(serve));
    tokio::spawn(async move { axum::serve(listener, router).await });
    // Room for five blocks.
    let bounds = Bounds { max_answer: 55_000, timeout: Duration::from_secs(20) };
    let interval = Duration::from_millis(50);
    let at = |number| L1Origin { number, hash: hash(number) };
    let (origin, origin_rx) = watch::channel(at(1));
    let config = Config {
        contracts: L1Contracts {
            chain_id: 1,
            light_client: Address::with_last_byte(1),
            stake_registry: Address::with_last_byte(2),
            vault: Address::with_last_byte(3),
            inbox: Address::with_last_byte(4),
        },
        finality: Finality::Finalized,
        rules: Rules { quorum: 1, interval, max_lag: 1000, window: 32 },
        providers: vec![Client::new(&format!("http://{address}"), bounds).unwrap()],
    };
    let watcher = Watcher::start(config, origin_rx);
    let mut agreed = watcher.agreed();
    let all = async {
        while origin.borrow().number < LAST {
            agreed.changed().await.unwrap();
            let last = agreed.borrow_and_update().last().map(|block| block.number);
            if let Some(last) = last {
                origin.send_replace(at(last));
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("it gets to the last block");
    assert_eq!(watcher.status().borrow().providers[0].score.garbage, 0);
}
