//! String formats that the specification demands, checked in code.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Whether a format is one of those that documents may name.
pub(super) fn is_known(name: &str) -> bool {
    matches!(name, "uri" | "uri-template" | "byte" | "mime-type")
}

/// Checks a text against a format.
///
/// # Errors
/// When it does not fit, with the reason.
pub(super) fn check(name: &str, text: &str) -> Result<(), String> {
    match name {
        "uri" => uri(text),
        "uri-template" => uri_template(text),
        "byte" => STANDARD.decode(text).map(|_| ()).map_err(|error| error.to_string()),
        "mime-type" => mime_type(text),
        _ => Ok(()),
    }
}

/// An absolute URI (RFC 3986): a scheme, a colon, and only characters that a URI may hold.
fn uri(text: &str) -> Result<(), String> {
    let (scheme, rest) = text.split_once(':').ok_or("it has no scheme")?;
    let mut letters = scheme.chars();
    let first = letters.next().ok_or("its scheme is empty")?;
    if !first.is_ascii_alphabetic() || !letters.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) {
        return Err(format!("{scheme:?} is no scheme"));
    }
    match rest
        .chars()
        .find(|c| c.is_ascii_control() || " <>\"{}|\\^`".contains(*c))
    {
        Some(stranger) => Err(format!("it holds {stranger:?}")),
        None => Ok(()),
    }
}

/// A URI template (RFC 6570): braces are balanced and hold an expression.
fn uri_template(text: &str) -> Result<(), String> {
    let mut rest = text;
    while let Some(start) = rest.find(['{', '}']) {
        if rest[start..].starts_with('}') {
            return Err("a closing brace without an opening one".to_owned());
        }
        let length = rest[start..]
            .find('}')
            .ok_or("an opening brace without a closing one")?;
        let expression = rest[start + 1..start + length].trim_start_matches(['+', '#', '.', '/', ';', '?', '&']);
        let named = |variable: &str| {
            let name = variable.trim_end_matches('*').split(':').next().unwrap_or_default();
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.%".contains(c))
        };
        if !expression.split(',').all(named) {
            return Err(format!("{expression:?} is no expression"));
        }
        rest = &rest[start + length + 1..];
    }
    Ok(())
}

/// `type/subtype` with optional parameters (RFC 2045).
fn mime_type(text: &str) -> Result<(), String> {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let token = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c))
    };
    match essence.split_once('/') {
        Some((kind, subtype)) if token(kind) && token(subtype) => Ok(()),
        _ => Err("it is not of the form type/subtype".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_tell_right_from_wrong() {
        for (name, right, wrong) in [
            (
                "uri",
                &[
                    "file:///a b".replace(' ', "%20"),
                    "config://app/x".into(),
                    "urn:x:y".into(),
                ][..],
                &["/a", "a b:c", "1a:b", "http://a b"][..],
            ),
            (
                "uri-template",
                &["config://app/{key}".into(), "a{?x,y*}".into(), "plain:x".into()],
                &["a{", "a}", "a{}", "{a b}"],
            ),
            ("byte", &["".into(), "aGk=".into()], &["aGk", "a_k=", "a b="]),
            (
                "mime-type",
                &["text/plain".into(), "text/html; charset=utf-8".into()],
                &["text", "/x", "a/b/c"],
            ),
        ] {
            for text in right {
                assert_eq!(check(name, text), Ok(()), "{name} {text}");
            }
            for text in wrong {
                assert!(check(name, text).is_err(), "{name} {text}");
            }
        }
    }
}
