//! From the log to the tip: what a node does when it starts.
//!
//! The view may have the state of some height; what the log has beyond that is executed anew. A
//! view whose block the log does not know, or that is ahead of the log, belongs to another log and
//! is cleared.

use tracing::{info, warn};
use weft_consensus::Tip;
use weft_consensus::driver::StoredBlock;
use weft_consensus::follow::{Delivery, follow};
use weft_types::{Genesis, Height, Outcome, Results};

use crate::chain::changes_of;
use crate::store::view::{Held, View};
use crate::store::{Log, LogError};

/// How often to say how far it is.
const REPORT_EVERY: Height = 2_000;

/// Why the log cannot be executed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The view cannot be cleared.
    #[error(transparent)]
    View(#[from] crate::store::view::ViewError),
    /// The genesis is malformed.
    #[error("genesis: {0}")]
    Genesis(#[from] weft_types::genesis::GenesisError),
    /// A block in the log does not follow from the one before: other software wrote it, or this
    /// software executes differently from what decided it.
    #[error("block {0} of the log does not check: {1}")]
    Block(Height, String),
}

/// Executes what the log has beyond the view, and returns the tip.
pub fn replay(
    genesis: &Genesis,
    log: &Log,
    view: &View,
    held: Option<Held>,
) -> Result<Tip, ReplayError> {
    let resumed = match held {
        Some(held) => resume(log, held, genesis)?,
        None => None,
    };
    let mut tip = match resumed {
        Some(tip) => tip,
        None => {
            if view.tip() > 0 {
                warn!("the view is not of this block log; rebuilding it");
            }
            view.clear()?;
            from_genesis(genesis, view)?
        }
    };
    let (from, to) = (tip.next_height(), log.tip());
    if from <= to {
        info!(from, to, "executing blocks of the log");
    }
    for height in from..=to {
        next(&mut tip, log, to, view)?;
        if height % REPORT_EVERY == 0 {
            info!(height, to, "executing blocks of the log");
        }
    }
    Ok(tip)
}

fn from_genesis(genesis: &Genesis, view: &View) -> Result<Tip, ReplayError> {
    let tip = Tip::genesis(genesis)?;
    view.put_state(&tip.state, tip.id);
    Ok(tip)
}

/// The tip that the view's state belongs to, if the log agrees.
fn resume(log: &Log, held: Held, genesis: &Genesis) -> Result<Option<Tip>, ReplayError> {
    let Held { state, height, id, slices_root, results_root } = held;
    let header = match height {
        0 => Some(genesis.header(state.committee())),
        _ => log.block(height)?.map(|block| block.header),
    };
    let Some(header) = header.filter(|header| header.id() == id) else { return Ok(None) };
    let outcome = Outcome { slices_root, results_root, ..state.outcome(&[], &Results::default()) };
    let child = log.block(height + 1)?.map(|block| block.header);
    let agrees = child.is_none_or(|child| child.parent_outcome == outcome);
    Ok(agrees.then_some(Tip { header, id, outcome, state }))
}

/// Executes the next height.
fn next(tip: &mut Tip, log: &Log, to: Height, view: &View) -> Result<(), ReplayError> {
    view.wait_for_room();
    let height = tip.next_height();
    let gap = LogError::Gap { expected: height, actual: to };
    let (Some(bytes), Some(certificate)) = (log.block_bytes(height)?, log.certificate(height)?)
    else {
        return Err(gap.into());
    };
    let problem = |what: String| ReplayError::Block(height, what);
    let block = StoredBlock::decode(&bytes, tip.header.chain_id, tip.committee())
        .map_err(|e| problem(e.to_string()))?;
    let Delivery { header, id, batches, events, applied, .. } =
        follow(tip, block, certificate).map_err(|e| problem(e.to_string()))?;
    view.push(changes_of(&header, id, &batches, &events, &applied));
    Ok(())
}
