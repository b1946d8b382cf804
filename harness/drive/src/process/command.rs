//! From a target to a command: the program found, the environment made.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::target::CommandTarget;

/// Why a server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no such program.
    #[error("the command {program:?} was not found{hint}")]
    NotFound {
        /// The program.
        program: String,
        /// What to try.
        hint: String,
    },
    /// The working directory does not exist.
    #[error("the working directory {0:?} does not exist")]
    Directory(PathBuf),
    /// The system refused to start it.
    #[error("{program:?} could not be started: {error}")]
    Refused {
        /// The program.
        program: String,
        /// What the system said.
        error: String,
    },
    /// The guard process does not work.
    #[error("the guard process could not be used: {0}")]
    Guard(String),
}

/// Search path of a desktop client's children.
const CLEAN_PATH: &str = if cfg!(windows) {
    r"C:\Windows\system32;C:\Windows"
} else {
    "/usr/local/bin:/usr/bin:/bin"
};
/// Variables that a desktop client hands down.
const HANDED_DOWN: [&str; 12] = [
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "TMPDIR",
    "SHELL",
    "TERM",
    "USERPROFILE",
    "SystemRoot",
    "APPDATA",
    "LOCALAPPDATA",
    "TEMP",
];

/// The full path of the target's program.
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
    let path = environment(target)
        .into_iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map(|(_, value)| value);
    which::which_in(&target.program, path, &directory).map_err(|_| SpawnError::NotFound {
        program: target.program.to_string_lossy().into_owned(),
        hint: hint(target, &directory),
    })
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

/// What may have been meant by a program that is not there.
fn hint(target: &CommandTarget, directory: &Path) -> String {
    let program = target.program.to_string_lossy();
    let file = directory.join(&target.program);
    if file.is_file() {
        let interpreter = match file.extension().and_then(|extension| extension.to_str()) {
            Some("py") => Some("python3"),
            Some("js" | "mjs" | "cjs") => Some("node"),
            Some("sh") => Some("sh"),
            _ => None,
        };
        return match interpreter {
            Some(interpreter) => format!(": it is a script, so put its interpreter in front: {interpreter} {program}"),
            None => ": the file is there, but it is not executable".to_owned(),
        };
    }
    if program.contains(' ') && target.arguments.is_empty() {
        return ": give the command and its arguments as separate words after --, without quotes around all of them"
            .to_owned();
    }
    for (wrong, right) in [("python", "python3"), ("pip", "pip3"), ("nodejs", "node")] {
        if program == wrong && which::which(right).is_ok() {
            return format!(": {right} is there; or give the full path of the interpreter of your virtual environment");
        }
    }
    if target.clean_environment {
        return ": with --clean-env only the system's own folders are searched, as desktop clients do; give the full path".to_owned();
    }
    ": is it installed, and is it in PATH? A full path always works".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(program: &str, arguments: &[&str], directory: Option<&Path>) -> String {
        let mut target = CommandTarget::new(program, arguments.iter().map(Into::into));
        target.directory = directory.map(Path::to_path_buf);
        resolve(&target).unwrap_err().to_string()
    }

    #[test]
    fn what_may_have_been_meant_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("server.py"), "print()").unwrap();
        assert!(problem("server.py", &[], Some(folder.path())).contains("python3 server.py"));
        assert!(problem("no-such-program", &[], None).contains("is it installed"));
        assert!(problem("python server.py", &[], None).contains("separate words"));
        assert!(problem("sh", &[], Some(Path::new("no/such/folder"))).contains("does not exist"));
    }

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
}
