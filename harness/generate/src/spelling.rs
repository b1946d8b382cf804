//! The same JSON value, spelled differently: whoever reads JSON cannot tell the difference.

use std::fmt::Write as _;

use serde_json::{Number, Value, json};

/// A way to write a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Spelling {
    /// Members of objects the other way round.
    MemberOrder,
    /// Spaces and tabs between tokens; never a newline, which ends a message on stdio.
    Spaces,
    /// Letters in strings as `\u0061`.
    Escapes,
    /// Letters in the names of members as `\u0061`.
    NameEscapes,
    /// `\/` for a slash, `\ud83d\ude00` for what is no ASCII.
    OtherEscapes,
    /// Whole numbers with a fraction of zero: `1.0`.
    Fraction,
    /// Whole numbers with an exponent of zero: `1e0`.
    Exponent,
}

impl Spelling {
    /// Every spelling.
    pub const ALL: [Self; 7] = [
        Self::MemberOrder,
        Self::Spaces,
        Self::Escapes,
        Self::NameEscapes,
        Self::OtherEscapes,
        Self::Fraction,
        Self::Exponent,
    ];

    /// What is different, in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MemberOrder => "members in another order",
            Self::Spaces => "spaces between tokens",
            Self::Escapes => "letters written as escapes",
            Self::NameEscapes => "names of members written as escapes",
            Self::OtherEscapes => "slashes and foreign letters written as escapes",
            Self::Fraction => "whole numbers written with a fraction of zero",
            Self::Exponent => "whole numbers written with an exponent of zero",
        }
    }
}

/// The value in this spelling, or `None` where that makes no difference.
///
/// ```
/// use serde_json::json;
/// use touchstone_generate::{Spelling, spell};
/// assert_eq!(spell(&json!({"a": 1, "b": "x"}), Spelling::MemberOrder).as_deref(), Some(r#"{"b":"x","a":1}"#));
/// assert_eq!(spell(&json!(1), Spelling::Exponent).as_deref(), Some("1e0"));
/// assert_eq!(spell(&json!("x"), Spelling::Exponent), None);
/// ```
#[must_use]
pub fn spell(value: &Value, spelling: Spelling) -> Option<String> {
    let mut text = String::new();
    write(value, spelling, &mut text);
    let plain = value.to_string();
    (text != plain).then_some(text)
}

fn write(value: &Value, spelling: Spelling, out: &mut String) {
    let space = if spelling == Spelling::Spaces { " \t" } else { "" };
    match value {
        Value::Object(members) => {
            out.push('{');
            let mut members: Vec<_> = members.iter().collect();
            if spelling == Spelling::MemberOrder {
                members.reverse();
            }
            for (index, (name, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(space);
                if spelling == Spelling::NameEscapes {
                    escaped(name, |character| character.is_ascii_alphanumeric(), out);
                } else {
                    out.push_str(&json!(name).to_string());
                }
                out.push_str(space);
                out.push(':');
                out.push_str(space);
                write(member, spelling, out);
            }
            out.push_str(space);
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(space);
                write(item, spelling, out);
            }
            out.push_str(space);
            out.push(']');
        }
        Value::String(text) => match spelling {
            Spelling::Escapes => escaped(text, |character| character.is_ascii_alphanumeric(), out),
            Spelling::OtherEscapes => escaped(text, |character| !character.is_ascii() || character == '/', out),
            _ => out.push_str(&value.to_string()),
        },
        Value::Number(number) => {
            out.push_str(&number.to_string());
            match spelling {
                Spelling::Fraction if is_exact(number) => out.push_str(".0"),
                Spelling::Exponent if is_exact(number) => out.push_str("e0"),
                _ => {}
            }
        }
        other => out.push_str(&other.to_string()),
    }
}

/// Whether a whole number is the same one to a reader that takes every fraction for a double: beyond 2^53 it need not be.
fn is_exact(number: &Number) -> bool {
    const LARGEST: u64 = 1 << 53;
    let size = number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64());
    size.is_some_and(|size| size <= LARGEST)
}

/// A string with those characters as escapes that are wanted.
fn escaped(text: &str, wanted: impl Fn(char) -> bool, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        if character == '/' && wanted('/') {
            out.push_str("\\/");
        } else if wanted(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            let whole = json!(character.to_string()).to_string();
            out.push_str(&whole[1..whole.len() - 1]);
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_reads_as_the_same_value() {
        let value = json!({"text": "a/b \"é😀\"\n", "n": [0, -7, 2.5, {"x": true}], "": null});
        for spelling in Spelling::ALL {
            let text = spell(&value, spelling).unwrap_or_else(|| panic!("{spelling:?} changes nothing"));
            let read: Value = serde_json::from_str(&text).unwrap();
            let numbers = matches!(spelling, Spelling::Fraction | Spelling::Exponent);
            if numbers {
                assert_eq!(read["n"][1].as_f64(), Some(-7.0), "{text}");
            } else {
                assert_eq!(read, value, "{text}");
            }
            assert!(!text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn numbers_that_a_double_does_not_hold_stay_as_they_are() {
        for (number, fraction) in [
            (json!(9_007_199_254_740_992_u64), Some("9007199254740992.0")),
            (json!(-9_007_199_254_740_992_i64), Some("-9007199254740992.0")),
            (json!(9_007_199_254_740_993_u64), None),
            (json!(i64::MIN), None),
            (json!(u64::MAX), None),
            (json!(0.5), None),
        ] {
            assert_eq!(spell(&number, Spelling::Fraction).as_deref(), fraction);
            assert_eq!(spell(&number, Spelling::Exponent).is_some(), fraction.is_some());
        }
    }
}
