//! Snapshots of how a server behaves, as insta writes them: one file for each case, revision and transport, so that `cargo insta review` shows what
//! has changed.
//!
//! `INSTA_UPDATE` says what happens when the behaviour is another one than the file says, as for insta's own assertions.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use touchstone_core::trace::snapshot::{self, Counted};
use touchstone_core::verdict::{CaseResult, RevisionRun, Verdict};

/// What happens to what does not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Update {
    /// It is written beside the file, as `.snap.new`, to be reviewed.
    New,
    /// It takes the file's place.
    Always,
    /// It takes the place of a file that is missing; where there is one, it is written beside it.
    Unseen,
    /// Nothing is written.
    No,
}

/// A folder of snapshots.
#[derive(Debug, Clone)]
pub struct Snapshots {
    folder: PathBuf,
    redact: Vec<String>,
    update: Update,
}

/// What became of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// The behaviour is the one of the file.
    Same,
    /// There was no file, and the behaviour has become it.
    Written,
    /// The behaviour is another one, and has taken the file's place.
    Updated,
    /// There is no file.
    Missing,
    /// The behaviour is another one; the lines that differ.
    Different(String),
}

/// What became of all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Review {
    /// How many are the same.
    pub same: usize,
    /// How many were written or updated.
    pub written: usize,
    /// Those that have no file yet.
    pub missing: Vec<String>,
    /// Those that differ, with the lines.
    pub different: Vec<(String, String)>,
    /// Files that no case of the run belongs to any more.
    pub unreferenced: Vec<String>,
}

impl Review {
    /// Whether somebody has to look at something.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.missing.is_empty() || !self.different.is_empty()
    }
}

impl Snapshots {
    /// Snapshots in a folder. `redact` names members of messages that are left out; `environment` gives the variables of the process.
    ///
    /// # Errors
    /// When `INSTA_UPDATE` has a value that nobody knows.
    pub fn new(
        folder: PathBuf,
        redact: Vec<String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let in_ci = || {
            let ci = environment("CI").is_some_and(|value| !value.is_empty() && value != "false" && value != "0");
            ci || environment("TF_BUILD").is_some()
        };
        let update = match environment("INSTA_UPDATE").as_deref() {
            None | Some("" | "auto") if in_ci() => Update::No,
            None | Some("" | "auto" | "new") => Update::New,
            Some("always" | "force" | "1") => Update::Always,
            Some("unseen") => Update::Unseen,
            Some("no") => Update::No,
            Some(other) => {
                return Err(format!(
                    "INSTA_UPDATE={other} is not one of auto, always, new, unseen, no and force"
                ));
            }
        };
        Ok(Self { folder, redact, update })
    }

    /// Compares the behaviour during every case that ran.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn review(&self, runs: &[RevisionRun], complete: bool) -> std::io::Result<Review> {
        let mut review = Review::default();
        let mut names = BTreeSet::new();
        for run in runs {
            let counted = Counted::of(&run.traces);
            for case in &run.cases {
                let name = file_name(run, case);
                names.insert(name.clone());
                match self.compare(run, case, &counted)? {
                    None => {}
                    Some(Compared::Same) => review.same += 1,
                    Some(Compared::Written | Compared::Updated) => review.written += 1,
                    Some(Compared::Missing) => review.missing.push(name),
                    Some(Compared::Different(lines)) => review.different.push((name, lines)),
                }
            }
        }
        if complete {
            let judged: BTreeSet<String> = runs.iter().map(suffix).collect();
            review.unreferenced = self.unreferenced(&names, &judged)?;
        }
        Ok(review)
    }

    /// Compares the behaviour during one case; `None` when it did not run. `counted` is what the traces of the run have shown.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn compare(
        &self,
        run: &RevisionRun,
        case: &CaseResult,
        counted: &Counted,
    ) -> std::io::Result<Option<Compared>> {
        let stretches = snapshot::stretches_of(&case.id, &run.traces);
        if stretches.is_empty() || case.verdict == Verdict::NotApplicable {
            return Ok(None);
        }
        let text = snapshot::render(&stretches, &self.redact, counted);
        let path = self.folder.join(file_name(run, case));
        let pending = path.with_extension("snap.new");
        let found = match std::fs::read_to_string(&path) {
            Ok(file) => Some(contents(&file).to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if found.as_deref().map(str::trim_end) == Some(text.trim_end()) {
            // What was written beside it in an earlier run is settled.
            let _ = std::fs::remove_file(&pending);
            return Ok(Some(Compared::Same));
        }
        let accept = self.update == Update::Always || (self.update == Update::Unseen && found.is_none());
        if self.update != Update::No {
            std::fs::create_dir_all(&self.folder)?;
            let to = if accept { &path } else { &pending };
            std::fs::write(to, file(case, &text))?;
            if accept {
                let _ = std::fs::remove_file(&pending);
            }
        }
        Ok(Some(match (found, accept) {
            (None, true) => Compared::Written,
            (Some(_), true) => Compared::Updated,
            (None, false) => Compared::Missing,
            (Some(found), false) => Compared::Different(difference(&found, &text)),
        }))
    }

    /// Files of the judged revisions and transports that no case belongs to.
    fn unreferenced(&self, names: &BTreeSet<String>, judged: &BTreeSet<String>) -> std::io::Result<Vec<String>> {
        let mut found = Vec::new();
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let ours = judged.iter().any(|suffix| name.ends_with(suffix.as_str()));
            if ours && !names.contains(&name) {
                found.push(name);
            }
        }
        found.sort();
        Ok(found)
    }
}

/// The end of the names of a run's files.
fn suffix(run: &RevisionRun) -> String {
    format!("@{}-{}.snap", run.revision, run.transport)
}

/// Names of cases come partly from files of the user, and must not become paths.
fn file_name(run: &RevisionRun, case: &CaseResult) -> String {
    let name = case.id.replace('/', "__");
    let plain = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    let name: String = name
        .chars()
        .map(|character| if plain(character) { character } else { '_' })
        .collect();
    format!("{name}{}", suffix(run))
}

/// A file as insta writes it.
fn file(case: &CaseResult, text: &str) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        "---\nsource: touchstone\ndescription: {}\nexpression: {}\n---\n{}\n",
        quoted(&case.title),
        quoted(&case.id),
        text.trim_end()
    )
}

/// What stands below the head of a file.
fn contents(file: &str) -> &str {
    let body = file
        .strip_prefix("---\n")
        .and_then(|rest| rest.split_once("\n---\n"))
        .map(|(_, body)| body);
    body.unwrap_or(file)
}

/// The first lines that differ, `-` as it was, `+` as it is.
fn difference(old: &str, new: &str) -> String {
    const MOST: usize = 8;
    let (old, new): (Vec<&str>, Vec<&str>) = (old.trim_end().lines().collect(), new.trim_end().lines().collect());
    let same_start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let room = old.len().min(new.len()) - same_start;
    let same_end = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take(room)
        .take_while(|(a, b)| a == b)
        .count();
    let mut text = String::new();
    for (sign, lines) in [("-", &old), ("+", &new)] {
        let changed = &lines[same_start..lines.len() - same_end];
        for line in changed.iter().take(MOST) {
            let _ = writeln!(text, "{sign} {line}");
        }
        if changed.len() > MOST {
            let _ = writeln!(text, "{sign} ... {} more lines", changed.len() - MOST);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use touchstone_core::revision::Revision;
    use touchstone_core::trace::{EventKind, Intent, Trace, TransportKind};
    use touchstone_core::verdict::ToolCoverage;

    fn run(method: &str) -> RevisionRun {
        let mut trace = Trace::new("t", TransportKind::Stdio);
        let case = || "tools/a".to_owned();
        trace.push(
            0,
            EventKind::CaseStarted {
                case: case(),
                illegal: false,
            },
        );
        let payload = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
        trace.push(
            0,
            EventKind::Sent {
                payload: payload.as_str().into(),
                exchange: None,
                intent: Intent::Proper,
            },
        );
        trace.push(0, EventKind::CaseEnded { case: case() });
        RevisionRun {
            revision: Revision::V2025_06_18,
            transport: TransportKind::Stdio,
            server: serde_json::Value::Null,
            requirements: vec![],
            cases: vec![CaseResult {
                id: case(),
                title: "It is \"so\"".to_owned(),
                verdict: Verdict::Passed,
                reason: None,
                messages: vec![],
                findings: vec![],
                duration_us: 0,
                trace: None,
            }],
            findings: vec![],
            traces: vec![trace],
            tools: ToolCoverage::default(),
        }
    }

    fn snapshots(folder: &Path, update: &str, ci: bool) -> Snapshots {
        let environment = |name: &str| match name {
            "INSTA_UPDATE" => Some(update.to_owned()),
            "CI" if ci => Some("true".to_owned()),
            _ => None,
        };
        Snapshots::new(folder.to_owned(), vec![], environment).unwrap()
    }

    fn files(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn insta_update_says_what_happens() {
        let folder = std::env::temp_dir().join(format!("touchstone-snapshots-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let review =
            |update: &str, ci: bool, method: &str| snapshots(&folder, update, ci).review(&[run(method)], true).unwrap();
        assert!(review("no", false, "ping").is_open() && files(&folder).is_empty());
        assert!(
            review("auto", true, "ping").is_open() && files(&folder).is_empty(),
            "CI writes nothing"
        );
        assert!(review("auto", false, "ping").is_open());
        assert_eq!(files(&folder), ["tools__a@2025-06-18-stdio.snap.new"]);
        assert_eq!(review("unseen", false, "ping").written, 1);
        assert_eq!(files(&folder), ["tools__a@2025-06-18-stdio.snap"]);
        assert_eq!(review("no", false, "ping").same, 1);
        let changed = review("new", false, "tools/list");
        assert!(changed.different[0].1.contains("- -> ping") && changed.different[0].1.contains("+ -> tools/list"));
        assert_eq!(files(&folder).len(), 2);
        assert_eq!(review("always", false, "tools/list").written, 1);
        assert_eq!(files(&folder), ["tools__a@2025-06-18-stdio.snap"]);
        std::fs::write(folder.join("gone__b@2025-06-18-stdio.snap"), "").unwrap();
        assert_eq!(
            review("no", false, "tools/list").unreferenced,
            ["gone__b@2025-06-18-stdio.snap"]
        );
        assert!(Snapshots::new(folder.clone(), vec![], |_| Some("maybe".to_owned())).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
