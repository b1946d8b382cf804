//! A badge as SVG: what was judged, and how it went. No font, script or address of anybody else's.

use std::fmt::Write as _;

use crate::escape::markup;
use crate::headline::{self, Tone};
use crate::record::RunRecord;

/// The badge of a record.
#[must_use]
pub fn render(record: &RunRecord) -> String {
    let headline = headline::of(record);
    let newest = record.runs.iter().map(|run| run.revision.as_str()).max();
    let label = match newest {
        Some(revision) => format!("MCP {revision}"),
        None => "MCP".to_owned(),
    };
    let counts = headline.counts;
    let (text, colour) = match headline.tone {
        Tone::Good => (format!("{} kept", counts.exercised()), "#1a7f37"),
        Tone::Mixed if counts.warned > 0 => (
            format!("{} kept, {} warned", counts.passed + counts.info, counts.warned),
            "#9a6700",
        ),
        Tone::Mixed => ("incomplete".to_owned(), "#9a6700"),
        Tone::Bad if counts.failed > 0 => (format!("{} broken", counts.failed), "#cf222e"),
        Tone::Bad => ("not robust".to_owned(), "#cf222e"),
        Tone::Empty => ("not judged".to_owned(), "#57606a"),
    };
    let (left, right) = (width(&label) + 14, width(&text) + 14);
    let all = left + right;
    let mut out = String::new();
    let title = markup(&format!("{label}: {text}"));
    let _ = write!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{all}" height="20" role="img" aria-label="{title}"><title>{title}</title><clipPath id="r"><rect width="{all}" height="20" rx="3"/></clipPath><g clip-path="url(#r)"><rect width="{left}" height="20" fill="#32383f"/><rect x="{left}" width="{right}" height="20" fill="{colour}"/></g><g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11"><text x="{}" y="14" textLength="{}">{}</text><text x="{}" y="14" textLength="{}">{}</text></g></svg>"##,
        left / 2,
        left - 14,
        markup(&label),
        left + right / 2,
        right - 14,
        markup(&text),
    );
    out.push('\n');
    out
}

/// About how wide a text is in Verdana 11; `textLength` makes it exactly that.
fn width(text: &str) -> usize {
    text.chars()
        .map(|character| match character {
            'i' | 'l' | ' ' | ',' | '.' | '-' => 4,
            'M' | 'm' | 'w' | 'W' => 9,
            _ => 7,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn badges_say_how_it_went() {
        insta::assert_snapshot!(render(&testdata::hostile()));
        assert!(render(&testdata::clean()).contains("MCP 2025-06-18: 2 kept"));
        assert!(render(&testdata::not_started()).contains("not judged"));
    }
}
