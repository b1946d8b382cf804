//! `touchstone list requirements`: each rule with what judges it, in which revisions and over which transports, and what nothing judges with the
//! reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::bail;
use serde_json::{Value, json};
use touchstone_core::coverage::{Coverage, Judge, JudgeKind};
use touchstone_core::revision::Revision;
use touchstone_core::spec::requirement::{Requirement, Severity, Tier};
use touchstone_core::spelling::nearest;
use touchstone_core::trace::TransportKind;
use touchstone_libtest::Bundle;

use crate::args::{ListArguments, TierName};

/// Lines of the text are no longer than this, as far as names allow.
const COLUMNS: usize = 100;

/// A requirement that is listed, with what is worked out about it.
pub(super) struct Row<'a> {
    requirement: &'a Requirement,
    /// The revisions that were asked for and have the rule, oldest first.
    revisions: Vec<Revision>,
    judges: Vec<&'a Judge>,
    stimuli: &'a [String],
    /// Those of `revisions` in which nothing judges it.
    uncovered: Vec<Revision>,
}

impl Row<'_> {
    fn is_judged(&self) -> bool {
        !self.judges.is_empty()
    }

    fn newest(&self) -> Option<Revision> {
        self.revisions.last().copied()
    }
}

/// The requirements that the arguments select, by id.
///
/// # Errors
/// When there is no such area.
pub(super) fn rows<'a>(
    bundle: &'a Bundle,
    coverage: &'a Coverage,
    arguments: &ListArguments,
) -> anyhow::Result<Vec<Row<'a>>> {
    if let Some(area) = &arguments.area {
        let areas: BTreeSet<&str> = bundle.catalog.iter().map(Requirement::area).collect();
        if !areas.contains(area.as_str()) {
            let hint = nearest(area, areas.iter().copied()).map(|near| format!("; did you mean {near}?"));
            bail!(
                "--area {area}: there is no such area{}",
                hint.unwrap_or_else(|| format!("; there are {}", areas.iter().copied().collect::<Vec<_>>().join(", ")))
            );
        }
    }
    let selected = bundle
        .catalog
        .iter()
        .filter(|requirement| arguments.area.as_deref().is_none_or(|area| requirement.area() == area))
        .filter(|requirement| arguments.tier.is_none_or(|tier| Tier::from(tier) == requirement.tier));
    let mut rows = Vec::new();
    for requirement in selected {
        let revisions = asked(requirement, arguments.revision);
        let uncovered: Vec<Revision> = revisions
            .iter()
            .copied()
            .filter(|revision| !coverage.is_judged(&requirement.id, *revision))
            .collect();
        if revisions.is_empty() || (arguments.uncovered && uncovered.is_empty()) {
            continue;
        }
        let judges = coverage
            .judges(&requirement.id)
            .iter()
            .filter(|judge| judge.revisions.iter().any(|revision| revisions.contains(revision)));
        rows.push(Row {
            judges: judges.collect(),
            stimuli: coverage.stimuli(&requirement.id),
            requirement,
            revisions,
            uncovered,
        });
    }
    Ok(rows)
}

/// The revisions to look at: the one asked for, or all that have the rule.
fn asked(requirement: &Requirement, revision: Option<Revision>) -> Vec<Revision> {
    let all = requirement.levels.keys().map(|key| key.0);
    all.filter(|other| revision.is_none_or(|revision| revision == *other))
        .collect()
}

/// Everything about a requirement.
pub(super) fn entry(row: &Row<'_>) -> Value {
    let requirement = row.requirement;
    let levels: BTreeMap<&str, &str> = requirement
        .levels
        .iter()
        .map(|(revision, level)| (revision.0.as_str(), level.as_str()))
        .collect();
    let links: BTreeMap<&str, Vec<String>> = requirement
        .levels
        .keys()
        .map(|revision| (revision.0.as_str(), requirement.links(revision.0)))
        .collect();
    let grade: BTreeMap<&str, Severity> = requirement
        .grade
        .iter()
        .map(|(revision, severity)| (revision.0.as_str(), *severity))
        .collect();
    let judges: Vec<Value> = row
        .judges
        .iter()
        .map(|judge| {
            json!({
                "kind": judge.kind.as_str(),
                "name": judge.name,
                "revisions": dates(&judge.revisions),
                "transports": judge.transports,
            })
        })
        .collect();
    json!({
        "id": requirement.id,
        "area": requirement.area(),
        "statement": requirement.statement,
        "levels": levels,
        "grade": grade,
        "tier": requirement.tier,
        "kind": requirement.kind,
        "oracle": requirement.oracle,
        "needs": requirement.needs,
        "references": links,
        "test": requirement.test,
        "basis": requirement.basis,
        "ambiguity": requirement.ambiguity,
        "observed": requirement.observed,
        "judged_by": judges,
        "exercised_by": row.stimuli,
        "uncovered": dates(&row.uncovered),
        "unjudged": requirement.unjudged_because(),
    })
}

fn dates(revisions: &[Revision]) -> Vec<&'static str> {
    revisions.iter().map(|revision| revision.as_str()).collect()
}

/// The list as text, by area, with figures at the end.
pub(super) fn text(rows: &[Row<'_>]) -> String {
    let mut text = String::new();
    let mut area = "";
    for row in rows {
        if row.requirement.area() != area {
            let gap = if area.is_empty() { "" } else { "\n" };
            area = row.requirement.area();
            let _ = writeln!(text, "{gap}{area}");
        }
        head(&mut text, row);
        for line in judged_by(row) {
            below(&mut text, &line);
        }
        if !row.uncovered.is_empty() {
            below(&mut text, &why_not(row));
        }
    }
    text.push_str(&figures(rows));
    text
}

/// The rule: its name, level, tier and revisions.
fn head(text: &mut String, row: &Row<'_>) {
    let requirement = row.requirement;
    let slug = requirement.id.split_once('/').map_or("", |(_, slug)| slug);
    let Some(newest) = row.newest() else { return };
    let level = requirement.level(newest);
    let varies = row
        .revisions
        .iter()
        .any(|revision| requirement.level(*revision) != level);
    let level = format!(
        "{}{}",
        level.map_or("", |level| level.as_str()),
        if varies { "*" } else { "" }
    );
    let graded = requirement.severity(newest).filter(|_| {
        requirement
            .grade
            .keys()
            .any(|key| row.revisions.contains(&key.0) && key.0 == newest)
    });
    let grade = match graded {
        Some(Severity::Warn) => ", at most a warning",
        Some(Severity::Info) => ", information only",
        _ => "",
    };
    let line = format!(
        "  {slug:<37} {level:<11} {:?}  {}{grade}",
        requirement.tier,
        range(&row.revisions)
    );
    let _ = writeln!(text, "{}", line.trim_end());
}

/// `2024-11-05 to 2025-11-25` where none in between is missing, else each of them.
fn range(revisions: &[Revision]) -> String {
    match revisions {
        [first, .., last] if revisions.len() > 2 => {
            let between = Revision::ALL
                .into_iter()
                .filter(|revision| (*first..=*last).contains(revision))
                .count();
            if between == revisions.len() {
                return format!("{first} to {last}");
            }
            dates(revisions).join(", ")
        }
        _ => dates(revisions).join(", "),
    }
}

/// Where the rule holds, if that is not everywhere, and one line for each kind of judge.
fn judged_by(row: &Row<'_>) -> Vec<String> {
    let transports = TransportKind::ALL
        .into_iter()
        .filter(|transport| row.requirement.applies_to(*transport));
    let transports: Vec<&str> = transports.map(|transport| transport.as_str()).collect();
    let named = |kind: JudgeKind| -> Vec<String> {
        let judges = row.judges.iter().filter(|judge| judge.kind == kind);
        judges
            .map(|judge| format!("{}{}", judge.name, limits(row, judge)))
            .collect()
    };
    let mut lines = Vec::new();
    if transports.len() < TransportKind::ALL.len() {
        lines.push(format!("only over {}", transports.join(" and ")));
    }
    if let Some(schemas) = row.judges.iter().find(|judge| judge.kind == JudgeKind::Schema) {
        lines.push(format!("message schemas{}", limits(row, schemas)));
    }
    for (kind, one, more) in [
        (JudgeKind::Monitor, "monitor", "monitors"),
        (JudgeKind::Case, "case", "cases"),
    ] {
        let names = named(kind);
        match names.len() {
            0 => {}
            1 => lines.push(format!("{one} {}", names.join(""))),
            _ => lines.push(format!("{more} {}", names.join(", "))),
        }
    }
    if !row.stimuli.is_empty() {
        lines.push(format!("brought about by {}", row.stimuli.join(", ")));
    }
    lines
}

/// Where a judge does not judge although the rule holds there.
fn limits(row: &Row<'_>, judge: &Judge) -> String {
    let mut limits = Vec::new();
    let revisions: Vec<Revision> = row
        .revisions
        .iter()
        .copied()
        .filter(|revision| judge.revisions.contains(revision))
        .collect();
    if revisions.len() < row.revisions.len() {
        limits.push(range(&revisions));
    }
    let applies = TransportKind::ALL
        .into_iter()
        .filter(|transport| row.requirement.applies_to(*transport))
        .count();
    if judge.transports.len() < applies {
        let names: Vec<&str> = judge.transports.iter().map(|transport| transport.as_str()).collect();
        limits.push(format!("over {}", names.join(" and ")));
    }
    if limits.is_empty() {
        String::new()
    } else {
        format!(" ({})", limits.join(", "))
    }
}

fn why_not(row: &Row<'_>) -> String {
    if row.is_judged() {
        return format!("nothing judges it in {}", range(&row.uncovered));
    }
    match row.requirement.unjudged_because() {
        Some(reason) => format!("not judged: {reason}"),
        None => "not judged yet".to_owned(),
    }
}

/// Adds a text below its rule.
fn below(text: &mut String, line: &str) {
    wrap(text, "      ", line);
}

/// Adds a text that is broken at spaces, and goes on two columns further in.
fn wrap(text: &mut String, indent: &str, line: &str) {
    let mut width = 0;
    for word in line.split(' ') {
        let needed = word.chars().count();
        if width == 0 {
            let _ = write!(text, "{indent}{word}");
            width = indent.len() + needed;
        } else if width + 1 + needed > COLUMNS {
            let _ = write!(text, "\n{indent}  {word}");
            width = indent.len() + 2 + needed;
        } else {
            let _ = write!(text, " {word}");
            width += 1 + needed;
        }
    }
    text.push('\n');
}

/// How many there are, and how many of them are judged.
fn figures(rows: &[Row<'_>]) -> String {
    let count = |holds: &dyn Fn(&Row<'_>) -> bool| rows.iter().filter(|row| holds(row)).count();
    let by = |kind: JudgeKind| count(&|row| row.judges.iter().any(|judge| judge.kind == kind));
    let (judged, reasoned) = (
        count(&|row| row.is_judged()),
        count(&|row| !row.is_judged() && row.requirement.unjudged_because().is_some()),
    );
    let mut text = "\n".to_owned();
    let first = format!(
        "{} requirements: {judged} judged ({} by monitors, {} by schemas, {} by cases), {reasoned} not, for a reason, {} not yet",
        rows.len(),
        by(JudgeKind::Monitor),
        by(JudgeKind::Schema),
        by(JudgeKind::Case),
        rows.len() - judged - reasoned,
    );
    wrap(&mut text, "", &first);
    let tiers = [Tier::A, Tier::B, Tier::C, Tier::D].map(|tier| {
        let all = count(&|row| row.requirement.tier == tier);
        let judged = count(&|row| row.requirement.tier == tier && row.is_judged());
        format!("{tier:?} {judged} of {all}")
    });
    let _ = writeln!(text, "judged by tier: {}", tiers.join(", "));
    let revisions: BTreeSet<Revision> = rows.iter().flat_map(|row| row.revisions.iter().copied()).collect();
    let revisions = revisions.into_iter().map(|revision| {
        let all = count(&|row| row.revisions.contains(&revision));
        let judged = count(&|row| row.revisions.contains(&revision) && !row.uncovered.contains(&revision));
        format!("{revision} {judged} of {all}")
    });
    let line = format!("judged by revision: {}", revisions.collect::<Vec<_>>().join(", "));
    wrap(&mut text, "", &line);
    let transports = TransportKind::ALL.map(|transport| {
        let carried = |row: &Row<'_>| row.revisions.iter().any(|revision| transport.is_of(*revision));
        let applies = |row: &Row<'_>| carried(row) && row.requirement.applies_to(transport);
        let judged = |row: &Row<'_>| {
            applies(row)
                && row.judges.iter().any(|judge| {
                    let mut revisions = judge.revisions.iter();
                    judge.transports.contains(&transport)
                        && revisions.any(|revision| row.revisions.contains(revision) && transport.is_of(*revision))
                })
        };
        format!("{transport} {} of {}", count(&judged), count(&applies))
    });
    wrap(
        &mut text,
        "",
        &format!("judged by transport: {}", transports.join(", ")),
    );
    let varying = count(&|row| {
        let level = row.newest().and_then(|newest| row.requirement.level(newest));
        row.revisions
            .iter()
            .any(|revision| row.requirement.level(*revision) != level)
    });
    if varying > 0 {
        text.push_str("* the level of the newest revision; it is another one in older revisions\n");
    }
    text
}

impl From<TierName> for Tier {
    fn from(name: TierName) -> Self {
        match name {
            TierName::A => Self::A,
            TierName::B => Self::B,
            TierName::C => Self::C,
            TierName::D => Self::D,
        }
    }
}
