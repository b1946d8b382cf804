//! The words that name a target on the command line, for commands that run something again. Secrets are left out.

use touchstone_drive::execute::{CallPolicy, EngineOptions};
use touchstone_drive::target::Target;

/// Options and target, as a shell would read them.
pub(crate) fn of(target: &Target, options: &EngineOptions) -> String {
    let mut words: Vec<String> = Vec::new();
    match options.call {
        CallPolicy::ReadOnly => {}
        CallPolicy::All => words.push("--call all".to_owned()),
        CallPolicy::None => words.push("--call none".to_owned()),
    }
    words.extend(
        options
            .allowed_tools
            .iter()
            .map(|tool| format!("--allow-tool {}", quoted(tool))),
    );
    match target {
        Target::Url(url) => {
            for (name, _) in &url.headers {
                words.push(format!("--header {}", quoted(&format!("{name}: ..."))));
            }
            if let Some(transport) = url.transport {
                words.push(format!("--transport {transport}"));
            }
            words.push(format!("--url {}", quoted(&target.to_string())));
        }
        Target::Command(command) => {
            for (name, _) in &command.environment {
                words.push(format!("--env {}", quoted(&format!("{name}=..."))));
            }
            if command.clean_environment {
                words.push("--clean-env".to_owned());
            }
            if let Some(directory) = &command.directory {
                words.push(format!("--cwd {}", quoted(&directory.display().to_string())));
            }
            let bundled = std::env::current_exe().is_ok_and(|this| command.program == this)
                && command.arguments.iter().eq(["serve"].iter());
            if !bundled {
                words.push(format!("-- {target}"));
            }
        }
    }
    words.join(" ")
}

/// How recorded traces are named.
pub(crate) fn of_recordings(files: &[std::path::PathBuf]) -> String {
    let words: Vec<String> = files
        .iter()
        .map(|file| format!("--trace {}", quoted(&file.display().to_string())))
        .collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
}
