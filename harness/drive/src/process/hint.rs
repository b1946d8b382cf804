//! Why a program cannot be started, in words that say what to do.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::Path;

use touchstone_core::spelling::nearest;

use super::command::SpawnError;
use crate::target::CommandTarget;

/// Names under which the same thing is installed elsewhere.
const OTHER_NAMES: [(&str, &str); 6] = [
    ("python", "python3"),
    ("python3", "python"),
    ("py", "python3"),
    ("pip", "pip3"),
    ("nodejs", "node"),
    ("node", "nodejs"),
];
/// Launchers, and what they come with.
const COMES_WITH: [(&str, &str); 5] = [
    ("npx", "Node.js (https://nodejs.org)"),
    ("npm", "Node.js (https://nodejs.org)"),
    ("uvx", "uv (https://docs.astral.sh/uv)"),
    ("uv", "uv (https://docs.astral.sh/uv)"),
    ("bunx", "Bun (https://bun.sh)"),
];
/// Directory entries that are looked at for a name that was misspelt.
const ENTRIES: usize = 20_000;

/// What is wrong with a program that `PATH` (here `path`) and the working directory do not have.
pub(super) fn for_missing(target: &CommandTarget, directory: &Path, path: Option<&OsStr>) -> SpawnError {
    let program = target.program.to_string_lossy().into_owned();
    let file = directory.join(&target.program);
    if file.is_dir() && !program.is_empty() {
        return SpawnError::NotExecutable {
            program,
            hint: "it is a directory; give the program in it".to_owned(),
        };
    }
    if file.is_file() {
        let hint = for_file(&program, &file, target.program == file.file_name().unwrap_or_default());
        return SpawnError::NotExecutable { program, hint };
    }
    let hint = for_name(target, &program, directory, path);
    SpawnError::NotFound { program, hint }
}

/// What to do about a refusal (an error number of Unix) to execute a program that is there and marked as executable.
pub(super) fn for_refusal(program: &Path, code: i32) -> Option<String> {
    const ENOENT: i32 = 2;
    const E2BIG: i32 = 7;
    const ENOEXEC: i32 = 8;
    const EACCES: i32 = 13;
    match code {
        ENOENT => match interpreter(program) {
            Some(line) if line.ends_with('\r') => {
                Some("its lines end with CR LF, as on Windows, so that the interpreter in its first line is not found; save it with LF".to_owned())
            }
            Some(line) => Some(format!("its first line names an interpreter that is not there: {line:?}")),
            None => Some("the loader or library that it was built for is not on this system".to_owned()),
        },
        ENOEXEC => Some(match script_interpreter(program) {
            Some(interpreter) => format!("it has no #! line, so put its interpreter in front: {interpreter} {}", program.display()),
            None => "it is neither a program for this system nor a script with a #! line".to_owned(),
        }),
        EACCES => Some("is it on a file system mounted with noexec, or is its interpreter not executable?".to_owned()),
        E2BIG => Some("its arguments and environment are too long for this system".to_owned()),
        _ => None,
    }
}

/// A file that exists but was not taken for a program. `bare` when it was given without a directory.
fn for_file(program: &str, file: &Path, bare: bool) -> String {
    if let Some(interpreter) = script_interpreter(file) {
        return format!("it is a script, so put its interpreter in front: {interpreter} {program}");
    }
    if bare && which::which(file).is_ok() {
        return format!("it is in the working directory, which is not searched; write ./{program}");
    }
    format!("the file is there, but it is not marked as executable; try chmod +x {program}")
}

fn for_name(target: &CommandTarget, program: &str, directory: &Path, path: Option<&OsStr>) -> String {
    if program.is_empty() {
        return "the command is empty".to_owned();
    }
    if program.contains(' ') && target.arguments.is_empty() {
        return "give the command and its arguments as separate words after --, without quotes around all of them"
            .to_owned();
    }
    if program.starts_with("~/") {
        return "~ is known to shells only; write the full path".to_owned();
    }
    let found = |name: &str| which::which_in(name, path, directory).is_ok();
    if let Some((_, other)) = OTHER_NAMES
        .iter()
        .find(|(name, other)| *name == program && found(other))
    {
        return format!("{other} is there; or give the full path of the interpreter of your virtual environment");
    }
    if target.clean_environment && which::which(program).is_ok() {
        return "it is in your PATH, but a clean environment searches the system's own folders only, as desktop clients do; give the full path"
            .to_owned();
    }
    if let Some((_, product)) = COMES_WITH.iter().find(|(name, _)| *name == program) {
        return format!("it comes with {product}; if that is installed, give the full path");
    }
    if let Some(similar) = similar(program, directory, path) {
        return format!("did you mean {similar}?");
    }
    "is it installed, and is it in PATH? A full path always works".to_owned()
}

/// A program whose name is much like this one, in the same directory or, for a bare name, in `path`.
fn similar(program: &str, directory: &Path, path: Option<&OsStr>) -> Option<String> {
    let given = Path::new(program);
    let name = given.file_name()?.to_str()?;
    let bare = given.parent().is_none_or(|parent| parent.as_os_str().is_empty());
    let folders: Vec<_> = if bare {
        path.map(|path| std::env::split_paths(path).collect())
            .unwrap_or_default()
    } else {
        vec![directory.join(given.parent()?)]
    };
    let entries = folders
        .iter()
        .flat_map(std::fs::read_dir)
        .flatten()
        .flatten()
        .take(ENTRIES);
    let names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let best = nearest(name, names.iter().map(String::as_str))?;
    Some(given.with_file_name(best).display().to_string())
}

/// The interpreter that scripts of this kind need.
fn script_interpreter(file: &Path) -> Option<&'static str> {
    match file.extension()?.to_str()? {
        "py" => Some("python3"),
        "js" | "mjs" | "cjs" => Some("node"),
        "ts" | "mts" => Some("npx tsx"),
        "sh" => Some("sh"),
        "rb" => Some("ruby"),
        "php" => Some("php"),
        "jar" => Some("java -jar"),
        _ => None,
    }
}

/// What stands behind `#!` in the first line, the carriage return included.
fn interpreter(file: &Path) -> Option<String> {
    let mut start = Vec::new();
    std::fs::File::open(file).ok()?.take(200).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    Some(String::from_utf8_lossy(line).trim_start().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::resolve;

    fn problem(program: &str, directory: &Path) -> String {
        let mut target = CommandTarget::new(program, []);
        target.directory = Some(directory.to_path_buf());
        resolve(&target).unwrap_err().to_string()
    }

    #[test]
    fn what_may_have_been_meant_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        std::fs::write(here.join("server.py"), "print()").unwrap();
        std::fs::write(here.join("weather"), "").unwrap();
        assert!(problem("server.py", here).contains("python3 server.py"));
        assert!(problem("./server.py", here).contains("python3 ./server.py"));
        assert!(problem("./weathre", here).contains("did you mean ./weather?"));
        assert!(problem("python server.py", here).contains("separate words"));
        assert!(problem("~/server", here).contains("full path"));
        assert!(problem("no-such-program-anywhere", here).contains("is it installed"));
        assert!(problem("", here).contains("empty"));
        #[cfg(unix)]
        {
            assert!(problem("./weather", here).contains("chmod +x"));
            assert!(problem("sudp-sh", Path::new("/")).contains("not found"));
            assert!(problem("/usr", here).contains("directory"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn another_name_is_proposed_only_if_it_is_there() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mut target = CommandTarget::new("python", []);
        target
            .environment
            .push(("PATH".to_owned(), folder.path().display().to_string()));
        assert!(
            !resolve(&target)
                .unwrap_err()
                .to_string()
                .contains("virtual environment")
        );
        let other = folder.path().join("python3");
        std::fs::write(&other, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(resolve(&target).unwrap_err().to_string().contains("python3 is there"));
    }

    #[test]
    fn refusals_are_explained() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("server.py");
        std::fs::write(&script, "#!/no/such/python -u\nprint()").unwrap();
        assert!(for_refusal(&script, 2).unwrap().contains("/no/such/python -u"));
        std::fs::write(&script, "#!/bin/sh\r\necho").unwrap();
        assert!(for_refusal(&script, 2).unwrap().contains("CR LF"));
        assert!(for_refusal(&script, 8).unwrap().contains("python3 "));
    }
}
