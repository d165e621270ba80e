//! The view against being wrong, and against falling behind.

use std::fs;

use weft_ledger::State;
use weft_types::genesis::Allocation;
use weft_types::*;

use crate::store::view::{BlockChanges, MAX_BLOCKS_BEHIND, TransactionRecord, View, ViewError};

fn genesis() -> Genesis {
    let address = Address::repeat_byte(1);
    Genesis {
        chain_id: 1,
        time_ms: 1000,
        l1_origin: L1Origin::default(),
        params: Params::default(),
        validators: vec![Member { address, seats: 1 }],
        accounts: vec![Allocation { address, balance: 5 }],
        namespaces: vec![],
    }
}

fn changes(height: Height, root: B256) -> BlockChanges {
    let id = TransactionId(B256::repeat_byte(height as u8));
    let record = TransactionRecord { height, position: 0, receipt: None };
    BlockChanges {
        height,
        time_ms: height,
        id: BlockId(B256::repeat_byte(height as u8)),
        ledger_root: root,
        slices_root: B256::ZERO,
        changes: vec![],
        transactions: vec![(id, record)],
        slices: vec![],
    }
}

#[test]
fn the_view_comes_back_and_a_wrong_one_is_thrown_away() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("view");
    let state = State::genesis(&genesis()).unwrap();
    let opened = View::open(&path, &genesis(), 1 << 20).unwrap();
    assert!(opened.held.is_none());
    opened.view.put_state(&state, BlockId::ZERO);
    opened.view.push(changes(1, state.ledger_root()));
    let id = TransactionId(B256::repeat_byte(1));
    assert!(opened.view.transaction(&id).unwrap().is_some(), "visible before it is on disk");
    opened.view.stop();
    opened.writer.join().unwrap();
    drop(opened.view);

    let opened = View::open(&path, &genesis(), 1 << 20).unwrap();
    let held = opened.held.unwrap();
    assert_eq!((held.height, held.state.ledger_root()), (1, state.ledger_root()));
    assert!(opened.view.transaction(&id).unwrap().is_some());
    // A root that its entries do not come to.
    opened.view.push(changes(2, B256::ZERO));
    opened.view.stop();
    opened.writer.join().unwrap();
    drop(opened.view);
    let opened = View::open(&path, &genesis(), 1 << 20).unwrap();
    assert!(opened.held.is_none(), "a view that does not check is not used");
    opened.view.stop();
    opened.writer.join().unwrap();
}

#[test]
fn a_view_that_cannot_be_opened_is_moved_aside() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("view");
    fs::write(&path, b"not a directory").unwrap();
    let opened = View::open(&path, &genesis(), 1 << 20).unwrap();
    assert!(opened.held.is_none());
    opened.view.stop();
    opened.writer.join().unwrap();
    assert!(directory.path().join("view.damaged").exists());
}

/// Once the view cannot be written it says so to whoever asks, and takes no more in.
#[test]
fn a_view_that_has_failed_holds_and_answers_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let opened = View::open(&directory.path().join("view"), &genesis(), 1 << 20).unwrap();
    let view = opened.view;
    view.push(changes(1, B256::ZERO));
    let id = TransactionId(B256::repeat_byte(1));
    assert!(view.transaction(&id).unwrap().is_some());
    view.fail();
    assert!(view.has_failed());
    view.push(changes(2, B256::ZERO));
    assert_eq!(view.lag(), (0, 0));
    assert!(matches!(view.transaction(&id), Err(ViewError::Failed)));
    assert!(matches!(view.leaves(1), Err(ViewError::Failed)));
    assert!(matches!(view.namespaces(), Err(ViewError::Failed)));
    view.stop();
    opened.writer.join().unwrap();
}

/// Whoever takes in the past faster than it can be written waits, and goes on once it can.
#[test]
fn what_is_not_written_yet_stays_within_bounds() {
    let directory = tempfile::tempdir().unwrap();
    let opened = View::open(&directory.path().join("view"), &genesis(), 1 << 20).unwrap();
    let view = opened.view;
    let blocks = 2 * MAX_BLOCKS_BEHIND as Height;
    for height in 1..=blocks {
        view.wait_for_room();
        view.push(changes(height, B256::ZERO));
        assert!(view.lag().0 <= MAX_BLOCKS_BEHIND + 1);
    }
    view.stop();
    opened.writer.join().unwrap();
    assert_eq!((view.tip(), view.lag()), (blocks, (0, 0)));
}
