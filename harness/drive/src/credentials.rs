//! Tokens of the tester: what a run may send as proof of authorization, and must never show.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use touchstone_core::case::Credential;
use touchstone_core::verdict::{Observation, Outcome};

/// Shorter texts are no secrets worth looking for, and would blot out half of a trace.
const SECRET_LENGTH: usize = 6;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for sending it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
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
        tokens
            .filter(|token| token.expose().len() >= SECRET_LENGTH)
            .cloned()
            .collect()
    }
}

impl Credentials {
    /// Takes tokens out of messages: a server may repeat them, and a message may quote the server.
    pub(crate) fn hide_in(&self, observations: &mut [Observation]) {
        for secret in self.secrets() {
            for observation in &mut *observations {
                if let Outcome::Broken(breach) = &mut observation.outcome
                    && breach.message.contains(secret.expose())
                {
                    breach.message = breach.message.replace(secret.expose(), "***");
                }
            }
        }
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
