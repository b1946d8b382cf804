//! String formats that the specification demands, checked in code: one function for each.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Whether a format is one of those that documents may name.
pub(super) fn is_known(name: &str) -> bool {
    matches!(
        name,
        "uri" | "uri-characters" | "uri-template" | "byte" | "byte-spacing" | "mime-type" | "iso-8601"
    )
}

/// What a text of the format is called in a message.
pub(super) fn noun(name: &str) -> &'static str {
    match name {
        "uri" => "absolute URI (RFC 3986)",
        "uri-characters" => "strict URI (RFC 3986)",
        "uri-template" => "URI template (RFC 6570)",
        "byte" => "base64",
        "byte-spacing" => "base64 in one piece",
        "mime-type" => "MIME type",
        _ => "ISO 8601 timestamp",
    }
}

/// Checks a text against a format.
///
/// # Errors
/// When it does not fit, with the reason.
pub(super) fn check(name: &str, text: &str) -> Result<(), String> {
    match name {
        "uri" => uri(text),
        "uri-characters" => uri_characters(text),
        "uri-template" => uri_template(text),
        "byte" => byte(text),
        "byte-spacing" => byte_spacing(text),
        "mime-type" => mime_type(text),
        "iso-8601" => iso_8601(text),
        _ => Ok(()),
    }
}

/// An absolute URI: a scheme (RFC 3986, 3.1), a colon, and something after it that holds no control character.
fn uri(text: &str) -> Result<(), String> {
    let (scheme, rest) = text.split_once(':').ok_or("it has no scheme")?;
    let first = scheme.chars().next().ok_or("its scheme is empty")?;
    if !first.is_ascii_alphabetic() || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) {
        return Err(format!("{scheme:?} is no scheme"));
    }
    if rest.is_empty() {
        return Err("nothing follows its scheme".to_owned());
    }
    rest.chars()
        .find(|c| c.is_control())
        .map_or(Ok(()), |stranger| Err(format!("it holds {stranger:?}")))
}

/// Only characters that a URI may hold (RFC 3986, 2), and whole percent escapes.
fn uri_characters(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    if let Some(stranger) = text.chars().find(|c| !allowed(*c)) {
        return Err(format!("it holds {stranger:?}"));
    }
    escapes(text)
}

fn escapes(text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('%') {
        let digits = text.as_bytes().get(at + 1..at + 3);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return Err("a percent sign without two hexadecimal digits".to_owned());
        }
    }
    Ok(())
}

/// A URI template (RFC 6570, 2): literals, and expressions in braces.
fn uri_template(text: &str) -> Result<(), String> {
    let mut rest = text;
    while let Some(start) = rest.find(['{', '}']) {
        literal(&rest[..start])?;
        let Some(opened) = rest[start..].strip_prefix('{') else {
            return Err("a closing brace without an opening one".to_owned());
        };
        let (expression, after) = opened.split_once('}').ok_or("an opening brace without a closing one")?;
        let variables = expression
            .strip_prefix(['+', '#', '.', '/', ';', '?', '&'])
            .unwrap_or(expression);
        if !variables.split(',').all(is_variable) {
            return Err(format!("{{{expression}}} is no expression"));
        }
        rest = after;
    }
    literal(rest)
}

/// Text outside of expressions (RFC 6570, 2.1).
fn literal(text: &str) -> Result<(), String> {
    match text.chars().find(|c| c.is_control() || " \"'<>\\^`|".contains(*c)) {
        // The grammar leaves the apostrophe out, the errata put it back in.
        Some(stranger) if stranger != '\'' => Err(format!("it holds {stranger:?}")),
        _ => escapes(text),
    }
}

/// A variable with an optional modifier: `name`, `name*`, `name:3` (RFC 6570, 2.3 and 2.4).
fn is_variable(variable: &str) -> bool {
    let name = match (variable.strip_suffix('*'), variable.split_once(':')) {
        (Some(name), _) => name,
        (None, Some((name, length))) => {
            let digits = (1..=4).contains(&length.len()) && length.bytes().all(|digit| digit.is_ascii_digit());
            if !digits || length.starts_with('0') {
                return false;
            }
            name
        }
        (None, None) => variable,
    };
    let part = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_%".contains(c)) && escapes(part).is_ok()
    };
    name.split('.').all(part)
}

/// Base64 with the standard alphabet and padding (RFC 4648, 4), wherever its lines are broken.
fn byte(text: &str) -> Result<(), String> {
    let decoded = if is_spaced(text) {
        let joined: String = text.split(is_space).collect();
        STANDARD.decode(joined)
    } else {
        STANDARD.decode(text)
    };
    decoded.map(|_| ()).map_err(|error| error.to_string())
}

/// Nothing between the characters of base64 (RFC 4648, 3.1).
fn byte_spacing(text: &str) -> Result<(), String> {
    if is_spaced(text) {
        Err("it holds spaces or line breaks".to_owned())
    } else {
        Ok(())
    }
}

fn is_spaced(text: &str) -> bool {
    text.contains(is_space)
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

/// `type/subtype`, each a token, with optional parameters (RFC 2045, 5.1).
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

/// A date of ISO 8601 (calendar, week or ordinal), or one with a time of day, in the extended or the basic form. Wider than RFC 3339.
fn iso_8601(text: &str) -> Result<(), String> {
    let (date, time) = match text.split_once(['T', 't']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    if !is_date(date) {
        return Err(format!("{date:?} is no date"));
    }
    match time {
        Some(time) if !is_time(time) => Err(format!("{time:?} is no time of day")),
        _ => Ok(()),
    }
}

fn is_date(date: &str) -> bool {
    let compact = date.replace('-', "");
    // Hyphens stand everywhere or nowhere.
    let spelled = |extended: &str| date == extended || date == compact;
    let part = |range: std::ops::Range<usize>| compact.get(range).unwrap_or_default();
    let year = part(0..4);
    if let Some((_, week)) = compact.split_once('W') {
        let (number, day) = (week.get(0..2).unwrap_or_default(), week.get(2..).unwrap_or_default());
        let day_fits = day.is_empty() || (day.len() == 1 && within(day, 1, 7));
        let extended = if day.is_empty() {
            format!("{year}-W{number}")
        } else {
            format!("{year}-W{number}-{day}")
        };
        return compact.find('W') == Some(4)
            && within(year, 0, 9999)
            && within(number, 1, 53)
            && day_fits
            && spelled(&extended);
    }
    match compact.len() {
        8 => {
            let (month, day) = (part(4..6), part(6..8));
            let exists = within(year, 0, 9999) && within(month, 1, 12) && within(day, 1, days(year, month));
            exists && spelled(&format!("{year}-{month}-{day}"))
        }
        7 => within(year, 0, 9999) && within(part(4..7), 1, 366) && spelled(&format!("{year}-{}", part(4..7))),
        _ => false,
    }
}

/// The days of a month.
fn days(year: &str, month: &str) -> u32 {
    let year: u32 = year.parse().unwrap_or_default();
    match month {
        "04" | "06" | "09" | "11" => 30,
        "02" if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        "02" => 28,
        _ => 31,
    }
}

fn is_time(time: &str) -> bool {
    let (clock, zone) = match time.find(['Z', 'z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, ""),
    };
    let zone_fits = match zone.strip_prefix(['+', '-']) {
        Some(offset) => is_clock(offset, false),
        None => matches!(zone, "" | "Z" | "z"),
    };
    zone_fits && is_clock(clock, true)
}

/// Hours, and optional minutes and seconds; with a decimal fraction of the last of them where that is allowed.
fn is_clock(clock: &str, fraction_allowed: bool) -> bool {
    let (whole, fraction) = match clock.split_once(['.', ',']) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (clock, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if fraction.is_some_and(|fraction| !fraction_allowed || !digits(fraction)) {
        return false;
    }
    let parts: Vec<&str> = if whole.contains(':') {
        whole.split(':').collect()
    } else {
        (0..whole.len())
            .step_by(2)
            .map(|at| whole.get(at..at + 2).unwrap_or_default())
            .collect()
    };
    // 24:00 ends a day, and a leap second is the sixty-first.
    let limits = [24, 59, 60];
    (1..=3).contains(&parts.len())
        && parts
            .iter()
            .zip(limits)
            .all(|(part, most)| part.len() == 2 && within(part, 0, most))
}

fn within(digits: &str, least: u32, most: u32) -> bool {
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && digits.parse().is_ok_and(|number: u32| (least..=most).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_format(name: &str, right: &[&str], wrong: &[&str]) {
        for text in right {
            assert_eq!(check(name, text), Ok(()), "{name} {text:?}");
        }
        for text in wrong {
            assert!(check(name, text).is_err(), "{name} {text:?}");
        }
    }

    #[test]
    fn uris_are_absolute() {
        assert_format(
            "uri",
            &[
                "file:///a%20b",
                "config://app/x",
                "urn:x:y",
                "file:///a b",
                "HTTP://[::1]/",
                "file:///ä",
            ],
            &["", "/a", "a b:c", "1a:b", "docs", "http:", ":x", "http://a\nb"],
        );
    }

    #[test]
    fn odd_characters_of_uris_are_told_apart() {
        assert_format(
            "uri-characters",
            &["file:///a%20b", "http://[::1]/?q=(1)#x", "a:%C3%A4"],
            &["file:///a b", "http://x/{id}", "a:\\b", "file:///ä", "a:%2", "a:%zz"],
        );
    }

    #[test]
    fn templates_follow_the_grammar() {
        assert_format(
            "uri-template",
            &[
                "config://app/{key}",
                "a{?x,y*}",
                "plain:x",
                "{+path:30}",
                "a{#x.y}",
                "{%41b}",
                "",
            ],
            &[
                "a{",
                "a}",
                "a{}",
                "{a b}",
                "{a}}",
                "{a:0}",
                "{a:12345}",
                "{+}",
                "{a,}",
                "{a..b}",
                "a b",
                "%4",
                "{{a}}",
            ],
        );
    }

    #[test]
    fn base64_is_strict() {
        assert_format(
            "byte",
            &["", "aGk=", "+/+/", "aG\r\nk=\n", "a Gk="],
            &["aGk", "a_k=", "a b=", "aGk\n", "-_-_", "aGl=", "aGk=\u{a0}"],
        );
        assert_format("byte-spacing", &["", "aGk="], &["aGk=\n", "a Gk=", "\taGk="]);
    }

    #[test]
    fn mime_types_have_two_tokens() {
        assert_format(
            "mime-type",
            &["text/plain", "text/html; charset=utf-8", "application/vnd.a+json"],
            &["", "text", "/x", "x/", "a/b/c", "a b/c"],
        );
    }

    #[test]
    fn timestamps_may_take_every_form_of_the_standard() {
        assert_format(
            "iso-8601",
            &[
                "2025-01-12T15:00:58Z",
                "2025-01-12T15:00:58.123456+02:00",
                "20250112T150058Z",
                "2025-01-12T15:00:58,5",
                "2025-01-12T24:00:00Z",
                "2024-02-29",
                "2025-W03-7T15:00Z",
                "2025W037",
                "2025-012",
                "2025-01-12T15Z",
                "2016-12-31T23:59:60Z",
            ],
            &[
                "",
                "now",
                "1736694058",
                "2025-13-01",
                "2025-02-29",
                "2025-1-2",
                "2025-0112",
                "2025-01-12 15:00:58",
                "2025-01-12T",
                "2025-01-12T25:00Z",
                "2025-01-12T15:61Z",
                "2025-01-12T15:00:58GMT",
                "2025-01-12T15:00:58.Z",
                "Sun, 12 Jan 2025",
                "2025-W54",
                "ä025-01-12",
            ],
        );
    }
}
