//! Counts boots. Each boot seals its batches into a lane of its own, and may not observe what the
//! one before may have observed; so the count is on disk before anything is signed, and with it
//! the height up to which this home is silent.

use std::io;
use std::path::Path;

use weft_types::Height;

use super::durable;

/// How often a home has been started, this time included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boots {
    /// The count, from 1.
    pub count: u32,
    /// Observe no height up to this one; 0 for none. It never goes down.
    pub silent_through: Height,
}

impl Boots {
    /// Counts this boot, durably. An unreadable count is an error: starting from 1 again could
    /// repeat a lane.
    pub fn count(path: &Path, silent_through: Height) -> io::Result<Self> {
        let before = match std::fs::read_to_string(path) {
            Ok(text) => parse(&text).ok_or_else(|| {
                let problem = format!("{} holds no count: {text:?}", path.display());
                io::Error::new(io::ErrorKind::InvalidData, problem)
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self { count: 0, silent_through: 0 }
            }
            Err(error) => return Err(error),
        };
        let now = Self {
            count: before.count.checked_add(1).ok_or_else(|| io::Error::other("2^32 boots"))?,
            silent_through: before.silent_through.max(silent_through),
        };
        let text = format!("{} {}\n", now.count, now.silent_through);
        durable::replace(path, text.as_bytes())?;
        Ok(now)
    }
}

/// The count and, if it is there, the height.
fn parse(text: &str) -> Option<Boots> {
    let mut words = text.split_whitespace();
    let count = words.next()?.parse().ok()?;
    let silent_through = words.next().map_or(Some(0), |word| word.parse().ok())?;
    words.next().is_none().then_some(Boots { count, silent_through })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_boot_counts_and_nonsense_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("boots");
        let count = |silent| Boots::count(&path, silent).map(|b| (b.count, b.silent_through));
        assert_eq!(count(0).unwrap(), (1, 0));
        assert_eq!(count(7).unwrap(), (2, 7));
        assert_eq!(count(6).unwrap(), (3, 7), "silence is not taken back");
        std::fs::write(&path, "1000000\n").unwrap();
        assert_eq!(count(0).unwrap(), (1_000_001, 0));
        for nonsense in ["", "x", "1 x", "1 2 3", "-1"] {
            std::fs::write(&path, nonsense).unwrap();
            assert!(count(0).is_err(), "{nonsense:?}");
        }
    }
}
