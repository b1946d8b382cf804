//! The kill matrix: which faults of the reference server a suite was tried on, what had to catch each, and what did. It is the reason to believe the
//! other reports, so it can stand beside them.

use std::fmt::Write as _;

use serde::Serialize;

/// All faults, each over every transport on which it shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct KillMatrix {
    /// One for each fault and transport.
    pub rows: Vec<Row>,
}

/// One fault over one transport.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The id of the fault.
    pub fault: String,
    /// What it does.
    pub summary: String,
    /// The transport.
    pub transport: String,
    /// The only revision in which it shows, if there is one.
    pub revision: Option<String>,
    /// Requirements and oracles of which one must catch it, and no other may. None of them for a variant that is correct.
    pub caught_by: Vec<String>,
    /// What was found, information included.
    pub found: Vec<String>,
    /// How it went.
    pub outcome: Outcome,
}

/// How one trial went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Caught by what must catch it and by nothing else, or, where the variant is correct, nothing that weighs was found.
    AsExpected,
    /// Missed, or blamed for more than it does.
    Otherwise,
    /// Not tried.
    NotTried,
}

impl KillMatrix {
    /// The matrix as a table of text, and below it how many went as expected.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let heads = ("FAULT", "TRANSPORT", "REVISION", "CAUGHT");
        let _ = writeln!(
            text,
            "{:<34} {:<16} {:<11} {:<9} EXPECTED",
            heads.0, heads.1, heads.2, heads.3
        );
        for row in &self.rows {
            let revision = row.revision.as_deref().unwrap_or("any");
            let verdict = match row.outcome {
                Outcome::AsExpected => "yes",
                Outcome::Otherwise => "NO",
                Outcome::NotTried => "-",
            };
            let mut expected = row.caught_by.join(", ");
            if row.caught_by.is_empty() {
                expected = "nothing: it is correct".to_owned();
            } else if !row.found.is_empty() {
                let _ = write!(expected, "; found: {}", row.found.join(", "));
            }
            let _ = writeln!(
                text,
                "{:<34} {:<16} {revision:<11} {verdict:<9} {expected}",
                row.fault, row.transport
            );
        }
        let count = |outcome| self.rows.iter().filter(|row| row.outcome == outcome).count();
        let tried = self.rows.len() - count(Outcome::NotTried);
        let _ = if tried == 0 {
            writeln!(text, "\n{} rows", self.rows.len())
        } else {
            writeln!(
                text,
                "\n{} of {tried} as expected, {} not tried",
                count(Outcome::AsExpected),
                count(Outcome::NotTried)
            )
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fault: &str, caught_by: &[&str], outcome: Outcome) -> Row {
        Row {
            fault: fault.to_owned(),
            summary: format!("What {fault} does"),
            transport: "stdio".to_owned(),
            revision: None,
            caught_by: caught_by.iter().map(ToString::to_string).collect(),
            found: vec![],
            outcome,
        }
    }

    #[test]
    fn what_was_not_tried_counts_for_nothing() {
        let mut matrix = KillMatrix {
            rows: vec![row(
                "banner",
                &["transport-stdio/stdout-only-messages"],
                Outcome::NotTried,
            )],
        };
        assert!(matrix.to_text().ends_with("\n1 rows\n"));
        matrix.rows.push(row("quiet", &[], Outcome::AsExpected));
        matrix.rows.push(row("mute", &["ping/answered"], Outcome::Otherwise));
        let text = matrix.to_text();
        assert!(text.ends_with("\n1 of 2 as expected, 1 not tried\n"), "{text}");
        assert!(text.contains("nothing: it is correct"));
        let missed = text.lines().find(|line| line.starts_with("mute")).unwrap();
        assert!(missed.contains(" NO "), "{missed}");
    }
}
