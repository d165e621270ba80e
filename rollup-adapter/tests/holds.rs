//! An executor killed at chosen moments while an atomic bundle holds its rollup: between verdict, decision
//! and execution. It ends as if it had not been.
#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]

mod support;

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use alloy_primitives::{Address, B256, Bytes};
use support::chain::Chain;
use support::clean::same_head;
use support::node::{Network, Node};
use support::process::{Rollup, RollupHome};
use support::tools::{Anvil, Cut, Relay};
use support::wallet::{Wallet, genesis_json, wallet};
use weft_rollup_adapter::gateway::price::wall_ms;
use weft_types::{BidMode, Decision, SliceEntry, TransactionId};

const ROLLUP: u64 = 77_005;

/// A rollup that is held again and again, and what has to become of it.
struct Story {
    network: Network,
    wallets: [Wallet; 2],
    home: RollupHome,
    _node: Node,
    /// Bundles so far.
    bundles: u8,
    /// Legs that were to be executed, which is the nonce of the next one.
    executed: u64,
    /// Ordinary transactions so far.
    ordinary: u64,
}

/// A bundle that holds the rollup.
#[derive(Clone, Copy)]
struct Held {
    bundle: TransactionId,
    /// What its leg does on the state before it.
    does: bool,
}

impl Story {
    async fn begin() -> Self {
        let wallets = [wallet(0), wallet(1)];
        let mut chain = Chain::new(ROLLUP);
        // Verdicts are not valid for long, by the clock.
        let until_now = wall_ms() - chain.time_ms();
        chain.push_entries(vec![], until_now);
        let network = Network::new(chain);
        let node = Node::start(&network).await;
        let genesis = genesis_json(ROLLUP, &wallets);
        let home = network.with(|chain| RollupHome::init(chain, &genesis, &[node.url()]));
        let key = home.path().join("executor.key");
        std::fs::write(&key, wallet(2).secret()).unwrap();
        set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        let mut story =
            Self { network, wallets, home, _node: node, bundles: 0, executed: 0, ordinary: 0 };
        story.order();
        story
    }

    /// Starts the executor.
    fn start(&self, engine: &str) -> Rollup {
        self.home.start(&["--key-file", "executor.key", "--engine", engine])
    }

    fn transfer(&mut self) -> Bytes {
        let nonce = self.ordinary;
        self.ordinary += 1;
        self.wallets[1].transfer(ROLLUP, nonce, Address::repeat_byte(0x11), 1)
    }

    /// Orders something that is no leg.
    fn order(&mut self) {
        let item = self.transfer();
        self.network.with(|chain| {
            chain.push(vec![vec![item]]);
            chain.push(vec![]);
        });
    }

    /// Orders a leg, together with something else. Every third is out of turn, and would do nothing.
    fn hold(&mut self) -> Held {
        self.bundles += 1;
        let does = !self.bundles.is_multiple_of(3);
        let nonce = if does { self.executed } else { self.executed + 1 };
        let leg = self.wallets[0].transfer(ROLLUP, nonce, Address::repeat_byte(0x22), 1);
        let head = Chain::head(self.bundles, BidMode::Atomic, vec![leg]);
        let bundle = head.transaction().unwrap();
        let submission = SliceEntry::Submission {
            transaction: TransactionId(B256::repeat_byte(self.bundles)),
            submitter: Address::ZERO,
            data: vec![self.transfer()],
        };
        self.network.with(|chain| chain.push_entries(vec![head, submission], 300));
        // A later slice, that waits as well.
        self.order();
        Held { bundle, does }
    }

    /// Waits for a verdict that has not come yet when `before` had, which has to be what all say.
    async fn verdict(&self, held: Held, before: usize) {
        self.network.until_verdict(held.bundle, before).await;
        let verdicts = self.network.verdicts(held.bundle);
        assert!(verdicts.iter().all(|said| *said == verdicts[0]), "{verdicts:?}");
        assert_eq!(verdicts[0].is_some(), held.does);
    }

    fn said(&self, held: Held) -> usize {
        self.network.verdicts(held.bundle).len()
    }

    /// Decides: every other bundle that could be executed is.
    fn decide(&mut self, held: Held) {
        let bundle = held.bundle;
        let decision = match held.does && self.bundles.is_multiple_of(2) {
            true => Decision::Committed,
            false => Decision::Failed,
        };
        self.executed += u64::from(decision == Decision::Committed);
        self.network.with(|chain| {
            chain.push_entries(vec![SliceEntry::Decision { bundle, decision }], 300);
            chain.push(vec![]);
        });
    }

    /// Waits until the rollup is where it would be if nobody had killed it.
    async fn as_if_nothing_had_been(&self, rollup: &Rollup) {
        same_head(rollup, &self.network, &genesis_json(ROLLUP, &self.wallets)).await;
    }

    /// Kills it once it has given a verdict, and once more when it has said so again, for which it asks
    /// the engine behind a relay nothing. It is decided while it is dead.
    async fn killed_between_verdict_and_decision(&mut self, engine: &str, relay: Option<&Relay>) {
        let rollup = self.start(engine);
        self.as_if_nothing_had_been(&rollup).await;
        let held = self.hold();
        self.verdict(held, 0).await;
        // Nothing of what is held has been executed.
        self.as_if_nothing_had_been(&rollup).await;
        rollup.kill();
        let said = self.said(held);
        if let Some(relay) = relay {
            relay.cut("eth_simulateV1", Cut::Before);
        }
        let rollup = self.start(engine);
        self.verdict(held, said).await;
        if let Some(relay) = relay {
            relay.spare();
        }
        rollup.kill();
        self.decide(held);
        let rollup = self.start(engine);
        self.as_if_nothing_had_been(&rollup).await;
        rollup.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_engine_is_killed_while_held() {
    let mut story = Story::begin().await;
    for _ in 0..6 {
        story.killed_between_verdict_and_decision("revm", None).await;
    }
    // Killed as it hears of the decision, somewhere in the execution.
    for _ in 0..12 {
        let rollup = story.start("revm");
        let held = story.hold();
        story.verdict(held, 0).await;
        let before = rollup.block_number().await;
        story.decide(held);
        if story.bundles.is_multiple_of(2) {
            rollup.until_block(before + 1).await;
        }
        rollup.kill();
        let rollup = story.start("revm");
        story.as_if_nothing_had_been(&rollup).await;
        rollup.kill();
    }
    story.home.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_is_killed_at_every_call_of_its_engine() {
    let mut story = Story::begin().await;
    let anvil = Anvil::start(&story.home.evm_genesis, None);
    let relay = Relay::start(&anvil).await;
    let engine = format!("external:{}", relay.url);
    for _ in 0..3 {
        story.killed_between_verdict_and_decision(&engine, Some(&relay)).await;
    }
    // Before the verdict.
    for when in [Cut::Before, Cut::After] {
        let rollup = story.start(&engine);
        story.as_if_nothing_had_been(&rollup).await;
        relay.cut("eth_simulateV1", when);
        let held = story.hold();
        relay.until_cut().await;
        rollup.kill();
        assert_eq!(story.said(held), 0);
        relay.lead_to(Some(&anvil));
        let rollup = story.start(&engine);
        story.verdict(held, 0).await;
        story.decide(held);
        story.as_if_nothing_had_been(&rollup).await;
        rollup.kill();
    }
    // Between decision and execution.
    let calls = [
        "anvil_dropAllTransactions",
        "eth_sendRawTransaction",
        "anvil_setNextBlockBaseFeePerGas",
        "evm_setNextBlockTimestamp",
        "evm_mine",
    ];
    for (call, when) in calls.into_iter().flat_map(|call| [(call, Cut::Before), (call, Cut::After)])
    {
        let rollup = story.start(&engine);
        let held = story.hold();
        story.verdict(held, 0).await;
        relay.cut(call, when);
        story.decide(held);
        relay.until_cut().await;
        rollup.kill();
        relay.lead_to(Some(&anvil));
        let rollup = story.start(&engine);
        story.as_if_nothing_had_been(&rollup).await;
        rollup.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_loses_its_blocks_while_held_is_given_them_again_before_the_decision() {
    let mut story = Story::begin().await;
    let anvil = Anvil::start(&story.home.evm_genesis, None);
    let relay = Relay::start(&anvil).await;
    let engine = format!("external:{}", relay.url);
    let rollup = story.start(&engine);
    for _ in 0..3 {
        story.order();
    }
    story.as_if_nothing_had_been(&rollup).await;
    relay.cut("eth_simulateV1", Cut::Before);
    let held = story.hold();
    relay.until_cut().await;
    anvil.kill();
    let anvil = Anvil::start(&story.home.evm_genesis, None);
    relay.lead_to(Some(&anvil));
    // Nothing is decided meanwhile, and no other slice comes.
    story.verdict(held, 0).await;
    story.decide(held);
    story.as_if_nothing_had_been(&rollup).await;
}
