//! Both engines, the same slices: the same receipts, state roots and block hashes.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, missing_docs, reason = "test code")]

mod support;

use std::sync::Arc;

use alloy_primitives::{Address, Bytes, TxKind, U256};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;
use support::chain::{Chain, GENESIS_TIME_MS};
use support::dir::TempDir;
use support::programs::{item, plans};
use support::tools::Anvil;
use support::wallet::{Wallet, wallet};
use weft_l1::contracts::ContractEvent;
use weft_l1::provider::Claim;
use weft_rollup_adapter::cursor::Cursor;
use weft_rollup_adapter::derivation::{Derivation, Due, Step};
use weft_rollup_adapter::evm::chain::{Chain as EvmChain, ChainError};
use weft_rollup_adapter::evm::embedded::Embedded;
use weft_rollup_adapter::evm::external::{EngineClient, External, ExternalError, Journal};
use weft_rollup_adapter::evm::genesis::EvmGenesis;
use weft_rollup_adapter::evm::leg::effects;
use weft_rollup_adapter::evm::store::Store;
use weft_rollup_adapter::evm::transaction::Checked;
use weft_rollup_adapter::executor::{Executor, Progress};
use weft_rollup_adapter::metrics::EvmMetrics;
use weft_types::{B256, BidMode, L1Event, LegPlace, NamespaceId, SliceEntry, TransactionId};

const ROLLUP: u64 = 77_001;

fn genesis_json(wallets: &[Wallet]) -> String {
    let alloc: serde_json::Map<String, serde_json::Value> = wallets
        .iter()
        .map(|w| (w.address().to_string(), json!({ "balance": "0x3635c9adc5dea00000" })))
        .collect();
    json!({
        "config": { "chainId": ROLLUP },
        "timestamp": format!("{:#x}", GENESIS_TIME_MS / 1000),
        "gasLimit": "0x1c9c380",
        "baseFeePerGas": "0x3b9aca00",
        "coinbase": "0x00000000000000000000000000000000c01bbace",
        "alloc": alloc,
    })
    .to_string()
}

struct Pair {
    _dir: TempDir,
    anvil: Anvil,
    chain: Chain,
    at: Cursor,
    derivation: Derivation,
    /// Hash of the last block before each height.
    before: Vec<B256>,
    store: Store,
    journal: Journal,
    engine: Arc<EngineClient>,
    embedded: Embedded,
    external: External,
}

impl Pair {
    async fn new(wallets: &[Wallet]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = TempDir::new();
        let file = dir.join("genesis.json");
        std::fs::write(&file, genesis_json(wallets)).unwrap();
        let genesis = EvmGenesis::from_json(&genesis_json(wallets)).unwrap();
        let anvil = Anvil::start(&file, None);
        let store = Store::open(&dir.join("state.redb"), &genesis, B256::ZERO).unwrap();
        let journal = Journal::open(&dir.join("journal.redb"), B256::ZERO).unwrap();
        let engine = Arc::new(EngineClient::new(
            anvil.url.parse().unwrap(),
            reqwest::Client::builder().build().unwrap(),
        ));
        let chain = Chain::new(ROLLUP);
        let at = chain.start();
        let derivation = chain.derivation(&at);
        let mut embedded = Embedded::new(store.clone(), EvmMetrics::default());
        let mut external =
            External::new(engine.clone(), journal.clone(), genesis.spec, EvmMetrics::default());
        assert_eq!(embedded.cursor().await.unwrap(), None);
        assert_eq!(external.cursor().await.unwrap(), None);
        Self {
            _dir: dir,
            anvil,
            chain,
            at,
            derivation,
            before: Vec::new(),
            store,
            journal,
            engine,
            embedded,
            external,
        }
    }

    /// Orders items and runs all that is decided on both engines.
    async fn run(&mut self, submissions: Vec<Vec<Bytes>>) {
        self.chain.push(submissions);
        self.catch_up().await;
    }

    async fn catch_up(&mut self) {
        while let Some(slice) = self.chain.verified(&self.at) {
            self.before.truncate(self.at.next as usize);
            self.before.push(self.store.view().unwrap().head().unwrap().hash);
            self.derivation.push(slice);
            let step = self.derivation.take(&self.at).unwrap();
            assert_eq!(self.embedded.execute(&step).await.unwrap(), Progress::Done);
            assert_eq!(self.external.execute(&step).await.unwrap(), Progress::Done);
            self.at = *step.to();
        }
    }

    /// Takes back slices from a height on. Both engines are where they were, and make the same of
    /// them again.
    async fn take_back(&mut self, height: u64) {
        let last = self.store.view().unwrap().head().unwrap().hash;
        let header = self.chain.header(height).id();
        let to = Cursor { next: height, header, ..self.at };
        self.embedded.unwind(to).await.unwrap();
        self.external.unwind(to).await.unwrap();
        assert_eq!(self.embedded.cursor().await.unwrap(), Some(to));
        // The other engine has to make again what is kept.
        self.at = self.external.cursor().await.unwrap().unwrap_or(self.chain.start());
        while self.at.next < height {
            let slice = self.chain.verified(&self.at).unwrap();
            self.derivation.push(slice);
            let step = self.derivation.take(&self.at).unwrap();
            assert_eq!(self.external.execute(&step).await.unwrap(), Progress::Done);
            self.at = *step.to();
        }
        assert_eq!(self.at, to);
        self.compare_last().await;
        let head = self.store.view().unwrap().head().unwrap();
        assert_eq!(head.hash, self.before[height as usize], "taken back to {height}");
        let check = self.store.check_state().unwrap();
        assert!(head.header.number == 0 || check.root == head.header.state_root);
        self.catch_up().await;
        self.compare_last().await;
        assert_eq!(self.store.view().unwrap().head().unwrap().hash, last);
    }

    /// What both engines say that items will do at the head of the next slice.
    async fn effects(&self, items: &[Bytes]) -> [Result<Option<B256>, ChainError>; 2] {
        let header = self.chain.header(self.at.next.saturating_sub(1));
        let leg = SliceEntry::Head {
            transaction: TransactionId::ZERO,
            bidder: Address::ZERO,
            mode: BidMode::Atomic,
            place: LegPlace { index: 0, count: 1, root: B256::ZERO },
            data: items.to_vec(),
        };
        let embedded = EvmChain::Embedded(self.store.clone());
        let external = EvmChain::External {
            engine: self.engine.clone(),
            journal: self.journal.clone(),
            spec: *self.store.spec(),
        };
        [effects(&embedded, header, &leg).await, effects(&external, header, &leg).await]
    }

    async fn cursor_of(&mut self, engine: Engine) -> Cursor {
        let cursor = match engine {
            Engine::Embedded => self.embedded.cursor().await.unwrap(),
            Engine::External => self.external.cursor().await.unwrap(),
        };
        cursor.unwrap_or(self.chain.start())
    }

    async fn take(&mut self, engine: Engine, step: &Step) {
        let progress = match engine {
            Engine::Embedded => self.embedded.execute(step).await.unwrap(),
            Engine::External => self.external.execute(step).await.unwrap(),
        };
        assert_eq!(progress, Progress::Done);
    }

    /// Compares the last block of both.
    async fn compare(&mut self) {
        self.run(vec![]).await;
        self.compare_last().await;
    }

    async fn compare_last(&self) {
        let view = self.store.view().unwrap();
        let ours = view.head().unwrap();
        let theirs = self.engine.block("latest").await.unwrap().unwrap();
        let full: serde_json::Value =
            self.engine.call("eth_getBlockByNumber", json!(["latest", false])).await.unwrap();
        assert_eq!(ours.header.number, theirs.number);
        let hashes: Vec<B256> = (0..ours.transactions)
            .map(|i| {
                let (_, raw) = view.transaction(theirs.number, i).unwrap().unwrap();
                alloy_primitives::keccak256(raw)
            })
            .collect();
        assert_eq!(hashes, theirs.transactions, "transactions");
        if ours.header.number == 0 {
            return;
        }
        assert_eq!(
            format!("{:?}", ours.header.receipts_root),
            full["receiptsRoot"].as_str().unwrap(),
            "receipts"
        );
        assert_eq!(ours.header.state_root, theirs.state_root, "state root\n{full:#}");
        assert_eq!(ours.hash, theirs.hash, "\n{:#?}\n{full:#}", ours.header);
        assert_eq!(self.journal.last_number().unwrap(), ours.header.number);
        let _ = &self.anvil;
    }
}

/// What was said of legs.
#[derive(Debug, Default)]
struct Legs {
    do_something: usize,
    fail: usize,
    external_cannot_say: usize,
}

impl Legs {
    fn add(&mut self, [embedded, external]: [Result<Option<B256>, ChainError>; 2]) {
        let embedded = embedded.unwrap();
        match external {
            Ok(external) => assert_eq!(embedded, external, "of the same leg"),
            Err(error) => {
                eprintln!("cannot say: {error}");
                self.external_cannot_say += 1;
            }
        }
        match embedded {
            Some(_) => self.do_something += 1,
            None => self.fail += 1,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_agree() {
    let wallets: Vec<Wallet> = (0..4).map(wallet).collect();
    let mut pair = Pair::new(&wallets).await;
    let to = Address::repeat_byte(0x55);
    pair.run(vec![vec![wallets[0].transfer(ROLLUP, 0, to, 1)]]).await;
    pair.compare().await;
    // Init code that reads a slot and an account that are not there, then returns nothing.
    let init = Bytes::from_static(&alloy_primitives::hex!(
        "600754507344444444444444444444444444444444444444443150"
    ));
    pair.run(vec![vec![
        wallets[1].call(ROLLUP, 0, TxKind::Create, init, 200_000),
        wallets[2].transfer(ROLLUP, 1, to, 1),
        wallets[2].transfer(ROLLUP, 0, to, 1),
        wallets[2].transfer(ROLLUP, 0, to, 2),
        Bytes::from_static(b"garbage"),
    ]])
    .await;
    pair.compare().await;
}

/// Whatever is thrown at them, both engines make the same of it.
#[test]
fn random_slices_agree() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(6);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let slices = proptest::collection::vec(plans(14), 1..8);
    let result = runner.run(&slices, |slices| {
        runtime.block_on(run_plans(&slices));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

async fn run_plans(slices: &[Vec<support::programs::Plan>]) {
    let wallets: Vec<Wallet> = (0..6).map(wallet).collect();
    let mut pair = Pair::new(&wallets).await;
    let mut contracts: Vec<Address> = Vec::new();
    let (mut executed, mut skipped) = (0, 0);
    let mut legs = Legs::default();
    for slice in slices {
        let view = pair.store.view().unwrap();
        let mut due: Vec<u64> = wallets
            .iter()
            .map(|w| view.account(&w.address(), u64::MAX).unwrap().map_or(0, |a| a.nonce))
            .collect();
        let items: Vec<Bytes> = slice
            .iter()
            .map(|plan| {
                let sender = usize::from(plan.sender) % wallets.len();
                let item = item(ROLLUP, plan, &wallets, due[sender], &contracts);
                let takes_a_place = Checked::new(&item, pair.store.spec()).is_ok();
                if takes_a_place && plan.nonce_skew == 0 {
                    due[sender] += 1;
                }
                item
            })
            .collect();
        if items.is_empty() {
            continue;
        }
        let count = items.len();
        for leg in [&items[..1], &items[..count.min(3)]] {
            legs.add(pair.effects(leg).await);
        }
        pair.run(vec![items]).await;
        pair.compare().await;
        let view = pair.store.view().unwrap();
        let head = view.head().unwrap();
        for i in 0..head.transactions {
            let receipt = view.receipt(head.header.number, i).unwrap().unwrap();
            contracts.extend(receipt.created.filter(|_| contracts.len() < 20));
        }
        executed += head.transactions as usize;
        skipped += count - head.transactions as usize;
    }
    if pair.before.is_empty() {
        // There was nothing in any slice.
        return;
    }
    let next = pair.at.next;
    for height in [next.saturating_sub(1), next / 2, 0] {
        pair.take_back(height).await;
    }
    // Shown if the case fails, and with --nocapture.
    eprintln!("{executed} executed, {skipped} skipped, {} contracts; {legs:?}", contracts.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_behind_when_a_fallback_becomes_known_goes_on() {
    let wallets: Vec<Wallet> = (0..2).map(wallet).collect();
    let mut pair = Pair::new(&wallets).await;
    let to = Address::repeat_byte(0x66);
    for nonce in 0..4 {
        pair.run(vec![vec![wallets[0].transfer(ROLLUP, nonce, to, 1)]]).await;
    }
    pair.run(vec![]).await;
    // Posted is the header of height 3: slices 3 and 4 are taken back, and a message takes their place.
    let message =
        SliceEntry::Forced { index: 0, sender: to, data: wallets[1].transfer(ROLLUP, 0, to, 5) };
    let posted = pair.chain.header(3).id();
    let l1 = [
        vec![ContractEvent::Network(L1Event::Posted { height: 3, block: posted, poster: to })],
        vec![forced(&message)],
        vec![ContractEvent::FallbackActivated { height: 3, origin: 0 }],
    ];
    let mut parent = pair.chain.genesis.l1_origin.hash;
    let blocks: Vec<Claim> = (1u8..)
        .zip(l1)
        .map(|(number, events)| {
            let hash = B256::with_last_byte(number);
            let timestamp = GENESIS_TIME_MS / 1000 + u64::from(number);
            let number = number.into();
            Claim { number, hash, parent: std::mem::replace(&mut parent, hash), timestamp, events }
        })
        .collect();
    // The engine has lost everything meanwhile, and the other one nothing.
    let base_fee = json!(["0x3b9aca00"]);
    pair.engine.call_raw("anvil_setNextBlockBaseFeePerGas", base_fee).await.unwrap();
    pair.engine.call_raw("anvil_reset", json!([])).await.unwrap();
    for engine in [Engine::Embedded, Engine::External] {
        let mut at = pair.cursor_of(engine).await;
        let mut derivation = pair.chain.derivation(&at);
        for block in &blocks {
            derivation.take_in(block).unwrap();
        }
        loop {
            match derivation.due(&at) {
                Due::Slice => {
                    derivation.push(pair.chain.verified(&at).unwrap());
                }
                Due::Take(_) => {
                    let step = derivation.take(&at).unwrap();
                    pair.take(engine, &step).await;
                    at = *step.to();
                }
                Due::L1Step(step) => {
                    pair.take(engine, &step).await;
                    at = *step.to();
                }
                Due::Unwind(to) => {
                    assert_eq!(engine, Engine::Embedded, "the other one is not that far");
                    pair.embedded.unwind(to).await.unwrap();
                    at = pair.cursor_of(engine).await;
                }
                Due::L1 => break,
                Due::L1Again => unreachable!("there is room for one message"),
            }
        }
        assert_eq!((at.next, at.forced), (3, 1));
    }
    pair.compare_last().await;
    let view = pair.store.view().unwrap();
    let number = view.head().unwrap().header.number;
    assert_eq!(number, 3, "two slices and the message");
    assert_eq!(view.account(&to, number).unwrap().unwrap().balance(), U256::from(1 + 1 + 5));
}

/// A message as L1 logs it.
fn forced(entry: &SliceEntry) -> ContractEvent {
    let SliceEntry::Forced { index, sender, data } = entry.clone() else {
        unreachable!("a forced message")
    };
    let namespace = NamespaceId(ROLLUP);
    ContractEvent::Network(L1Event::Forced { namespace, index, sender, fee: 0, data })
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Embedded,
    External,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_asked_what_it_remembers_whatever_its_hashes_start_with() {
    let mut pair = Pair::new(&[wallet(0)]).await;
    // What comes back from a call passes for a contract's code, which may not start with 0xef.
    let awkward = loop {
        pair.engine.call_raw("evm_mine", json!([])).await.unwrap();
        let block = pair.engine.block("latest").await.unwrap().unwrap();
        if block.hash[0] == 0xef {
            break block.number;
        }
        assert!(block.number < 5_000, "one hash in 256 starts like that");
    };
    pair.engine.call_raw("anvil_mine", json!(["0xc8"])).await.unwrap();
    // It gets as far as to see that none of this was made from slices.
    let seen = pair.external.cursor().await;
    let last = awkward + 200;
    assert!(
        matches!(seen, Err(ExternalError::Foreign { number, .. }) if number == last),
        "{seen:?}"
    );
}
