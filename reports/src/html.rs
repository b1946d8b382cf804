//! The HTML report: one file that works from disk, asks nobody for anything, and in which nothing that a server said can do anything.
//!
//! ```text
//! records ──► JSON, inert ──┐
//! html/report.css ──────────┼──► one page; the script builds what is seen, with textContent only
//! html/*.js ────────────────┘
//! ```
//!
//! Three walls stand between a hostile string and the reader: the data is JSON in which no `<` remains, so it cannot end its element; the script
//! makes text nodes of it and never markup; and the page's policy allows exactly this style and this script, by their hashes, and no request.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::advice;
use crate::compare::{self, Comparison};
use crate::escape::{cut, markup, terminal};
use crate::headline::{self, Headline};
use crate::kill_matrix::KillMatrix;
use crate::record::{RunRecord, limit_traces};

const STYLE: &str = include_str!("html/report.css");
/// One program in parts, in this order.
const SCRIPT: &str = concat!(
    include_str!("html/base.js"),
    include_str!("html/summary.js"),
    include_str!("html/lists.js"),
    include_str!("html/sequence.js"),
    include_str!("html/compare.js"),
    include_str!("html/proof.js"),
    include_str!("html/main.js"),
);
/// Bytes of traces that a page carries, over all records.
const TRACES: usize = 10 * 1024 * 1024;

/// The report of one record, or of several side by side; each may have a label. Runs of one server come in order of time. With the kill matrix the
/// report also shows why it can be believed.
#[must_use]
pub fn render(records: Vec<(Option<String>, RunRecord)>, proof: Option<&KillMatrix>) -> String {
    let mut records = records;
    let comparison = (records.len() > 1).then(|| compare::compare(&mut records));
    let mut records: Vec<RunRecord> = records.into_iter().map(|(_, record)| record).collect();
    limit_traces(&mut records, TRACES);
    let headlines: Vec<Headline> = records.iter().map(headline::of).collect();
    let title = title(&records, &headlines);
    let data = data(&records, &headlines, comparison.as_ref(), proof);
    let mut page = String::with_capacity(data.len() + STYLE.len() + SCRIPT.len() + 4096);
    let _ = write!(
        page,
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src '{}'; script-src '{}'; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{}</title>
<style>{STYLE}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<header id="bar"></header>
<main id="main" tabindex="-1">
<noscript>
"##,
        hash(STYLE),
        hash(SCRIPT),
        markup(&title),
    );
    without_script(&mut page, &records, &headlines);
    let _ = write!(
        page,
        "</noscript>\n</main>\n<script type=\"application/json\" id=\"data\">{data}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    );
    page
}

/// The hash by which the policy knows a piece of the page.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

fn title(records: &[RunRecord], headlines: &[Headline]) -> String {
    match (records, headlines) {
        ([record], [headline]) => {
            format!(
                "{}: {} · Touchstone",
                terminal(&cut(&headline::server(record), 60)),
                headline.word
            )
        }
        _ => format!("{} runs compared · Touchstone", records.len()),
    }
}

/// The data as JSON that no HTML parser can take for markup.
fn data(
    records: &[RunRecord],
    headlines: &[Headline],
    comparison: Option<&Comparison>,
    proof: Option<&KillMatrix>,
) -> String {
    let gaps: Vec<Value> = records.iter().map(|record| json!(advice::gaps(record))).collect();
    // A number of 64 bits has more digits than the browser's.
    let seed = |record: &RunRecord| record.campaign.as_ref().map(|campaign| campaign.seed.to_string());
    let seeds: Vec<Option<String>> = records.iter().map(seed).collect();
    let value = json!({
        "records": records,
        "seeds": seeds,
        "headlines": headlines,
        "gaps": gaps,
        "comparison": comparison,
        "proof": proof,
    });
    inert(&value.to_string())
}

fn inert(json: &str) -> String {
    // In JSON these stand in strings only, where an escape means the same.
    let mut out = String::with_capacity(json.len() + json.len() / 50);
    for character in json.chars() {
        match character {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            other => out.push(other),
        }
    }
    out
}

/// What somebody sees whose browser runs no scripts: the verdict and the findings.
fn without_script(page: &mut String, records: &[RunRecord], headlines: &[Headline]) {
    page.push_str("<p>This report needs its own script for filters, cases and traces. What was found:</p>\n");
    for (record, headline) in records.iter().zip(headlines) {
        let _ = writeln!(
            page,
            "<h1>{}: {}</h1>\n<p>{}</p>\n<ul>",
            markup(&headline::server(record)),
            headline.word,
            markup(&headline.sentence)
        );
        for finding in record.findings.iter().filter(|finding| finding.severity != "info") {
            let _ = writeln!(
                page,
                "<li><b>{} {}</b>: {}</li>",
                markup(&finding.level),
                markup(&finding.requirement),
                markup(&cut(&finding.message, 400))
            );
        }
        page.push_str("</ul>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn what_a_server_says_cannot_become_markup() {
        let page = render(
            vec![
                (Some(testdata::HOSTILE.to_owned()), testdata::hostile()),
                (None, testdata::clean()),
            ],
            None,
        );
        assert_eq!(
            page.matches("<script").count(),
            2,
            "the data and the program, and nothing else"
        );
        assert_eq!(page.matches("</script").count(), 2);
        assert!(!page.contains("<img"));
        let (_, rest) = page.split_once("id=\"data\">").unwrap();
        let (data, _) = rest.split_once("</script>").unwrap();
        assert!(!data.contains(['<', '>', '&', '\u{2028}']));
        let read: Value = serde_json::from_str(data).unwrap();
        assert_eq!(read["records"].as_array().unwrap().len(), 2);
        assert!(read.to_string().contains("alert(1)"), "the text itself is kept");
    }

    #[test]
    fn the_policy_names_exactly_this_style_and_script() {
        let page = render(vec![(None, testdata::clean())], None);
        for piece in [STYLE, SCRIPT] {
            assert!(page.contains(&hash(piece)));
            // Inside its element a piece must not be able to end it.
            assert!(!piece.contains("</s") && !piece.contains("<!--") && !piece.contains("<script"));
        }
        assert!(page.contains("default-src 'none'") && !page.contains("unsafe-inline"));
        assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("insertAdjacentHTML") && !SCRIPT.contains("eval("));
        for network in ["http://", "fetch(", "XMLHttpRequest", "url(", "@import"] {
            assert!(!STYLE.contains(network) && !SCRIPT.contains(network), "{network}");
        }
    }

    #[test]
    fn a_run_that_could_not_start_has_a_page_too() {
        let page = render(vec![(None, testdata::not_started())], None);
        assert!(page.contains("Could not run") && page.contains("DATABASE_URL"));
    }
}
