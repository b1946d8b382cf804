//! The directory `write_note` writes into: made on the first note, removed with the last conversation.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

/// A directory of its own below the system's temporary directory.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    directory: Mutex<Option<PathBuf>>,
}

impl Scratch {
    /// Writes a note, replacing one of the same name. `name` must already be a plain file name.
    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let mut directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = match &mut *directory {
            Some(directory) => directory,
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
    let directory = std::env::temp_dir().join(format!("touchstone-reference-{random:016x}"));
    fs::create_dir(&directory)?;
    Ok(directory)
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
}
