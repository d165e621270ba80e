//! `eth_getLogs` on the embedded engine. Headers carry a bloom filter of their block's logs, so only
//! blocks that may match are read.

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::keccak256;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};

use super::RpcLimits;
use super::error::RpcError;
use super::show;
use crate::evm::store::{StoreError, StoredBlock, View};

/// Most values that one position of a filter may name.
pub const MAX_ALTERNATIVES: usize = 1000;

/// Most bytes of data in the logs of an answer.
const MAX_LOG_DATA: usize = 8 * 1024 * 1024;

/// The blocks that a filter is about: first and last number. Empty if first is above last.
pub fn range(filter: &Filter, head: u64, settled: u64) -> Result<(u64, u64), RpcError> {
    let FilterBlockOption::Range { from_block, to_block } = &filter.block_option else {
        return Err(RpcError::params("expected a range of blocks"));
    };
    let number = |tag: &Option<BlockNumberOrTag>| match tag {
        None
        | Some(BlockNumberOrTag::Latest | BlockNumberOrTag::Safe | BlockNumberOrTag::Pending) => {
            head
        }
        Some(BlockNumberOrTag::Finalized) => settled,
        Some(BlockNumberOrTag::Earliest) => 0,
        Some(BlockNumberOrTag::Number(number)) => *number,
    };
    let (from, to) = (number(from_block), number(to_block));
    if from > to {
        return Err(RpcError::params("invalid block range params"));
    }
    Ok((from, to.min(head)))
}

/// Checks that a filter is not larger than what is looked for.
pub fn check(filter: &Filter) -> Result<(), RpcError> {
    let most = filter.topics.iter().map(|topic| topic.len()).max().unwrap_or(0);
    if filter.address.len().max(most) > MAX_ALTERNATIVES {
        return Err(RpcError::params(format!("more than {MAX_ALTERNATIVES} values in a filter")));
    }
    Ok(())
}

/// The logs that match a filter.
pub fn get(view: &View, filter: &Filter, limits: &RpcLimits) -> Result<Vec<Log>, RpcError> {
    check(filter)?;
    let mut found = Vec::new();
    let mut data = 0;
    if let FilterBlockOption::AtBlockHash(hash) = filter.block_option {
        let number = view.number(&hash)?.ok_or_else(|| RpcError::server("unknown block"))?;
        let block = view.block(number)?.ok_or(StoreError::Damaged("a block is missing"))?;
        of_block(view, &block, filter, &mut found)?;
        return Ok(found);
    }
    let (from, to) = range(filter, view.head()?.header.number, view.settled()?)?;
    if to.saturating_sub(from) >= limits.log_blocks {
        let most = limits.log_blocks;
        return Err(RpcError::limit(format!("range of more than {most} blocks: narrow it")));
    }
    for number in from..=to {
        let Some(block) = view.block(number)? else { break };
        if !filter.matches_bloom(block.header.logs_bloom) {
            continue;
        }
        let before = found.len();
        of_block(view, &block, filter, &mut found)?;
        data += found.iter().skip(before).map(|log| log.data().data.len()).sum::<usize>();
        // A single block's logs are bounded by its gas.
        if (found.len() > limits.logs || data > MAX_LOG_DATA) && from < to {
            let most = limits.logs;
            return Err(RpcError::limit(format!(
                "query returned more than {most} results or {MAX_LOG_DATA} bytes of data: narrow \
                 the range from block {from} to before block {number}"
            )));
        }
    }
    Ok(found)
}

fn of_block(
    view: &View,
    block: &StoredBlock,
    filter: &Filter,
    found: &mut Vec<Log>,
) -> Result<(), RpcError> {
    for index in 0..block.transactions {
        let Some((stored, receipt)) = show::stored_receipt(view, block, index)? else { break };
        if !filter.matches_bloom(receipt.logs_bloom) {
            continue;
        }
        let (_, raw) = view
            .transaction(block.header.number, index)?
            .ok_or(StoreError::Damaged("a transaction is missing"))?;
        let hash = keccak256(raw);
        let logs = receipt.receipt.logs;
        let shown = show::logs(block, u64::from(index), hash, stored.first_log, logs);
        found.extend(shown.into_iter().filter(|log| filter.matches(&log.inner)));
    }
    Ok(())
}
