//! Counts boots. Each boot seals its batches into a lane of its own, and may not observe what the
//! one before may have observed; so the count is on disk before anything is signed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// How often a home has been started, this time included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boots(pub u32);

impl Boots {
    /// Counts this boot, durably. An unreadable count is an error: starting from 1 again could
    /// repeat a lane.
    pub fn count(path: &Path) -> io::Result<Self> {
        let before = match fs::read_to_string(path) {
            Ok(text) => text.trim().parse::<u32>().map_err(|_| {
                let problem = format!("{} holds no number: {text:?}", path.display());
                io::Error::new(io::ErrorKind::InvalidData, problem)
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let now = before.checked_add(1).ok_or_else(|| io::Error::other("2^32 boots"))?;
        let temporary = path.with_extension("tmp");
        let mut file = File::create(&temporary)?;
        writeln!(file, "{now}")?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(Self(now))
    }

    /// Whether nothing was ever signed in this home.
    pub fn is_first(self) -> bool {
        self.0 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_boot_counts_and_nonsense_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("boots");
        assert!(Boots::count(&path).unwrap().is_first());
        assert_eq!(Boots::count(&path).unwrap(), Boots(2));
        fs::write(&path, "").unwrap();
        assert!(Boots::count(&path).is_err());
    }
}
