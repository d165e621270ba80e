//! What a rollup provides: an engine with a durable cursor (protocol section 11).

use std::error::Error;
use std::future::Future;

use crate::cursor::Cursor;
use crate::light::VerifiedSlice;

/// Where a rollup got with a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The slice is taken in.
    Done,
    /// The engine is found to be at an earlier place than it was, as after a restart of an
    /// external engine with an older state. Nothing was done; ask for the cursor again.
    Rewound,
}

/// A rollup's engine.
///
/// The contract that makes execution exactly-once: the cursor changes in the same atomic step as
/// the state does. Durability may lag, since slices can be pulled again and execution is
/// deterministic; but what is durable is always the state of one height and the cursor of that
/// same height.
pub trait Executor: Send {
    /// Why the engine cannot go on. Our fault or the engine's; never that of an endpoint, since
    /// only verified slices get here.
    type Error: Error + Send + Sync + 'static;

    /// Where the rollup stands; `None` before the genesis block. Asked at start and after
    /// [`Progress::Rewound`].
    fn cursor(&mut self) -> impl Future<Output = Result<Option<Cursor>, Self::Error>> + Send;

    /// Takes in the slice of the height after the cursor. A slice that
    /// [is absent](VerifiedSlice::is_absent) moves the cursor only; such moves may be kept in
    /// memory until the next slice or [`flush`](Self::flush).
    fn execute(
        &mut self,
        slice: &VerifiedSlice,
    ) -> impl Future<Output = Result<Progress, Self::Error>> + Send;

    /// Makes everything taken in so far durable.
    fn flush(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
