//! The view against being wrong, and against falling behind.

use std::collections::BTreeMap;
use std::fs;

use weft_ledger::{Key, State, Value};
use weft_types::genesis::Allocation;
use weft_types::merkle::{Keccak, Peaks};
use weft_types::withdrawal::withdrawals_root;
use weft_types::*;

use crate::store::view::{BlockChanges, MAX_BLOCKS_BEHIND, TransactionRecord, View, ViewError};

fn genesis() -> Genesis {
    let address = Address::repeat_byte(1);
    Genesis {
        chain_id: 1,
        time_ms: 1000,
        l1_origin: L1Origin::default(),
        l1: None,
        params: Params::default(),
        validators: vec![Member { address, seats: 1 }],
        stakes: vec![],
        accounts: vec![Allocation { address, balance: 5 }],
        namespaces: vec![],
    }
}

fn changes(height: Height, root: B256) -> BlockChanges {
    let id = TransactionId(B256::repeat_byte(height as u8));
    let record = TransactionRecord { height, position: 0, receipt: None, withdrawal: None };
    BlockChanges {
        height,
        time_ms: height,
        id: BlockId(B256::repeat_byte(height as u8)),
        ledger_root: root,
        slices_root: B256::ZERO,
        changes: vec![],
        transactions: vec![(id, record)],
        slices: vec![],
        results: Results::default(),
        withdrawals: vec![],
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
    assert!(matches!(view.like(&Key::Burned), Err(ViewError::Failed)));
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

/// Every withdrawal is proven against the root of any height that had it, before and after a
/// restart, even if blocks are written twice.
#[test]
fn withdrawals_are_proven_against_every_later_height() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("view");
    let state = State::genesis(&genesis()).unwrap();
    // Height h makes h % 4 of them.
    let mut tree = Peaks::<Keccak>::default();
    let mut roots = BTreeMap::new();
    let blocks: Vec<BlockChanges> = (1..=12)
        .map(|height: Height| {
            let withdrawal = |_| {
                let index = tree.count();
                let withdrawal = Withdrawal { index, to: Address::repeat_byte(3), amount: 7 };
                tree.push(withdrawal.leaf());
                withdrawal
            };
            let withdrawals = (0..height % 4).map(withdrawal).collect();
            roots.insert(height, (tree.count(), withdrawals_root(&tree)));
            BlockChanges { withdrawals, ..changes(height, state.ledger_root()) }
        })
        .collect();
    for (from, to) in [(0, 7), (5, 12)] {
        let opened = View::open(&path, &genesis(), 1 << 20).unwrap();
        if from == 0 {
            opened.view.put_state(&state, BlockId::ZERO);
        }
        for block in &blocks[from..to] {
            opened.view.push(block.clone());
        }
        opened.view.stop();
        opened.writer.join().unwrap();
        for height in 1..=to as Height {
            let (count, root) = roots[&height];
            for index in 0..count + 1 {
                let proven = opened.view.withdrawal(index, height).unwrap();
                assert_eq!(
                    proven.and_then(|proven| proven.root()),
                    (index < count).then_some(root)
                );
            }
        }
    }
}

#[test]
fn committees_are_known_from_the_height_that_they_decide() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("view");
    let opened = View::open(&path, &genesis(), 1 << 20).unwrap();
    let state = State::genesis(&genesis()).unwrap();
    opened.view.put_state(&state, BlockId::ZERO);
    let member = Member { address: Address::repeat_byte(2), seats: 3 };
    let committee = Committee::new(vec![member]).unwrap();
    let taken_over = (Key::Committee, Some(Value::Committee(Box::new(committee.clone()))));
    opened.view.push(BlockChanges { changes: vec![taken_over], ..changes(1, B256::ZERO) });
    let expected = BTreeMap::from([(1, state.committee().clone()), (2, committee)]);
    assert_eq!(opened.view.committees().unwrap(), expected, "before it is on disk");
    opened.view.stop();
    opened.writer.join().unwrap();
    assert_eq!(opened.view.committees().unwrap(), expected);
}
