//! Making text from a server harmless where it is shown.

/// Text for a terminal or a log: control characters, escape sequences and bidirectional overrides are written out, and a line cannot be
/// taken for a command of a CI log.
#[must_use]
pub fn terminal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => out.push_str("  "),
            _ if is_dangerous(character) => out.extend(character.escape_unicode()),
            other => out.push(other),
        }
    }
    // GitHub and Azure read lines that begin so as commands.
    if out.starts_with("::") || out.starts_with("##[") {
        out.insert(0, '\u{200b}');
    }
    out
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
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
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
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(cut("äöü", 2), "äö... (6 bytes in all)");
        assert_eq!(cut("äöü", 3), "äöü");
    }
}
