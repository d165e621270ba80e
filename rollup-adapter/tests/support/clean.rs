//! What an engine makes of a chain if nobody kills anything.

use serde_json::json;
use weft_rollup_adapter::derivation::Due;
use weft_rollup_adapter::evm::embedded::Embedded;
use weft_rollup_adapter::evm::genesis::EvmGenesis;
use weft_rollup_adapter::evm::store::{Store, StoredBlock};
use weft_rollup_adapter::executor::Executor;
use weft_rollup_adapter::metrics::EvmMetrics;
use weft_types::B256;

use super::dir::TempDir;
use super::node::Network;
use super::process::Rollup;

/// The last block that an engine makes of the chain so far.
pub async fn clean_run(network: &Network, genesis: &str) -> StoredBlock {
    let dir = TempDir::new();
    let genesis = EvmGenesis::from_json(genesis).unwrap();
    let store = Store::open(&dir.join("state.redb"), &genesis, B256::ZERO).unwrap();
    let mut engine = Embedded::new(store.clone(), EvmMetrics::default());
    assert_eq!(engine.cursor().await.unwrap(), None);
    let mut at = network.with(|chain| chain.start());
    let mut derivation = network.with(|chain| chain.derivation(&at));
    let mut slices = network.with(|chain| chain.slices_from(&at)).into_iter();
    loop {
        match derivation.due(&at) {
            Due::Slice => match slices.next() {
                Some(slice) => derivation.push(slice),
                None => break,
            },
            Due::Take(_) => {
                let step = derivation.take(&at).unwrap();
                engine.execute(&step).await.unwrap();
                at = *step.to();
            }
            due => unreachable!("without L1: {due:?}"),
        }
    }
    store.view().unwrap().head().unwrap()
}

/// Waits until a rollup has made all blocks of the chain so far, and compares the last one with a clean
/// run's, whose number it returns.
pub async fn same_head(rollup: &Rollup, network: &Network, genesis: &str) -> u64 {
    let expected = clean_run(network, genesis).await;
    rollup.until_block(expected.header.number).await;
    let block = rollup.call("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(block["hash"], json!(expected.hash), "\n{block:#}\n{expected:#?}");
    expected.header.number
}
