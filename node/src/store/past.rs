//! What a home remembers of having signed, checked before it may sign again (decision 0007).
//!
//! Three things remember: the block log, the engine's write-ahead log, and the count of boots. A
//! first start leaves an empty write-ahead log before it counts itself, so that from then on each
//! of the three is missing only if it was lost.

use std::io;
use std::path::{Path, PathBuf};

use arc_malachitebft_wal as wal;
use weft_types::Height;

use super::{Boots, Opened, durable};

/// Why a validator may not sign in a home.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// The count of boots or the write-ahead log cannot be read or written.
    #[error("{0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// The write-ahead log is gone.
    #[error(
        "{0} is gone, with the votes this key has cast. It must not sign again; join under a new \
         key, or remove the keystore to run as a full node"
    )]
    NoVotes(PathBuf),
    /// The block log is behind what was decided.
    #[error(
        "the write-ahead log is at height {wal}, the block log ends at {tip}: the disk lost \
         records that were durable. This key may have signed what is lost, and must not sign \
         again; join under a new one"
    )]
    Behind {
        /// The height the write-ahead log is at.
        wal: Height,
        /// The last height of the block log.
        tip: Height,
    },
    /// The count of boots is gone.
    #[error(
        "{0} is gone, but this home has been started before. Without the count this key could \
         sign a second batch for a place in a lane. If nothing but this file was lost, write a \
         number into it that is far above the number of starts, such as 1000000, and start again; \
         otherwise join under a new key, or remove the keystore to run as a full node"
    )]
    NoCount(PathBuf),
}

/// A home's past, once this boot is part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// Which boot this is.
    pub boots: Boots,
    /// The height the engine's write-ahead log is at; 0 before it has started any.
    pub engine_height: Height,
}

impl Past {
    /// Checks that what a home remembers fits together, and counts this boot. Only whoever
    /// `validates` can be refused.
    pub fn begin(
        boots: &Path,
        wal: &Path,
        opened: &Opened,
        validates: bool,
    ) -> Result<Self, PastError> {
        let counted = boots.try_exists().map_err(|e| PastError::Io(boots.to_owned(), e))?;
        let engine_height = height_of(wal)?;
        if validates {
            check(boots, wal, opened, counted, engine_height)?;
        }
        if engine_height.is_none() {
            create(wal).map_err(|e| PastError::Io(wal.to_owned(), e))?;
        }
        let silent_through = if counted { may_have_observed(opened) } else { 0 };
        let boots =
            Boots::count(boots, silent_through).map_err(|e| PastError::Io(boots.to_owned(), e))?;
        Ok(Self { boots, engine_height: engine_height.unwrap_or(0) })
    }

    /// Whether nothing was ever signed in this home.
    pub fn is_none(&self) -> bool {
        self.boots.count == 1
    }
}

/// The engine starts a height only after the certificate of the one before is on disk; so a
/// write-ahead log that is further on, or gone, means that votes may have been cast that nothing
/// here remembers.
fn check(
    boots: &Path,
    wal: &Path,
    opened: &Opened,
    counted: bool,
    engine_height: Option<Height>,
) -> Result<(), PastError> {
    let logged = opened.tip > 0 || opened.torn_bytes > 0 || !opened.undecided.is_empty();
    match engine_height {
        None if counted => Err(PastError::NoVotes(wal.to_owned())),
        Some(height) if height > opened.tip.saturating_add(1) => {
            Err(PastError::Behind { wal: height, tip: opened.tip })
        }
        height if !counted && (logged || height.is_some_and(|height| height > 0)) => {
            Err(PastError::NoCount(boots.to_owned()))
        }
        _ => Ok(()),
    }
}

/// The last height that an earlier boot may have observed. An observation of D + 1 leaves only
/// after D is on disk; if the log has a torn tail, that may have been the certificate of the
/// height after its tip.
fn may_have_observed(opened: &Opened) -> Height {
    opened.tip.saturating_add(if opened.torn_bytes > 0 { 2 } else { 1 })
}

/// The height a write-ahead log is at, if there is one.
fn height_of(path: &Path) -> Result<Option<Height>, PastError> {
    let problem = |e| PastError::Io(path.to_owned(), e);
    if !path.try_exists().map_err(problem)? {
        return Ok(None);
    }
    let log = wal::Log::open(path).map_err(problem)?;
    Ok(Some(log.sequence()))
}

/// Leaves a write-ahead log without a height.
fn create(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        durable::create_directory(directory)?;
    }
    let temporary = path.with_extension("tmp");
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Opening one that is not there writes and syncs it.
    drop(wal::Log::open(&temporary)?);
    durable::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn boots(&self) -> PathBuf {
            self.0.path().join("boots")
        }

        fn wal(&self) -> PathBuf {
            self.0.path().join("wal/consensus.wal")
        }

        fn begin(&self, tip: Height, torn_bytes: u64) -> Result<Past, PastError> {
            let opened = Opened { tip, torn_bytes, undecided: vec![] };
            Past::begin(&self.boots(), &self.wal(), &opened, true)
        }

        /// What the engine does when it starts a height.
        fn engine_starts(&self, height: Height) {
            wal::Log::open(self.wal()).unwrap().reset(height).unwrap();
        }
    }

    #[test]
    fn a_first_start_that_fails_can_be_repeated() {
        let home = Home::new();
        let past = home.begin(0, 0).unwrap();
        assert!(past.is_none());
        assert_eq!((past.boots.silent_through, past.engine_height), (0, 0));
        // The engine was never started.
        let past = home.begin(0, 0).unwrap();
        assert!(!past.is_none());
        assert_eq!(past.boots.silent_through, 1);
    }

    /// The power may go between the write-ahead log and the count.
    #[test]
    fn a_first_start_that_did_not_count_is_still_the_first() {
        let home = Home::new();
        create(&home.wal()).unwrap();
        assert!(home.begin(0, 0).unwrap().is_none());
    }

    #[test]
    fn whatever_is_lost_is_missed() {
        let home = Home::new();
        home.begin(0, 0).unwrap();
        home.engine_starts(1);
        assert_eq!(home.begin(0, 0).unwrap().engine_height, 1);

        std::fs::remove_file(home.boots()).unwrap();
        assert!(matches!(home.begin(0, 0), Err(PastError::NoCount(_))));
        assert!(matches!(home.begin(3, 0), Err(PastError::NoCount(_))));
        assert!(!home.boots().exists(), "who is refused is not counted");
        let lost = Opened { tip: 0, torn_bytes: 9, undecided: vec![] };
        let elsewhere = home.0.path().join("elsewhere.wal");
        let only_log = Past::begin(&home.boots(), &elsewhere, &lost, true);
        assert!(matches!(only_log, Err(PastError::NoCount(_))));
        std::fs::write(home.boots(), "1000000").unwrap();
        assert_eq!(home.begin(3, 0).unwrap().boots.count, 1_000_001);

        home.engine_starts(5);
        assert!(matches!(home.begin(3, 0), Err(PastError::Behind { wal: 5, tip: 3 })));
        std::fs::remove_file(home.wal()).unwrap();
        assert!(matches!(home.begin(4, 0), Err(PastError::NoVotes(_))));
        assert!(!home.wal().exists(), "and is missed next time as well");
    }

    #[test]
    fn silence_after_a_torn_tail_outlasts_the_next_start() {
        let home = Home::new();
        home.begin(0, 0).unwrap();
        assert_eq!(home.begin(7, 0).unwrap().boots.silent_through, 8);
        assert_eq!(home.begin(7, 12).unwrap().boots.silent_through, 9);
        assert_eq!(home.begin(7, 0).unwrap().boots.silent_through, 9, "the tail was cut off");
        assert_eq!(home.begin(9, 0).unwrap().boots.silent_through, 10);
    }

    #[test]
    fn a_full_node_signs_nothing_and_is_not_refused() {
        let home = Home::new();
        let opened = Opened { tip: 4, torn_bytes: 0, undecided: vec![] };
        let begin = || Past::begin(&home.boots(), &home.wal(), &opened, false).unwrap();
        assert_eq!(begin().boots.count, 1);
        std::fs::remove_file(home.wal()).unwrap();
        begin();
        assert!(home.wal().exists());
        // It may validate under a key of its own later.
        assert!(home.begin(4, 0).is_ok());
    }
}
