//! Request ids, as the exact token that stood on the wire.

use std::fmt;

/// An id token: `1`, `1.0`, `"1"` and `"\u0031"` are four different ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdToken(String);

/// What kind of JSON value an id token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// A number without fraction and exponent.
    Integer,
    /// Any other number.
    Fraction,
    /// A string.
    String,
    /// `null`.
    Null,
    /// A boolean, array or object.
    Other,
}

impl IdToken {
    /// The token of an integer.
    #[must_use]
    pub fn integer(value: u64) -> Self {
        Self(value.to_string())
    }

    /// A token as written, or `None` when it is no JSON value.
    ///
    /// ```
    /// use touchstone_core::jsonrpc::IdToken;
    /// assert!(IdToken::from_raw("\"a\"").is_some());
    /// assert!(IdToken::from_raw("a").is_none());
    /// ```
    #[must_use]
    pub fn from_raw(token: &str) -> Option<Self> {
        let token = token.trim();
        super::scan::scan(token.as_bytes(), &super::Limits::default())
            .ok()
            .map(|_| Self(token.to_owned()))
    }

    /// A token cut out of a text that was scanned.
    pub(super) fn scanned(token: &str) -> Self {
        Self(token.to_owned())
    }

    /// The token, exactly as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What kind of value it is.
    #[must_use]
    pub fn kind(&self) -> IdKind {
        match self.0.as_bytes().first() {
            Some(b'"') => IdKind::String,
            Some(b'n') => IdKind::Null,
            Some(b'-' | b'0'..=b'9') if self.0.contains(['.', 'e', 'E']) => IdKind::Fraction,
            Some(b'-' | b'0'..=b'9') => IdKind::Integer,
            _ => IdKind::Other,
        }
    }

    /// Whether two tokens stand for the same value of the same type: escapes in strings do not matter, the notation of numbers does.
    #[must_use]
    pub fn same_value(&self, other: &Self) -> bool {
        self.0 == other.0
            || match (self.kind(), other.kind()) {
                (IdKind::String, IdKind::String) => {
                    let decode = |token: &str| serde_json::from_str::<String>(token).ok();
                    decode(&self.0).is_some_and(|text| decode(&other.0).as_ref() == Some(&text))
                }
                (IdKind::Integer, IdKind::Integer) => is_zero(&self.0) && is_zero(&other.0),
                _ => false,
            }
    }

    /// Whether two tokens differ at most in type or notation, as `1`, `"1"` and `1.0` do: a server that answers with the one for the other has
    /// changed the id on its way.
    ///
    /// ```
    /// use touchstone_core::jsonrpc::IdToken;
    /// let token = |text| IdToken::from_raw(text).unwrap();
    /// assert!(token("1").looks_like(&token("\"1\"")) && !token("1").looks_like(&token("2")));
    /// ```
    #[must_use]
    pub fn looks_like(&self, other: &Self) -> bool {
        fn core(token: &str) -> &str {
            let bare = token.trim_matches('"');
            bare.strip_suffix(".0").unwrap_or(bare)
        }
        let (left, right) = (core(&self.0), core(&other.0));
        left == right && left != "null"
    }
}

fn is_zero(token: &str) -> bool {
    token.trim_start_matches('-') == "0"
}

impl fmt::Display for IdToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> IdToken {
        IdToken::from_raw(text).unwrap()
    }

    #[test]
    fn tokens_are_told_apart_by_type_and_digits() {
        assert!(token("\"a\"").same_value(&token(r#""\u0061""#)));
        for (left, right) in [
            ("1", "\"1\""),
            ("1", "1.0"),
            ("1", "1e0"),
            ("9007199254740993", "9007199254740992"),
            ("0", "null"),
        ] {
            assert!(!token(left).same_value(&token(right)), "{left} {right}");
        }
    }

    #[test]
    fn kinds_follow_the_notation() {
        let kinds = ["1", "-7", "1.0", "1e3", "\"\"", "null", "true", "[]"].map(|text| token(text).kind());
        use IdKind::{Fraction, Integer, Null, Other, String};
        assert_eq!(
            kinds,
            [Integer, Integer, Fraction, Fraction, String, Null, Other, Other]
        );
    }
}
