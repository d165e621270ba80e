//! What a provider of Ethereum can do wrong, done to real answers.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolEvent;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use weft_l1::contracts::abi::Inbox;

/// What a provider does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Nothing
    #[default]
    None,
    /// Its chain ends so many blocks earlier
    Lag {
        /// How many.
        blocks: u64,
    },
    /// It is on another chain from a block on
    Fork {
        /// The first that differs.
        from: u64,
    },
    /// It leaves out what the contracts logged
    Omit,
    /// It adds a message that nobody sent
    Invent,
    /// It claims to be on another chain
    WrongChain,
    /// It wants fewer requests
    RateLimit,
    /// It takes requests and never answers
    Stall,
    /// It hangs up
    Drop,
    /// It answers with something that is no JSON
    Garbage,
    /// It answers with values of the wrong types
    WrongTypes,
    /// Its answer does not end
    Endless,
}

/// Rewrites requests and answers. Remembers which hashes it has made up.
#[derive(Debug, Default)]
pub struct Liar {
    /// Hashes that it has made up, and what they stand for.
    made_up: BTreeMap<B256, B256>,
}

/// Most hashes that are remembered: as many as are asked about at a time, with room to spare.
const REMEMBERED: usize = 4096;

impl Liar {
    /// What to ask the chain instead of what was asked.
    pub fn request(&self, call: &Value) -> Value {
        let mut call = call.clone();
        let hash = call["params"][0]["blockHash"].as_str();
        if let Some(hash) = hash.and_then(|hash| hash.parse::<B256>().ok())
            && let Some(real) = self.made_up.get(&hash)
        {
            call["params"][0]["blockHash"] = json!(real);
        }
        call
    }

    /// What to answer instead of what the chain says. `tip` is its last block.
    pub fn answer(&mut self, fault: Fault, call: &Value, answer: &mut Value, tip: u64) {
        let method = call["method"].as_str().unwrap_or_default();
        let result = &mut answer["result"];
        match (fault, method) {
            (Fault::Lag { blocks }, "eth_blockNumber") => {
                *result = json!(format!("{:#x}", tip.saturating_sub(blocks)));
            }
            (Fault::Lag { blocks }, "eth_getBlockByNumber")
                if number(&result["number"]).is_some_and(|n| n > tip.saturating_sub(blocks)) =>
            {
                *result = Value::Null;
            }
            (Fault::Fork { from }, "eth_getBlockByNumber") => self.fork_block(result, from),
            (Fault::Fork { from }, "eth_getLogs") => {
                for log in result.as_array_mut().into_iter().flatten() {
                    if number(&log["blockNumber"]).is_some_and(|number| number >= from) {
                        self.replace(&mut log["blockHash"]);
                    }
                }
            }
            (Fault::Omit, "eth_getLogs") => *result = json!([]),
            (Fault::Invent, "eth_getLogs") => invent(&call["params"][0], result),
            (Fault::WrongChain, "eth_chainId") => *result = json!("0x539"),
            (Fault::WrongTypes, _) => *result = json!({ "number": [1], "hash": 7, "0": null }),
            _ => {}
        }
    }

    fn fork_block(&mut self, block: &mut Value, from: u64) {
        let Some(number) = number(&block["number"]) else { return };
        if number >= from {
            self.replace(&mut block["hash"]);
        }
        if number > from {
            self.replace(&mut block["parentHash"]);
        }
    }

    fn replace(&mut self, hash: &mut Value) {
        let Some(real) = hash.as_str().and_then(|hash| hash.parse::<B256>().ok()) else { return };
        let other = keccak256(real);
        if self.made_up.len() >= REMEMBERED {
            self.made_up.pop_first();
        }
        self.made_up.insert(other, real);
        *hash = json!(other);
    }
}

/// Which block to ask for in the place of a tag, for one whose chain ends earlier. The distance of
/// `finalized` and `safe` from the tip stays.
pub fn lagging_tag(call: &mut Value, blocks: u64, tagged: impl Fn(&str) -> u64) {
    let tag = call["params"][0].as_str().unwrap_or_default();
    if call["method"] == "eth_getBlockByNumber" && ["latest", "safe", "finalized"].contains(&tag) {
        let number = tagged(tag).saturating_sub(blocks);
        call["params"][0] = json!(format!("{number:#x}"));
    }
}

/// Adds a message to a block's logs.
fn invent(filter: &Value, logs: &mut Value) {
    let Some(logs) = logs.as_array_mut() else { return };
    let inbox = filter["address"].as_array().and_then(|all| all.last()).cloned();
    let message = Inbox::Forced {
        namespace: 7001,
        index: u64::MAX,
        sender: Address::ZERO,
        fee: U256::from(1),
        data: Bytes::from_static(b"nobody sent this"),
    };
    let encoded = message.encode_log_data();
    let after = logs.iter().filter_map(|log| number(&log["logIndex"])).max().map_or(0, |i| i + 1);
    logs.push(json!({
        "address": inbox,
        "topics": encoded.topics(),
        "data": encoded.data,
        "blockHash": filter["blockHash"],
        "logIndex": format!("{after:#x}"),
        "removed": false,
    }));
}

fn number(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64) -> Value {
        let hash = |n: u64| json!(B256::with_last_byte(u8::try_from(n).unwrap()));
        json!({ "number": format!("{number:#x}"), "hash": hash(number), "parentHash": hash(number - 1) })
    }

    fn asked(liar: &mut Liar, fault: Fault, number: u64) -> Value {
        let call =
            json!({ "method": "eth_getBlockByNumber", "params": [format!("{number:#x}"), false] });
        let mut answer = json!({ "result": block(number) });
        liar.answer(fault, &call, &mut answer, 9);
        answer["result"].take()
    }

    #[test]
    fn a_fork_is_a_chain_of_its_own() {
        let mut liar = Liar::default();
        let fault = Fault::Fork { from: 5 };
        assert_eq!(asked(&mut liar, fault, 4), block(4));
        let (fifth, sixth) = (asked(&mut liar, fault, 5), asked(&mut liar, fault, 6));
        assert_eq!(fifth["parentHash"], block(4)["hash"]);
        assert_ne!(fifth["hash"], block(5)["hash"]);
        assert_eq!(sixth["parentHash"], fifth["hash"]);
        // It has the logs of its own blocks.
        let call = json!({ "method": "eth_getLogs", "params": [{ "blockHash": fifth["hash"] }] });
        assert_eq!(liar.request(&call)["params"][0]["blockHash"], block(5)["hash"]);
        let mut logs =
            json!({ "result": [{ "blockNumber": "0x5", "blockHash": block(5)["hash"] }] });
        liar.answer(fault, &call, &mut logs, 9);
        assert_eq!(logs["result"][0]["blockHash"], fifth["hash"]);
    }

    #[test]
    fn one_that_lags_has_no_later_blocks() {
        let mut liar = Liar::default();
        let fault = Fault::Lag { blocks: 3 };
        assert_eq!(asked(&mut liar, fault, 6), block(6));
        assert_eq!(asked(&mut liar, fault, 7), Value::Null);
        let mut call = json!({ "method": "eth_getBlockByNumber", "params": ["finalized", false] });
        lagging_tag(&mut call, 3, |_| 7);
        assert_eq!(call["params"][0], "0x4");
    }

    #[test]
    fn an_invented_message_is_one_log_more() {
        let filter =
            json!({ "blockHash": B256::ZERO, "address": [Address::ZERO, Address::repeat_byte(4)] });
        let mut logs = json!([{ "logIndex": "0x2" }]);
        invent(&filter, &mut logs);
        assert_eq!(logs[1]["logIndex"], "0x3");
        assert_eq!(logs[1]["address"], json!(Address::repeat_byte(4)));
    }
}
