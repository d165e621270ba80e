//! The log against crashes and damage.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use weft_types::certificate::CommitSignature;
use weft_types::*;

use crate::store::*;

const GENESIS: BlockId = BlockId(B256::repeat_byte(7));
const SEGMENT: u64 = 1 << 20;

fn block(height: Height, salt: u8) -> Block {
    let header = Header {
        version: 1,
        chain_id: 1,
        height,
        time_ms: height,
        parent: BlockId::ZERO,
        proposer: Address::repeat_byte(salt),
        validators_hash: B256::ZERO,
        next_validators_hash: B256::ZERO,
        l1_origin: L1Origin::default(),
        observations_root: B256::ZERO,
        batches_root: B256::ZERO,
        events_root: B256::ZERO,
        parent_outcome: Outcome::default(),
    };
    Block {
        header,
        observations: ObservationSet::default(),
        events: Vec::new(),
        batches: Vec::new(),
    }
}

fn certificate(block: &Block) -> Certificate {
    let signature = Signature([3; 65]);
    Certificate {
        height: block.header.height,
        round: 0,
        block: block.id(),
        signatures: vec![CommitSignature { member: 0, signature }],
    }
}

fn write(log: &Log, block: &Block) {
    let bytes = borsh::to_vec(block).unwrap();
    let (id, height) = (block.id(), block.header.height);
    log.append(&[Record::Block { id, height, bytes: &bytes }], true).unwrap();
}

fn commit(log: &Log, block: &Block) {
    log.append(&[Record::Commit(&certificate(block))], true).unwrap();
}

fn open(directory: &Path) -> Result<(Log, Opened), LogError> {
    Log::open(directory, GENESIS, SEGMENT)
}

/// The tip of a log that reads well from front to back.
fn verified(directory: &Path) -> Height {
    verify(directory, GENESIS, |_, _| {}).unwrap().tip
}

/// A log with so many decided heights.
fn log_of(heights: Height) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = open(directory.path()).unwrap();
    for height in 1..=heights {
        write(&log, &block(height, 0));
        commit(&log, &block(height, 0));
    }
    let file = directory.path().join(format!("{:020}.log", 1));
    (directory, file)
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let (directory, _) = log_of(5);
    let (log, opened) = open(directory.path()).unwrap();
    assert_eq!(opened, Opened { tip: 5, torn_bytes: 0, undecided: vec![] });
    for height in 1..=5 {
        assert_eq!(log.block(height).unwrap(), Some(block(height, 0)));
        assert_eq!(log.certificate(height).unwrap(), Some(certificate(&block(height, 0))));
    }
    assert_eq!(log.block(6).unwrap(), None);
    assert_eq!(verified(directory.path()), 5);
}

#[test]
fn undecided_blocks_of_the_next_height_survive() {
    let (directory, _) = log_of(2);
    let (log, _) = open(directory.path()).unwrap();
    let (a, b) = (block(3, 1), block(3, 2));
    write(&log, &a);
    write(&log, &b);
    write(&log, &a);
    drop(log);
    let (log, opened) = open(directory.path()).unwrap();
    assert_eq!(opened.undecided.len(), 2, "the same block is logged once");
    assert_eq!(log.undecided(&b.id()).unwrap(), Some(b.clone()));
    commit(&log, &b);
    assert_eq!(log.block(3).unwrap(), Some(b));
    assert_eq!(log.undecided(&a.id()).unwrap(), None, "the height is over");
}

#[test]
fn refuses_certificates_out_of_turn() {
    let (directory, _) = log_of(2);
    let (log, _) = open(directory.path()).unwrap();
    let unknown = log.append(&[Record::Commit(&certificate(&block(3, 0)))], true);
    assert!(matches!(unknown, Err(LogError::NoBlock(_))));
    write(&log, &block(4, 0));
    let early = log.append(&[Record::Commit(&certificate(&block(4, 0)))], true);
    assert!(matches!(early, Err(LogError::OutOfOrder { expected: 3, actual: 4 })));
}

#[test]
fn another_networks_log_is_refused() {
    let (directory, _) = log_of(1);
    let other = Log::open(directory.path(), BlockId::ZERO, SEGMENT);
    assert!(matches!(other, Err(LogError::OtherNetwork(_))));
}

/// Wherever a write is cut off, what was whole before it stays, and the cut is said.
#[test]
fn a_torn_tail_is_cut_off_at_every_length() {
    let (directory, file) = log_of(3);
    let whole = fs::read(&file).unwrap();
    let (log, _) = open(directory.path()).unwrap();
    write(&log, &block(4, 0));
    drop(log);
    let more = fs::read(&file).unwrap();
    for length in whole.len() + 1..more.len() {
        fs::write(&file, &more[..length]).unwrap();
        let (log, opened) = open(directory.path()).unwrap();
        assert_eq!(opened.tip, 3, "cut to {length}");
        assert_eq!(opened.torn_bytes, (length - whole.len()) as u64);
        write(&log, &block(4, 1));
        commit(&log, &block(4, 1));
        assert_eq!(verified(directory.path()), 4);
    }
}

/// Whoever looks at a torn log and writes nothing leaves it as it is, for the next start to see.
#[test]
fn a_torn_tail_stays_until_something_is_written() {
    let (directory, file) = log_of(3);
    let whole = fs::metadata(&file).unwrap().len();
    let raw = OpenOptions::new().write(true).open(&file).unwrap();
    raw.write_all_at(&[0xee; 50], whole).unwrap();
    let torn = Opened { tip: 3, torn_bytes: 50, undecided: vec![] };
    let before = fs::read(&file).unwrap();
    assert_eq!(verify(directory.path(), GENESIS, |_, _| {}).unwrap(), torn);
    for _ in 0..2 {
        let (log, opened) = open(directory.path()).unwrap();
        assert_eq!(opened, torn);
        assert!(log.block(3).unwrap().is_some());
    }
    assert_eq!(fs::read(&file).unwrap(), before);
    let (log, _) = open(directory.path()).unwrap();
    write(&log, &block(4, 0));
    drop(log);
    let undecided = vec![block(4, 0).id()];
    let (_, opened) = open(directory.path()).unwrap();
    assert_eq!(opened, Opened { tip: 3, torn_bytes: 0, undecided });

    let empty = tempfile::tempdir().unwrap();
    assert_eq!(verified(empty.path()), 0);
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "nothing is made");
}

/// What users put into their transactions may look like frames. A block that holds some and is cut
/// off is a torn tail all the same.
#[test]
fn frames_inside_a_block_are_none() {
    let (directory, file) = log_of(3);
    let whole = fs::read(&file).unwrap();
    // Frames of this very log, with its salt.
    let forged = &whole[segment::PREAMBLE as usize..];
    let torn = [&whole[..], &[0xee; 700], forged, &[0xee; 20]].concat();
    fs::write(&file, &torn).unwrap();
    let (_, opened) = open(directory.path()).unwrap();
    assert_eq!((opened.tip, opened.torn_bytes), (3, (torn.len() - whole.len()) as u64));
}

/// Pages of one write may reach the disk in any order: if the power fails before it is synced, its
/// end may be there and its beginning not.
#[test]
fn a_write_that_reached_the_disk_out_of_order_is_a_torn_tail() {
    let (directory, file) = log_of(3);
    let (log, _) = open(directory.path()).unwrap();
    write(&log, &block(4, 0));
    let before = fs::metadata(&file).unwrap().len();
    let (certificate, next) = (certificate(&block(4, 0)), block(5, 0));
    let bytes = borsh::to_vec(&next).unwrap();
    let (id, height) = (next.id(), 5);
    let group = [Record::Commit(&certificate), Record::Block { id, height, bytes: &bytes }];
    log.append(&group, true).unwrap();
    drop(log);
    let written = fs::read(&file).unwrap();
    let damage = |offset: u64| {
        let mut bytes = written.clone();
        bytes[offset as usize + 30] ^= 1;
        fs::write(&file, bytes).unwrap();
    };
    damage(before);
    let (log, opened) = open(directory.path()).unwrap();
    let torn_bytes = written.len() as u64 - before;
    assert_eq!(opened, Opened { tip: 3, torn_bytes, undecided: vec![block(4, 0).id()] });
    drop(log);

    // The write before had been synced when this one was made.
    fs::write(&file, &written).unwrap();
    let frame = frame::HEADER + borsh::object_length(&block(4, 0)).unwrap();
    damage(before - frame as u64);
    assert!(matches!(open(directory.path()), Err(LogError::Corrupt { .. })));
}

/// A log that is not synced as it goes may lose anything since it last was.
#[test]
fn what_was_never_synced_may_be_lost_from_the_middle() {
    let (directory, file) = log_of(2);
    let synced = fs::metadata(&file).unwrap().len();
    let (log, _) = open(directory.path()).unwrap();
    for height in 3..=6 {
        let b = block(height, 0);
        let bytes = borsh::to_vec(&b).unwrap();
        let certificate = certificate(&b);
        let b = Record::Block { id: b.id(), height, bytes: &bytes };
        log.append(&[b, Record::Commit(&certificate)], false).unwrap();
    }
    drop(log);
    let raw = OpenOptions::new().write(true).open(&file).unwrap();
    raw.write_all_at(&[0; 64], synced + 10).unwrap();
    assert_eq!(open(directory.path()).unwrap().1.tip, 2);
    // What was there when the log was opened had been synced.
    raw.write_all_at(&[0; 8], synced - 100).unwrap();
    assert!(matches!(open(directory.path()), Err(LogError::Corrupt { .. })));
}

/// A flipped bit before the last frame is refused, and nothing of the log is served.
#[test]
fn a_flipped_bit_is_refused() {
    let (directory, file) = log_of(4);
    let whole = fs::read(&file).unwrap();
    let last =
        whole.len() - frame::HEADER - borsh::object_length(&certificate(&block(4, 0))).unwrap();
    for offset in (0..last).step_by(7) {
        let mut damaged = whole.clone();
        damaged[offset] ^= 0x10;
        fs::write(&file, &damaged).unwrap();
        match open(directory.path()) {
            Err(LogError::Corrupt { .. } | LogError::OtherNetwork(_)) => {}
            Err(other) => panic!("byte {offset}: {other}"),
            Ok((_, opened)) => panic!("byte {offset} went unnoticed: {opened:?}"),
        }
        assert_eq!(fs::read(&file).unwrap(), damaged, "a damaged log is left as it is");
    }
}

/// Damage that comes while the node runs is found when it is read.
#[test]
fn damage_is_found_on_reading() {
    let (directory, file) = log_of(4);
    let (log, _) = open(directory.path()).unwrap();
    let raw = OpenOptions::new().write(true).open(&file).unwrap();
    raw.write_all_at(&[0xff; 4], 200).unwrap();
    assert!(matches!(log.block(1), Err(LogError::Corrupt { .. })));
    assert!(log.block(3).unwrap().is_some());
    let verified = verify(directory.path(), GENESIS, |_, _| {});
    assert!(matches!(verified, Err(LogError::Corrupt { .. })));
}

#[test]
fn segments_roll_and_stay_readable() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), GENESIS, 2_000).unwrap();
    for height in 1..=40 {
        write(&log, &block(height, 0));
        commit(&log, &block(height, 0));
    }
    let segments = segments(directory.path()).len();
    assert!(segments > 5, "{segments} segments");
    drop(log);
    let (log, opened) = Log::open(directory.path(), GENESIS, 2_000).unwrap();
    assert_eq!(opened.tip, 40);
    for height in (1..=40).rev() {
        assert_eq!(log.block(height).unwrap(), Some(block(height, 0)), "height {height}");
    }
    assert_eq!(verified(directory.path()), 40);

    // A sealed segment has no tail to be torn.
    let first = directory.path().join(format!("{:020}.log", 1));
    let length = fs::metadata(&first).unwrap().len();
    OpenOptions::new().write(true).open(&first).unwrap().set_len(length - 1).unwrap();
    let (log, _) = Log::open(directory.path(), GENESIS, 2_000).unwrap();
    assert!(matches!(log.block(1), Err(LogError::Corrupt { .. })));
    fs::remove_file(&first).unwrap();
    let gap = verify(directory.path(), GENESIS, |_, _| {});
    assert!(matches!(gap, Err(LogError::Gap { expected: 1, .. })));
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    segment::list(directory).unwrap().into_values().collect()
}

/// A block that was reported durable in the write that fills a segment may be decided next.
#[test]
fn undecided_blocks_move_into_the_next_segment() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), GENESIS, 2_000).unwrap();
    write(&log, &block(1, 0));
    let mut height = 1;
    while segments(directory.path()).len() < 3 {
        let (decided, next) = (certificate(&block(height, 0)), block(height + 1, 0));
        let (id, bytes) = (next.id(), borsh::to_vec(&next).unwrap());
        let rival = block(height + 1, 1);
        let (rival_id, rival) = (rival.id(), borsh::to_vec(&rival).unwrap());
        height += 1;
        let group = [
            Record::Commit(&decided),
            Record::Block { id: rival_id, height, bytes: &rival },
            Record::Block { id, height, bytes: &bytes },
        ];
        log.append(&group, true).unwrap();
    }
    assert_eq!(log.undecided(&block(height, 1).id()).unwrap(), Some(block(height, 1)));
    drop(log);

    let (log, opened) = Log::open(directory.path(), GENESIS, 2_000).unwrap();
    assert_eq!((opened.tip, opened.undecided.len()), (height - 1, 2));
    commit(&log, &block(height, 0));
    drop(log);
    let (log, opened) = Log::open(directory.path(), GENESIS, 2_000).unwrap();
    assert_eq!(opened.tip, height);
    for height in 1..=height {
        assert_eq!(log.block(height).unwrap(), Some(block(height, 0)), "height {height}");
    }
    assert_eq!(verified(directory.path()), height);
}

/// A sealed segment is read as a whole only if its index is of no use, and then once.
#[test]
fn an_index_saves_reading_a_sealed_segment() {
    let directory = tempfile::tempdir().unwrap();
    let reopen = || Log::open(directory.path(), GENESIS, 4_000).unwrap().0;
    let log = reopen();
    for height in 1..=20 {
        write(&log, &block(height, 0));
        commit(&log, &block(height, 0));
    }
    let first = &segments(directory.path())[0];
    let index = first.with_extension("idx");
    let fine = fs::read(&index).unwrap();
    for of_no_use in
        [None, Some(&fine[1..]), Some(&b""[..]), Some(&[fine.as_slice(), &[0; 16]].concat())]
    {
        fs::remove_file(&index).unwrap();
        if let Some(bytes) = of_no_use {
            fs::write(&index, bytes).unwrap();
        }
        assert_eq!(reopen().block(1).unwrap(), Some(block(1, 0)));
        assert_eq!(fs::read(&index).unwrap(), fine, "it is made anew");
    }
    // Damage to one block is no hindrance to reading another, unless all must be read.
    let raw = OpenOptions::new().write(true).open(first).unwrap();
    raw.write_all_at(&[0xff; 4], segment::PREAMBLE + 60).unwrap();
    assert!(matches!(reopen().block(1), Err(LogError::Corrupt { .. })));
    assert_eq!(reopen().block(2).unwrap(), Some(block(2, 0)));
    fs::remove_file(&index).unwrap();
    assert!(matches!(reopen().block(2), Err(LogError::Corrupt { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Power fails: everything not synced may be gone, cut, or nonsense. What was synced stays.
    #[test]
    fn losing_what_was_not_synced_loses_nothing_durable(
        durable in 1u64..6,
        unsynced in 0u64..5,
        keep in 0.0f64..1.0,
        zeros: bool,
    ) {
        let (directory, file) = log_of(durable);
        let synced = fs::metadata(&file).unwrap().len();
        let (log, _) = open(directory.path()).unwrap();
        for height in durable + 1..=durable + unsynced {
            let b = block(height, 0);
            let bytes = borsh::to_vec(&b).unwrap();
            let records = [
                Record::Block { id: b.id(), height, bytes: &bytes },
                Record::Commit(&certificate(&b)),
            ];
            log.append(&records, false).unwrap();
        }
        drop(log);
        let written = fs::read(&file).unwrap();
        let kept = synced + ((written.len() as u64 - synced) as f64 * keep) as u64;
        let mut after = written[..kept as usize].to_vec();
        if zeros {
            after.resize(written.len(), 0);
        }
        fs::write(&file, &after).unwrap();
        let (log, opened) = open(directory.path()).unwrap();
        prop_assert!(opened.tip >= durable, "tip {} of {durable} durable", opened.tip);
        for height in 1..=opened.tip {
            prop_assert_eq!(log.block(height).unwrap(), Some(block(height, 0)));
        }
    }
}
