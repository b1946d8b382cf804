//! Making text from a server harmless where it is shown.

/// Text for a terminal or a log: control characters, escape sequences and bidirectional overrides are written out, and a line cannot be
/// taken for a command of a CI log.
#[must_use]
pub fn terminal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        // GitHub and Azure read `::` at the start of a line, which may come of wrapping, and `##[` and `##vso[` anywhere as commands.
        let before = out.as_bytes();
        let finishes_command = match character {
            ':' => matches!(before, [b':'] | [.., b' ', b':']),
            '[' | 'v' | 'V' => before.ends_with(b"##"),
            _ => false,
        };
        if finishes_command {
            out.push(BREAK);
        }
        match character {
            '\t' => out.push_str("  "),
            _ if is_dangerous(character) => out.extend(character.escape_unicode()),
            other => out.push(other),
        }
    }
    out
}

/// Has no width, and keeps characters apart that would be a command together.
const BREAK: char = '\u{200b}';

/// Text for HTML and XML, in elements and in attributes.
#[must_use]
pub fn markup(text: &str) -> String {
    terminal(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The first `longest` characters of a text, marked when there are more.
#[must_use]
pub fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}... ({} bytes in all)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

/// Characters that change how a terminal shows what follows.
fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_overrides_are_written_out() {
        assert_eq!(
            terminal("a\x1b[31mb\u{202e}c\r\n"),
            "a\\u{1b}[31mb\\u{202e}c\\u{d}\\u{a}"
        );
        assert_eq!(terminal("naïve 日本 😀"), "naïve 日本 😀");
    }

    #[test]
    fn ci_commands_are_defused() {
        assert!(!terminal("::set-output name=x::y").starts_with("::"));
        assert!(!terminal("##[error]x").starts_with("##["));
        assert!(!terminal("x ##[error] ##vso[task.complete]").contains("##["));
        assert!(!terminal("##vso[task.complete]").contains("##vso["));
        // A wrapped line may begin there.
        assert!(!terminal("text ::error::x").contains(" ::"));
        assert_eq!(terminal("std::fmt::Debug a: b"), "std::fmt::Debug a: b");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(cut("äöü", 2), "äö... (6 bytes in all)");
        assert_eq!(cut("äöü", 3), "äöü");
    }
}
