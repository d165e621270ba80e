//! Names that outlive a power failure. What is in a file is durable once the file is synced; that
//! there is such a file, once the directory that names it is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Makes a directory and those above it that are missing.
pub fn create_directory(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|d| !d.as_os_str().is_empty() && !d.exists()).collect();
    fs::create_dir_all(path)?;
    missing.into_iter().try_for_each(sync_name)?;
    sync_name(path)
}

/// Writes a file anew, so that after a failure the old contents are there or the new.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(contents)?;
    file.sync_all()?;
    rename(&temporary, path)
}

/// Gives a file that is synced its name.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_name(to)
}

/// Makes durable that something has this name.
pub fn sync_name(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_and_files_are_made_and_made_again() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("a/b");
        create_directory(&directory).unwrap();
        create_directory(&directory).unwrap();
        let file = directory.join("c");
        replace(&file, b"old").unwrap();
        replace(&file, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing temporary stays");
    }
}
