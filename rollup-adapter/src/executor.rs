//! What a rollup provides: an engine with a durable cursor (protocol section 11).

use std::error::Error;
use std::future::Future;

use crate::cursor::{Cursor, Settled};
use crate::derivation::Step;

/// Where a rollup got with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The step is taken.
    Done,
    /// The engine is found to be at an earlier place than it was, as after a restart of an
    /// external engine with an older state. Nothing was done; ask for the cursor again.
    Rewound,
}

/// A rollup's engine.
///
/// The contract that makes execution exactly-once: the cursor changes in the same atomic step as
/// the state does. Durability may lag, since slices can be pulled again and execution is
/// deterministic; but what is durable is always the state of one place and the cursor of that
/// same place.
pub trait Executor: Send {
    /// Why the engine cannot go on. Our fault or the engine's; never that of an endpoint, since
    /// only what is verified gets here.
    type Error: Error + Send + Sync + 'static;

    /// Where the rollup stands; `None` if it has taken in nothing. Asked at start, after
    /// [`Progress::Rewound`] and after [`unwind`](Self::unwind).
    fn cursor(&mut self) -> impl Future<Output = Result<Option<Cursor>, Self::Error>> + Send;

    /// Takes a step from where the rollup stands. One [without entries](Step::is_empty) moves the
    /// cursor only; such moves may be kept in memory until the next step with entries or
    /// [`flush`](Self::flush).
    fn execute(
        &mut self,
        step: &Step,
    ) -> impl Future<Output = Result<Progress, Self::Error>> + Send;

    /// Takes back what needed slices of the height of `to.fallback` and above, which a fallback does. `to` is
    /// where to stand then, for the engine to correct: `forced` to what it was after the last
    /// slice that is kept, and [not beyond](Cursor::not_beyond) what was held and is taken back. Durable when
    /// it returns.
    fn unwind(&mut self, to: Cursor) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Remembers what is settled, with the cursor and no sooner durable than that.
    fn settle(&mut self, settled: Settled);

    /// Looks whether the engine is where it was left. Asked now and then also when there is nothing to execute:
    /// what is said of its state, and what waits for its blocks, must not wait for the next slice.
    fn look(&mut self) -> impl Future<Output = Result<Progress, Self::Error>> + Send;

    /// Makes everything taken in so far durable.
    fn flush(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
