//! From a target to a command: the program found, the environment made, refusals explained.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::hint;
use crate::target::CommandTarget;

/// Why a server cannot be started. The messages end with what to try.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no such program.
    #[error("the command {program:?} was not found: {hint}")]
    NotFound {
        /// The program, as given.
        program: String,
        /// What to try.
        hint: String,
    },
    /// There is a file of that name, but it is no program.
    #[error("{program:?} cannot be executed: {hint}")]
    NotExecutable {
        /// The program, as given.
        program: String,
        /// What to try.
        hint: String,
    },
    /// The working directory does not exist.
    #[error("the working directory {0:?} does not exist")]
    Directory(PathBuf),
    /// The system refused to start it.
    #[error("{program:?} could not be started: {error}{hint}")]
    Refused {
        /// The full path of the program.
        program: String,
        /// What the system said.
        error: String,
        /// What to try, with its own separator; empty when there is no advice.
        hint: String,
    },
    /// Resources are to be limited, and nobody is there to do it.
    #[error("the server's resources can be limited on Linux only, and only where a guard process watches over it")]
    Limits,
    /// The guard process does not work.
    #[error("the guard process could not be used: {0}")]
    Guard(String),
}

impl SpawnError {
    /// What the system's refusal to execute a program that was found comes to.
    pub(super) fn refused(program: &Path, error: &std::io::Error) -> Self {
        let hint = error.raw_os_error().and_then(|code| hint::for_refusal(program, code));
        Self::Refused {
            program: program.display().to_string(),
            error: error.to_string(),
            hint: hint.map_or_else(String::new, |hint| format!("; {hint}")),
        }
    }
}

/// Search path of a desktop client's children.
const CLEAN_PATH: &str = if cfg!(windows) {
    r"C:\Windows\system32;C:\Windows"
} else {
    "/usr/local/bin:/usr/bin:/bin"
};

/// Variables that a desktop client hands down when the user configured none: who the user is, where temporary files go, and on Windows what
/// the system's own libraries need. Nothing of a shell's start-up files, no virtual environment, no keys.
const HANDED_DOWN: &[&str] = if cfg!(windows) {
    &[
        "APPDATA",
        "COMSPEC",
        "HOMEDRIVE",
        "HOMEPATH",
        "LOCALAPPDATA",
        "PATHEXT",
        "PROCESSOR_ARCHITECTURE",
        "PROGRAMFILES",
        "SYSTEMDRIVE",
        "SYSTEMROOT",
        "TEMP",
        "TMP",
        "USERNAME",
        "USERPROFILE",
    ]
} else {
    &["HOME", "LANG", "LOGNAME", "SHELL", "TERM", "TMPDIR", "USER"]
};

/// The full path of the target's program, looked up as the server's environment and working directory demand.
///
/// # Errors
/// When there is none, with what may have been meant.
pub fn resolve(target: &CommandTarget) -> Result<PathBuf, SpawnError> {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let directory = target
        .directory
        .as_ref()
        .map_or(here.clone(), |directory| here.join(directory));
    if !directory.is_dir() {
        return Err(SpawnError::Directory(directory));
    }
    let path = search_path(target);
    which::which_in(&target.program, path.as_ref(), &directory)
        .map_err(|_| hint::for_missing(target, &directory, path.as_deref()))
}

/// The environment of the server, later entries winning.
pub(super) fn environment(target: &CommandTarget) -> Vec<(OsString, OsString)> {
    let mut variables: Vec<(OsString, OsString)> = if target.clean_environment {
        let handed_down = HANDED_DOWN
            .iter()
            .filter_map(|name| Some(((*name).into(), std::env::var_os(name)?)));
        std::iter::once(("PATH".into(), CLEAN_PATH.into()))
            .chain(handed_down)
            .collect()
    } else {
        std::env::vars_os().collect()
    };
    variables.extend(
        target
            .environment
            .iter()
            .map(|(name, value)| (name.into(), value.into())),
    );
    variables
}

/// Where the server's own environment says programs are.
fn search_path(target: &CommandTarget) -> Option<OsString> {
    // Windows writes it `Path` and does not care.
    let is_path = |name: &OsString| {
        if cfg!(windows) {
            name.eq_ignore_ascii_case("PATH")
        } else {
            name == "PATH"
        }
    };
    environment(target)
        .into_iter()
        .rev()
        .find(|(name, _)| is_path(name))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_environment_has_no_variables_of_the_caller() {
        let mut target = CommandTarget::new("sh", []);
        target.clean_environment = true;
        target.environment.push(("A_KEY".to_owned(), "secret".to_owned()));
        let names: Vec<String> = environment(&target)
            .into_iter()
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect();
        assert!(names.contains(&"A_KEY".to_owned()) && names.contains(&"PATH".to_owned()));
        assert!(!names.iter().any(|name| name.starts_with("CARGO")), "{names:?}");
    }

    #[cfg(unix)]
    #[test]
    fn the_servers_own_search_path_and_directory_count() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("my-server");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();

        let mut by_path = CommandTarget::new("my-server", []);
        assert!(resolve(&by_path).is_err());
        by_path
            .environment
            .push(("PATH".to_owned(), folder.path().display().to_string()));
        assert_eq!(resolve(&by_path).unwrap(), program);

        let mut by_directory = CommandTarget::new("./my-server", []);
        by_directory.directory = Some(folder.path().to_path_buf());
        assert_eq!(
            resolve(&by_directory).unwrap().canonicalize().unwrap(),
            program.canonicalize().unwrap()
        );
    }

    #[test]
    fn a_missing_directory_is_told_apart_from_a_missing_program() {
        let mut target = CommandTarget::new("sh", []);
        target.directory = Some("no/such/folder".into());
        assert!(matches!(resolve(&target), Err(SpawnError::Directory(_))));
    }
}
