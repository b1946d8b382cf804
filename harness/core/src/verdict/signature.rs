//! The identity of a finding across runs: what was broken and how, without any value that the server chose.

use super::{Breach, Score};
use crate::spec::requirement::Severity;

/// What the signatures of findings begin with that are known by their cause, instead of a requirement.
pub const BY_CAUSE: &str = "cause";

/// The identity of the finding that a breach of this weight belongs to.
#[must_use]
pub fn signature_of(requirement: &str, severity: Severity, breach: &Breach) -> String {
    // What only illegal input brings about is another finding than what ordinary use does.
    let harmless = if severity == Severity::Info { "i" } else { "" };
    let signature = match &breach.cause {
        Some(cause) => format!("{BY_CAUSE}{}#{:08x}", mark(breach.score), fnv(cause.as_bytes())),
        None => signature(requirement, breach),
    };
    format!("{signature}{harmless}")
}

/// What tells the signatures of the two scores apart.
const fn mark(score: Score) -> &'static str {
    match score {
        Score::Conformance => "",
        Score::Robustness => "!",
    }
}

/// The identity of a mistake: requirement, score and the message with everything variable masked.
fn signature(requirement: &str, breach: &Breach) -> String {
    let mut message = breach.message.clone();
    if let Some(about) = breach.about.as_deref().filter(|about| !about.is_empty()) {
        message = message.replace(about, "_");
    }
    let mut masked = String::with_capacity(message.len());
    // What stands between quotation marks is the server's; a mark of the other kind inside it means nothing.
    let mut quote = None;
    let mut escaped = false;
    for character in message.chars() {
        match (quote, character) {
            (Some('"'), _) if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(open), close) if open == close => quote = None,
            (Some(_), _) => {}
            (None, '"' | '`') => {
                quote = Some(character);
                masked.push('"');
            }
            (None, character) => mask(character, &mut masked),
        }
    }
    format!("{requirement}{}#{:08x}", mark(breach.score), fnv(masked.as_bytes()))
}

/// Adds a character, a run of digits as one sign.
fn mask(character: char, masked: &mut String) {
    if !character.is_ascii_digit() {
        masked.push(character);
    } else if !masked.ends_with('#') {
        masked.push('#');
    }
}

/// FNV-1a, 32 bits: stable across versions and platforms.
fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}
