//! An empty home, temporary folder and working directory for a server that is not to see the user's.
//!
//! This hides files from a server that looks where programs look; it is no wall: a server that knows a path can still open it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;
use touchstone_drive::target::CommandTarget;

/// Folders that end with the value.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: TempDir,
}

/// Variables that lead to the user's own files, with the folder that they name instead.
const PLACES: &[(&str, &str)] = &[
    ("HOME", "home"),
    ("USERPROFILE", "home"),
    ("XDG_CONFIG_HOME", "home/.config"),
    ("XDG_CACHE_HOME", "home/.cache"),
    ("XDG_DATA_HOME", "home/.local/share"),
    ("XDG_STATE_HOME", "home/.local/state"),
    ("APPDATA", "home/AppData/Roaming"),
    ("LOCALAPPDATA", "home/AppData/Local"),
    ("TMPDIR", "tmp"),
    ("TMP", "tmp"),
    ("TEMP", "tmp"),
];

impl Scratch {
    /// Makes the folders.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("touchstone-").tempdir();
        let folder = folder.context("--isolate: no temporary folder can be made")?;
        for place in PLACES.iter().map(|(_, place)| *place).chain(["work"]) {
            std::fs::create_dir_all(folder.path().join(place)).context("--isolate: no temporary folder can be made")?;
        }
        Ok(Self { folder })
    }

    /// Lets the server start in them. Paths in its command that lead somewhere from here still do.
    pub(crate) fn isolate(&self, command: &mut CommandTarget) {
        let places = PLACES
            .iter()
            .map(|(name, place)| ((*name).to_owned(), self.folder.path().join(place)));
        let own = places.map(|(name, place)| (name, place.to_string_lossy().into_owned()));
        // What a configuration sets itself comes later and wins.
        command.environment.splice(0..0, own);
        if command.directory.is_some() {
            return;
        }
        command.directory = Some(self.folder.path().join("work"));
        let Ok(here) = std::env::current_dir() else { return };
        if Path::new(&command.program).components().count() > 1 {
            command.program = absolute(&here, Path::new(&command.program)).into();
        }
        for argument in &mut command.arguments {
            *argument = absolute(&here, Path::new(&*argument)).into();
        }
    }
}

/// The path from the root, where there is something at it.
fn absolute(here: &Path, path: &Path) -> PathBuf {
    let whole = here.join(path);
    if path.is_relative() && !path.as_os_str().is_empty() && whole.exists() {
        whole
    } else {
        path.to_path_buf()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_command_lead_where_they_did() {
        let scratch = Scratch::new().unwrap();
        let mut command = CommandTarget::new("./Cargo.toml", ["src".into(), "no-such-file".into(), "-m".into()]);
        scratch.isolate(&mut command);
        let here = std::env::current_dir().unwrap();
        assert_eq!(Path::new(&command.program), here.join("./Cargo.toml"));
        assert_eq!(Path::new(&command.arguments[0]), here.join("src"));
        assert_eq!(command.arguments[1..], ["no-such-file", "-m"]);
        assert!(
            command
                .directory
                .as_ref()
                .is_some_and(|folder| folder.ends_with("work"))
        );
        assert!(
            command
                .environment
                .iter()
                .any(|(name, place)| name == "HOME" && Path::new(place).is_dir())
        );
    }
}
