//! Tokens of the tester: what a run may send as proof of authorization, and must never show.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use touchstone_core::case::Credential;
use touchstone_core::trace::{REPEATED_CONFIDENCE, REPEATED_SECRET};
use touchstone_core::verdict::{Observation, Outcome};

/// Shorter texts are no secrets worth looking for, and would blot out half of a trace.
const SECRET_LENGTH: usize = 6;

/// Stands where a message held a secret.
const HIDDEN: &str = "***";

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    /// What stands in a trace in its place.
    mark: &'static str,
}

impl Secret {
    /// Keeps a text secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            mark: REPEATED_SECRET,
        }
    }

    /// Keeps something secret that is no token: the value of a variable or a header field.
    #[must_use]
    pub fn confidence(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            mark: REPEATED_CONFIDENCE,
        }
    }

    /// The text, for sending it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What stands in a trace in its place.
    #[must_use]
    pub fn mark(&self) -> &'static str {
        self.mark
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// The tokens that were given, by kind.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The token that every request carries.
    pub valid: Option<Secret>,
    /// One that has expired.
    pub expired: Option<Secret>,
    /// One for another resource.
    pub other_audience: Option<Secret>,
    /// One of another issuer.
    pub other_issuer: Option<Secret>,
    /// One that does not allow everything.
    pub low_scope: Option<Secret>,
    /// One of somebody else.
    pub second_principal: Option<Secret>,
    /// A tool that the token of low scope may not call.
    pub beyond_low_scope: Option<String>,
    /// What else the server was given in confidence.
    pub confidences: Vec<Secret>,
}

impl Credentials {
    /// The token for a step.
    ///
    /// # Errors
    /// When none of the kind was given, or none can be made; the text says so.
    pub fn token(&self, kind: Credential) -> Result<String, String> {
        let (given, word) = match kind {
            Credential::Valid | Credential::None | Credential::InQuery | Credential::LowerCase => {
                (&self.valid, "token")
            }
            Credential::Tampered => {
                return self.forged(|parts| format!("{}.{}.{}", parts[0], parts[1], broken(parts[2])));
            }
            Credential::Unsigned => {
                let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
                return self.forged(|parts| format!("{header}.{}.", parts[1]));
            }
            Credential::Expired => (&self.expired, "expired token"),
            Credential::OtherAudience => (&self.other_audience, "token for another audience"),
            Credential::OtherIssuer => (&self.other_issuer, "token of another issuer"),
            Credential::LowScope => (&self.low_scope, "token of low scope"),
            Credential::SecondPrincipal => (&self.second_principal, "token of a second principal"),
        };
        let missing = || format!("no {word} was given; touchstone.toml can name one in [authorization]");
        given
            .as_ref()
            .map(|secret| secret.expose().to_owned())
            .ok_or_else(missing)
    }

    /// Something made from the parts of the valid token.
    fn forged(&self, make: impl FnOnce(&[&str]) -> String) -> Result<String, String> {
        let valid = self.token(Credential::Valid)?;
        let parts: Vec<&str> = valid.split('.').collect();
        let is_json = |part: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
            serde_json::from_slice::<Value>(&bytes).is_ok_and(|value| value.is_object())
        };
        match parts.as_slice() {
            [header, claims, signature] if is_json(header) && is_json(claims) && !signature.is_empty() => {
                Ok(make(&parts))
            }
            _ => Err(
                "the token is no signed JWT, so it cannot be tampered with in a way that is sure to matter".to_owned(),
            ),
        }
    }

    /// Everything that must not be shown.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let tokens = [
            &self.valid,
            &self.expired,
            &self.other_audience,
            &self.other_issuer,
            &self.low_scope,
            &self.second_principal,
        ];
        let tokens = tokens.into_iter().flatten();
        let long = |secret: &&Secret| secret.expose().len() >= SECRET_LENGTH;
        let mut all: Vec<Secret> = tokens.chain(&self.confidences).filter(long).cloned().collect();
        // Inside a message the text stands as JSON writes it.
        let escaped = all.iter().filter_map(|secret| {
            let written = Value::from(secret.expose()).to_string();
            let inner = written[1..written.len() - 1].to_owned();
            (inner != secret.expose()).then_some(Secret {
                text: inner,
                mark: secret.mark,
            })
        });
        let escaped: Vec<Secret> = escaped.collect();
        all.extend(escaped);
        // One may be a part of another.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        all
    }
}

/// Words of a variable's or a field's name that announce a secret.
const SECRET_NAMES: [&str; 14] = [
    "KEY",
    "TOKEN",
    "SECRET",
    "PASS",
    "PWD",
    "AUTH",
    "CRED",
    "COOKIE",
    "SESSION",
    "PRIVATE",
    "SIGNATURE",
    "DSN",
    "BEARER",
    "PIN",
];
/// Shorter values under other names are no secrets worth looking for.
const LONG_VALUE: usize = 12;

/// Whether the value of a variable or a field is to be looked for in what the server says. Everybody's words are not: hiding `string` wherever it
/// stands would make nonsense of every message, and would hide nothing.
fn is_worth_hiding(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let announced = SECRET_NAMES.iter().any(|word| name.contains(word));
    let has = |test: fn(&char) -> bool| value.chars().any(|character| test(&character));
    let mixed = has(char::is_ascii_digit) && has(char::is_ascii_alphabetic);
    let plain_word = value.len() < LONG_VALUE && value.chars().all(|character| character.is_ascii_lowercase());
    let is_place = value.starts_with(['/', '.', '~']) || value.contains("://") || value.contains(":\\");
    if announced {
        value.len() >= SECRET_LENGTH && !plain_word && !is_place
    } else {
        value.len() >= LONG_VALUE && mixed && !is_place && !value.contains(char::is_whitespace)
    }
}

/// What is secret about a variable or a header field.
#[must_use]
pub fn confidences(name: &str, value: &str) -> Vec<Secret> {
    let mut found = Vec::new();
    let value = value.trim();
    if name.eq_ignore_ascii_case("cookie") {
        let values = value.split(';').filter_map(|pair| pair.split_once('='));
        found.extend(
            values
                .map(|(_, value)| value.trim().to_owned())
                .filter(|value| value.len() >= SECRET_LENGTH),
        );
    }
    // A scheme and what proves it; a bearer token is a token, whoever gave it.
    if let Some((scheme, proof)) = value
        .split_once(' ')
        .filter(|_| name.to_ascii_lowercase().contains("authorization"))
    {
        if scheme.eq_ignore_ascii_case("basic") {
            let decoded = base64::engine::general_purpose::STANDARD
                .decode(proof.trim())
                .unwrap_or_default();
            let decoded = String::from_utf8(decoded).unwrap_or_default();
            found.extend(decoded.split_once(':').map(|(_, password)| password.to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            found.push(proof.trim().to_owned());
        }
    } else if is_worth_hiding(name, value) {
        found.push(value.to_owned());
    }
    // A place may name a user with a password.
    if let Some(password) = value
        .parse::<url::Url>()
        .ok()
        .and_then(|url| url.password().map(str::to_owned))
    {
        found.push(password);
    }
    found
        .into_iter()
        .filter(|text| text.len() >= SECRET_LENGTH)
        .map(Secret::confidence)
        .collect()
}

impl Credentials {
    /// Takes tokens out of messages: a server may repeat them, and a message may quote the server.
    pub(crate) fn hide_in(&self, observations: &mut [Observation]) {
        let secrets = self.secrets();
        for observation in &mut *observations {
            if let Outcome::Broken(breach) = &mut observation.outcome {
                hide_each(&secrets, &mut breach.message);
            }
        }
    }

    /// Takes secrets out of a text.
    pub fn hide_in_text(&self, text: &mut String) {
        hide_each(&self.secrets(), text);
    }

    /// Takes secrets out of every text of a value, names of members too.
    pub fn hide_in_value(&self, value: &mut Value) {
        hide_in_value(&self.secrets(), value);
    }
}

fn hide_each(secrets: &[Secret], text: &mut String) {
    for secret in secrets {
        if text.contains(secret.expose()) {
            *text = text.replace(secret.expose(), HIDDEN);
        }
    }
}

fn hide_in_value(secrets: &[Secret], value: &mut Value) {
    match value {
        Value::String(text) => hide_each(secrets, text),
        Value::Array(items) => items.iter_mut().for_each(|item| hide_in_value(secrets, item)),
        Value::Object(members) => {
            for (mut name, mut member) in std::mem::take(members) {
                hide_each(secrets, &mut name);
                hide_in_value(secrets, &mut member);
                members.insert(name, member);
            }
        }
        _ => {}
    }
}

/// The signature with its first character changed: the last one may hold bits that do not count.
fn broken(signature: &str) -> String {
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let rest: String = signature.chars().skip(1).collect();
    format!("{first}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"alg":"HS256"}`, `{"sub":"a"}` and something for a signature.
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.xyz";

    fn given(token: &str) -> Credentials {
        Credentials {
            valid: Some(Secret::new(token)),
            ..Credentials::default()
        }
    }

    #[test]
    fn forged_tokens_differ_where_they_should() {
        let credentials = given(TOKEN);
        assert_eq!(
            credentials.token(Credential::Tampered).unwrap(),
            TOKEN.replace("xyz", "Ayz")
        );
        let unsigned = credentials.token(Credential::Unsigned).unwrap();
        assert!(unsigned.ends_with(".eyJzdWIiOiJhIn0.") && !unsigned.starts_with("eyJhbGciOiJIUzI1NiJ9"));
        assert!(
            given("opaque")
                .token(Credential::Tampered)
                .unwrap_err()
                .contains("no signed JWT")
        );
    }

    #[test]
    fn values_of_variables_are_hidden_unless_everybody_knows_them() {
        let hidden = |name: &str, value: &str| -> Vec<String> {
            confidences(name, value)
                .iter()
                .map(|secret| secret.expose().to_owned())
                .collect()
        };
        assert_eq!(hidden("API_KEY", "hunter22"), ["hunter22"]);
        assert_eq!(hidden("PLAIN", "a1b2c3d4e5f6"), ["a1b2c3d4e5f6"]);
        assert_eq!(hidden("TOKEN_TYPE", "string"), [""; 0]);
        assert_eq!(hidden("MODE", "production"), [""; 0]);
        assert_eq!(hidden("HOME", "/home/user1234567"), [""; 0]);
        assert_eq!(hidden("DATABASE", "postgres://user:wonder1and@db/x"), ["wonder1and"]);
        assert_eq!(
            hidden("Authorization", "Basic dXNlcjp3b25kZXIxYW5k"),
            ["wonder1and", "dXNlcjp3b25kZXIxYW5k"]
        );
        assert_eq!(hidden("Cookie", "a=abcdef; b=x"), ["abcdef", "a=abcdef; b=x"]);
    }

    #[test]
    fn secrets_leave_texts_however_json_writes_them() {
        let credentials = Credentials {
            confidences: vec![
                Secret::confidence("quo\"ted-1"),
                Secret::confidence("quo\"ted-1-and-more"),
            ],
            ..Credentials::default()
        };
        let mut value = serde_json::json!({ "quo\"ted-1": ["x quo\"ted-1-and-more y"], "as JSON": "quo\\\"ted-1" });
        credentials.hide_in_value(&mut value);
        assert_eq!(value, serde_json::json!({ "***": ["x *** y"], "as JSON": "***" }));
    }

    #[test]
    fn what_was_not_given_is_named_and_nothing_is_shown() {
        let credentials = given("very-secret");
        assert!(
            credentials
                .token(Credential::Expired)
                .unwrap_err()
                .contains("no expired token")
        );
        assert!(!format!("{credentials:?}").contains("very-secret"));
    }
}
