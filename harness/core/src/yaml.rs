//! Reading the YAML that people write: the only module that names the YAML crate.
//!
//! Errors carry file, line and column, and quote the place.

use serde::de::DeserializeOwned;
pub use serde_saphyr::Spanned;

/// A YAML file that cannot be read, rendered with its place: `file:line:column`, what was expected, and a snippet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rendered}")]
pub struct YamlError {
    rendered: String,
}

impl YamlError {
    /// An error of meaning, at the first place in `text` where `needle` stands.
    #[must_use]
    pub fn at(file: &str, text: &str, needle: &str, message: &str) -> Self {
        let (line, column) = position(text, needle).unwrap_or((1, 1));
        Self::at_place(file, text, (line, column), message)
    }

    /// An error of meaning, at a line and column, both from 1.
    #[must_use]
    pub fn at_place(file: &str, text: &str, place: (usize, usize), message: &str) -> Self {
        let (line, column) = (place.0.max(1), place.1.max(1));
        let quoted = text.lines().nth(line - 1).unwrap_or_default();
        let caret = format!("{}^", " ".repeat(column - 1));
        let rendered = format!("{file}:{line}:{column}: {message}\n  |\n{line:>2} | {quoted}\n  | {caret}");
        Self { rendered }
    }
}

/// Line and column, both from 1, of a value.
#[must_use]
pub fn place<T>(value: &Spanned<T>) -> (usize, usize) {
    let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    (place(value.referenced.line()), place(value.referenced.column()))
}

/// Line and column, both from 1, of the first occurrence of `needle` as a whole word.
#[must_use]
pub fn position(text: &str, needle: &str) -> Option<(usize, usize)> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/');
    let offset = text.match_indices(needle).map(|(offset, _)| offset).find(|&offset| {
        let before = text[..offset].chars().next_back();
        let after = text[offset + needle.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })?;
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Some((
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    ))
}

/// Reads one YAML document. Booleans are `true` and `false` only; numbers with underscores or leading zeros stay strings.
///
/// # Errors
/// When the text is not YAML or not of the expected shape; the error shows the place.
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, YamlError> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let options = serde_saphyr::render_options! { source_name: Some(file) };
        let rendered = error.render_with_options(options);
        // Whoever shows it says that it is an error.
        YamlError {
            rendered: rendered.strip_prefix("error: ").unwrap_or(&rendered).to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only read through its error")]
        title: String,
    }

    #[test]
    fn an_unknown_key_is_shown_where_it_stands() {
        let error = parse::<Sample>("cases/a.yaml", "title: x\ntitel: y\n")
            .unwrap_err()
            .to_string();
        insta::assert_snapshot!(error);
    }

    #[test]
    fn an_error_of_meaning_points_at_whole_words() {
        let text = "- requirement: tools/name-unique\n- requirement: tools/name\n";
        let error = YamlError::at("a.yaml", text, "tools/name", "unknown requirement").to_string();
        insta::assert_snapshot!(error);
    }
}
