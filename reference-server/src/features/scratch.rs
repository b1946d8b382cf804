//! The directory `write_note` writes into: made on the first note, removed with the last conversation. A server that is
//! killed leaves it behind; whoever makes the next one removes what is left of those of a day ago.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io};

const PREFIX: &str = "touchstone-reference-";

/// What was not written to for so long has lost its owner.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// A directory of its own below the system's temporary directory.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    directory: Mutex<Option<PathBuf>>,
}

impl Scratch {
    /// Writes a note, replacing one of the same name. `name` must already be a plain file name.
    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let mut directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        // It can be gone, when nothing was written to it for a day.
        let directory = match &mut *directory {
            Some(directory) if directory.is_dir() => directory,
            none => none.insert(make()?),
        };
        fs::write(directory.join(format!("{name}.txt")), text)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let directory = self.directory.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = directory {
            // Nothing is lost when it stays: it is a temporary directory.
            let _ = fs::remove_dir_all(directory);
        }
    }
}

/// A random name and `create_dir`, which fails on anything that exists, so that nobody can have put a link there.
fn make() -> io::Result<PathBuf> {
    let random = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
    let parent = std::env::temp_dir();
    sweep(&parent, ABANDONED);
    let directory = parent.join(format!("{PREFIX}{random:016x}"));
    fs::create_dir(&directory)?;
    Ok(directory)
}

/// Removes what servers that were killed have left in a directory. What cannot be removed stays.
fn sweep(parent: &Path, age: Duration) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let old = entry.metadata().is_ok_and(|data| {
            let unchanged = data.modified().ok().and_then(|time| time.elapsed().ok());
            data.is_dir() && unchanged.is_some_and(|unchanged| unchanged >= age)
        });
        if old {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_lives_as_long_as_its_owner() {
        let scratch = Scratch::default();
        scratch.write("a", "first").unwrap();
        scratch.write("a", "second").unwrap();
        let directory = scratch.directory.lock().unwrap().clone().unwrap();
        assert_eq!(fs::read_to_string(directory.join("a.txt")).unwrap(), "second");
        drop(scratch);
        assert!(!directory.exists());
    }

    #[test]
    fn what_was_left_behind_is_swept_away_and_nothing_else() {
        let scratch = Scratch::default();
        scratch.write("a", "kept").unwrap();
        let parent = scratch.directory.lock().unwrap().clone().unwrap();
        let (left, other) = (parent.join(format!("{PREFIX}1")), parent.join("other"));
        fs::create_dir(&left).unwrap();
        fs::create_dir(&other).unwrap();
        sweep(&parent, Duration::from_secs(60));
        assert!(left.exists());
        sweep(&parent, Duration::ZERO);
        assert!(!left.exists() && other.exists());
    }
}
