//! Strings: by format, by pattern, by length.

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::{Map, Value};

use crate::build::{LONGEST, length};
use crate::generator::Unsupported;
use crate::source::Source;

/// A text for a place that says nothing special.
const PLAIN: &str = "touchstone";

/// Texts that are valid under a format.
pub(crate) fn of_format(format: &str) -> Option<&'static str> {
    Some(match format {
        "date" => "2025-01-31",
        "date-time" => "2025-01-31T12:00:00Z",
        "time" => "12:00:00Z",
        "duration" => "P1D",
        "email" | "idn-email" => "user@example.com",
        "hostname" | "idn-hostname" => "example.com",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "uri" | "iri" | "url" => "https://example.com/",
        "uri-reference" | "iri-reference" => "/a/b",
        "uri-template" => "https://example.com/{id}",
        "uuid" => "123e4567-e89b-12d3-a456-426614174000",
        "json-pointer" => "/a/b",
        "relative-json-pointer" => "1/a",
        "regex" => "^a+$",
        "byte" | "base64" => "aGk=",
        _ => return None,
    })
}

pub(crate) fn build(schema: &Map<String, Value>, source: &mut Source<'_, '_>) -> Result<String, Unsupported> {
    let least = length(schema, "minLength", LONGEST)?.unwrap_or(0);
    let most = length(schema, "maxLength", LONGEST)?.unwrap_or(least.max(64));
    if let Some(text) = schema.get("format").and_then(Value::as_str).and_then(of_format) {
        return Ok(text.to_owned());
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        return of_pattern(pattern, least, source);
    }
    let text = if source.is_tape() {
        of_tape(least, most, source)
    } else {
        PLAIN.to_owned()
    };
    Ok(fit(&text, least, most))
}

/// The text cut or lengthened to fit.
pub(crate) fn fit(text: &str, least: u64, most: u64) -> String {
    let (least, most) = (
        usize::try_from(least).unwrap_or(0),
        usize::try_from(most).unwrap_or(usize::MAX),
    );
    let mut fitted: String = text.chars().take(most).collect();
    let mut filler = "abcdefghijklmnopqrstuvwxyz".chars().cycle();
    for _ in fitted.chars().count()..least {
        fitted.extend(filler.next());
    }
    fitted
}

fn of_tape(least: u64, most: u64, source: &mut Source<'_, '_>) -> String {
    const ALPHABET: [char; 16] = [
        'a', 'b', 'z', 'A', '0', '9', ' ', '-', '_', '"', '\\', 'é', '中', '😀', '\n', '\u{2028}',
    ];
    let most = i64::try_from(most.min(least + 24)).unwrap_or(24);
    let count = source.number(i64::try_from(least).unwrap_or(0), most);
    (0..count).map(|_| ALPHABET[source.pick(ALPHABET.len())]).collect()
}

/// A text that matches a pattern: a walk through its syntax tree, anchors left out.
fn of_pattern(pattern: &str, least: u64, source: &mut Source<'_, '_>) -> Result<String, Unsupported> {
    let hir = regex_syntax::ParserBuilder::new()
        .utf8(true)
        .build()
        .parse(pattern)
        .map_err(|_| Unsupported(format!("the pattern {pattern:?} is not understood")))?;
    let mut text = String::new();
    walk(&hir, source, &mut text, 0)?;
    // A longer text may still match when the pattern repeats something.
    let mut extra = 0;
    while (text.chars().count() as u64) < least && extra < least {
        let before = text.len();
        text.clear();
        extra = (extra + 1) * 2;
        walk(&hir, source, &mut text, u32::try_from(extra).unwrap_or(u32::MAX))?;
        if text.len() <= before && extra > 64 {
            break;
        }
    }
    Ok(text)
}

fn walk(hir: &Hir, source: &mut Source<'_, '_>, out: &mut String, extra: u32) -> Result<(), Unsupported> {
    if out.len() as u64 > LONGEST {
        return Err(Unsupported("a pattern demands a very long text".to_owned()));
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Ok(()),
        HirKind::Literal(literal) => {
            out.push_str(&String::from_utf8_lossy(&literal.0));
            Ok(())
        }
        HirKind::Class(class) => {
            out.push(character(class, source)?);
            Ok(())
        }
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX).min(repetition.min.saturating_add(4));
            let times =
                u32::try_from(source.number(i64::from(repetition.min), i64::from(most))).unwrap_or(repetition.min);
            let times = times
                .saturating_add(extra)
                .min(repetition.max.unwrap_or(u32::MAX))
                .max(repetition.min);
            for _ in 0..times {
                walk(&repetition.sub, source, out, 0)?;
            }
            Ok(())
        }
        HirKind::Capture(capture) => walk(&capture.sub, source, out, extra),
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| walk(part, source, out, extra)),
        HirKind::Alternation(parts) => match parts.get(source.pick(parts.len())) {
            Some(part) => walk(part, source, out, extra),
            None => Ok(()),
        },
    }
}

/// A character of a class, a letter or digit where there is one.
fn character(class: &Class, source: &mut Source<'_, '_>) -> Result<char, Unsupported> {
    let Class::Unicode(class) = class else {
        return Err(Unsupported("a pattern matches bytes".to_owned()));
    };
    let ranges = class.ranges();
    if !source.is_tape() {
        let friendly = ('a'..='z')
            .chain('0'..='9')
            .chain('A'..='Z')
            .find(|c| ranges.iter().any(|range| (range.start()..=range.end()).contains(c)));
        if let Some(friendly) = friendly {
            return Ok(friendly);
        }
    }
    let range = ranges
        .get(source.pick(ranges.len()))
        .ok_or_else(|| Unsupported("a pattern allows no character".to_owned()))?;
    let (least, most) = (i64::from(u32::from(range.start())), i64::from(u32::from(range.end())));
    let code = source.number(least, most.min(least + 64));
    Ok(u32::try_from(code)
        .ok()
        .and_then(char::from_u32)
        .unwrap_or(range.start()))
}
