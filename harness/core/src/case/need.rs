//! Preconditions of cases and requirements: what must be there before a check makes sense.

use crate::spelling::nearest;
use crate::trace::TransportKind;

/// One precondition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Always holds.
    Nothing,
    /// The connection runs over this transport.
    Transport(TransportKind),
    /// The connection runs over HTTP.
    Http,
    /// The server declared the capability, given as a dotted path.
    Capability(String),
    /// The harness declares the client capability; the case says how.
    Client(String),
    /// Something was found on the server, for example `safe-tool`.
    Found(String),
    /// A tool, prompt or resource of this kind must be offered.
    Fixture(String),
    /// The server did not declare the capability.
    Undeclared(String),
    /// Something else that the catalog names: credentials, sessions, extensions.
    Circumstance(String),
}

/// Capabilities that a need may name by themselves.
const CAPABILITIES: [&str; 6] = ["tools", "resources", "prompts", "logging", "completions", "tasks"];
/// Circumstances that the catalog knows.
const CIRCUMSTANCES: [&str; 18] = [
    "modern-only",
    "dual-era",
    "loopback",
    "spawned",
    "auth",
    "oauth",
    "own-authentication",
    "named-host",
    "session",
    "sse-resumable",
    "token",
    "token:expired",
    "token:low-scope",
    "token:other-audience",
    "token:other-issuer",
    "beyond-low-scope",
    "two-principals",
    "subscriptions",
];

/// What may be found on a server.
const FOUND: [&str; 25] = [
    "annotations",
    "any-list",
    "binary-resource",
    "change-capability",
    "completable",
    "elicitation",
    "embedded-resource",
    "empty-cursor",
    "file-resource",
    "handles",
    "header-param",
    "icons",
    "input-required",
    "legacy-version",
    "listed-prompt",
    "listed-resource",
    "output-schema",
    "pages",
    "prompt-arg",
    "required-arg",
    "required-prompt-arg",
    "resource-link",
    "safe-tool",
    "structured-content",
    "template",
];
/// Client capabilities that the harness can declare.
const CLIENT: [&str; 7] = [
    "any",
    "elicitation",
    "elicitation.url",
    "roots",
    "sampling",
    "sampling.tools",
    "tasks",
];
/// Extensions of which requirements speak.
const EXTENSIONS: [&str; 3] = ["any", "tasks", "ui"];

impl std::str::FromStr for Need {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self::Nothing);
        }
        if text == "http" {
            return Ok(Self::Http);
        }
        if let Ok(transport) = text.parse() {
            return Ok(Self::Transport(transport));
        }
        let root = text.split('.').next().unwrap_or(text);
        if CAPABILITIES.contains(&root) {
            return Ok(Self::Capability(text.to_owned()));
        }
        if CIRCUMSTANCES.contains(&text) {
            return Ok(Self::Circumstance(text.to_owned()));
        }
        match text.split_once(':') {
            Some(("not", capability)) if CAPABILITIES.contains(&capability.split('.').next().unwrap_or_default()) => {
                Ok(Self::Undeclared(capability.to_owned()))
            }
            Some(("client", rest)) if CLIENT.contains(&rest) => Ok(Self::Client(rest.to_owned())),
            Some(("has", rest)) if FOUND.contains(&rest) => Ok(Self::Found(rest.to_owned())),
            // Kinds of fixtures are open: a tester may have set up one of his own.
            Some(("fixture", rest)) if !rest.is_empty() => Ok(Self::Fixture(rest.to_owned())),
            Some(("ext", rest)) if EXTENSIONS.contains(&rest) => Ok(Self::Circumstance(text.to_owned())),
            Some((kind, rest)) => Err(unknown(text, kind, rest)),
            None => Err(format!("unknown precondition {text:?}")),
        }
    }
}

/// The complaint about a word of a known kind.
fn unknown(text: &str, kind: &str, rest: &str) -> String {
    let known: &[&'static str] = match kind {
        "client" => &CLIENT,
        "has" => &FOUND,
        "ext" => &EXTENSIONS,
        _ => &[],
    };
    let hint = nearest(rest, known.iter().copied()).map(|near| format!("; did you mean {kind}:{near}?"));
    format!("unknown precondition {text:?}{}", hint.unwrap_or_default())
}

impl Need {
    /// Why the need cannot be met on this connection whatever the case does, or `None` when it can or this cannot be told yet.
    #[must_use]
    pub fn unmet(&self, transport: TransportKind, capabilities: &serde_json::Value) -> Option<String> {
        match self {
            Self::Transport(needed) if *needed != transport => Some(format!("only over {needed}")),
            Self::Http if !transport.is_http() => Some("only over HTTP".to_owned()),
            Self::Capability(path) => {
                (!declares(capabilities, path)).then(|| format!("capability `{path}` not declared"))
            }
            Self::Undeclared(_) if !capabilities.is_object() && !capabilities.is_null() => {
                Some("what the server declares is no object".to_owned())
            }
            Self::Undeclared(path) => declares(capabilities, path).then(|| format!("capability `{path}` is declared")),
            _ => None,
        }
    }
}

fn declares(capabilities: &serde_json::Value, path: &str) -> bool {
    super::expectation::lookup(capabilities, path).is_some_and(|flag| *flag != serde_json::Value::Bool(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_nobody_knows_are_refused_with_the_nearest() {
        let error = |text: &str| text.parse::<Need>().unwrap_err();
        assert!(error("has:safe-tol").contains("did you mean has:safe-tool?"));
        assert!(error("client:root").contains("did you mean client:roots?"));
        for text in [
            "has:",
            "client:everything",
            "ext:other",
            "fixture:",
            "tols",
            "some:thing",
            "",
        ] {
            assert!(error(text).contains("unknown precondition"), "{text}");
        }
        assert_eq!("has:pages".parse(), Ok(Need::Found("pages".to_owned())));
        assert_eq!("fixture:my-tool".parse(), Ok(Need::Fixture("my-tool".to_owned())));
    }
}
