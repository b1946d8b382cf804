//! How to reach the server under test: a command, or a URL.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use touchstone_core::trace::TransportKind;

use crate::credentials::{Credentials, Secret, confidences};

/// A server under test.
#[derive(Debug, Clone)]
pub enum Target {
    /// A program that speaks over its standard streams.
    Command(CommandTarget),
    /// A server that listens already.
    Url(UrlTarget),
}

/// A program to start, once for each session that needs a fresh one.
#[derive(Debug, Clone)]
pub struct CommandTarget {
    /// The program: a name looked up in `PATH`, or a path.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables added to its environment. Their values are secrets: they never appear in an output.
    pub environment: Vec<(String, String)>,
    /// Start from an almost empty environment, as desktop clients do, instead of the caller's.
    pub clean_environment: bool,
    /// Its working directory; the caller's when `None`.
    pub directory: Option<PathBuf>,
}

/// A server reached over HTTP.
#[derive(Debug, Clone)]
pub struct UrlTarget {
    /// Where it listens.
    pub url: url::Url,
    /// Header fields added to every request. Their values are secrets: they never appear in an output.
    pub headers: Vec<(String, String)>,
    /// The transport to use; detected when `None`.
    pub transport: Option<TransportKind>,
}

impl Target {
    /// Everything that must not be shown of what the server is given.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        self.credentials().secrets()
    }

    /// The token and all else that the server is given in confidence.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        Credentials {
            valid: match self {
                Self::Url(url) => url.token(),
                Self::Command(_) => None,
            },
            confidences: self.confidences(),
            ..Credentials::default()
        }
    }

    /// What the server is given in confidence, apart from tokens: values of variables and header fields, and a password in the URL.
    #[must_use]
    pub fn confidences(&self) -> Vec<Secret> {
        match self {
            Self::Command(command) => {
                let pairs = command.environment.iter();
                pairs.flat_map(|(name, value)| confidences(name, value)).collect()
            }
            Self::Url(target) => {
                let fields = target.headers.iter();
                let fields = fields.flat_map(|(name, value)| confidences(name, value));
                fields.chain(target.url.password().map(Secret::confidence)).collect()
            }
        }
    }
}

impl UrlTarget {
    /// The bearer token among the header fields.
    #[must_use]
    pub fn token(&self) -> Option<Secret> {
        let mut fields = self.headers.iter();
        let (_, value) = fields.find(|(name, _)| name.eq_ignore_ascii_case("authorization"))?;
        let (scheme, token) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(token.trim()))
    }
}

impl CommandTarget {
    /// A target that runs `program` with `arguments` in the caller's environment and directory.
    #[must_use]
    pub fn new(program: impl Into<OsString>, arguments: impl IntoIterator<Item = OsString>) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().collect(),
            environment: Vec::new(),
            clean_environment: false,
            directory: None,
        }
    }
}

/// The command line or URL as a report may show it: values of variables and headers, and credentials in a URL, are left out.
impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(command) => {
                let words = std::iter::once(&command.program).chain(&command.arguments);
                let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
                match shlex::try_join(words.iter().map(String::as_str)) {
                    Ok(line) => formatter.write_str(&line),
                    Err(_) => formatter.write_str(&words.join(" ")),
                }
            }
            Self::Url(target) => {
                let mut url = target.url.clone();
                if url.password().is_some() || !url.username().is_empty() {
                    // Both calls fail only for URLs that cannot carry credentials, and this one does.
                    let _ = url.set_password(None);
                    let _ = url.set_username("***");
                }
                formatter.write_str(url.as_str())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_would_read_it() {
        let target = Target::Command(CommandTarget::new("python", ["my server.py".into(), "--fast".into()]));
        assert_eq!(target.to_string(), "python 'my server.py' --fast");
    }

    #[test]
    fn credentials_in_a_url_are_hidden() {
        let url = "http://anna:secret@localhost:1/mcp".parse().unwrap();
        let shown = Target::Url(UrlTarget {
            url,
            headers: vec![],
            transport: None,
        })
        .to_string();
        assert_eq!(shown, "http://***@localhost:1/mcp");
    }
}
