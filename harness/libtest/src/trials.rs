//! Trials: one for each case in each revision, all served by one run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use libtest_mimic::{Completion, Failed, Trial};
use tokio_util::sync::CancellationToken;
use touchstone_core::revision::Revision;
use touchstone_core::trace::TransportKind;
use touchstone_core::trace::snapshot::Counted;
use touchstone_core::verdict::{CaseResult, Finding, RevisionRun, Verdict};
use touchstone_drive::execute::{
    CallPolicy, CaseFilter, Engine, EngineOptions, Selection, StartError, TIME_LIMIT, TargetRun,
};
use touchstone_drive::process::{GuardProgram, ProcessOptions};
use touchstone_drive::session::{ConnectError, ConnectorOptions, SessionLimits};
use touchstone_drive::target::Target;

use crate::{Bundle, Compared, Snapshots};

/// What the trials of one process share.
pub(crate) struct Settings {
    pub target: Target,
    pub strict: bool,
    pub call_all: bool,
    pub snapshots: Option<Snapshots>,
}

/// The name of the trial that fails for what happened while no case was running, for example a banner at start-up.
const OUTSIDE: &str = "session::outside-cases";

/// The run, done when the first trial needs it.
struct Lazy {
    bundle: Bundle,
    settings: Settings,
    cases: Vec<String>,
    selection: Selection,
    result: OnceLock<Result<TargetRun, String>>,
    /// What the server counts, learnt from all traces of a revision when the first of its trials needs it.
    counted: Mutex<BTreeMap<Revision, Arc<Counted>>>,
}

/// A trial before it is handed to libtest-mimic.
struct Candidate {
    name: String,
    case: Option<String>,
    revision: Revision,
}

/// The trials of every case in every revision.
pub(crate) fn make(bundle: Bundle, settings: Settings, arguments: &libtest_mimic::Arguments) -> Vec<Trial> {
    let mut candidates = Vec::new();
    for revision in Revision::ALL {
        for (id, _, _) in bundle.suite.of(revision, &bundle.catalog) {
            candidates.push(Candidate {
                name: format!("{}::{revision}", id.replace('/', "::")),
                case: Some(id),
                revision,
            });
        }
        candidates.push(Candidate {
            name: format!("{OUTSIDE}::{revision}"),
            case: None,
            revision,
        });
    }
    // Only what was selected is run.
    let selected: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| is_selected(&candidate.name, arguments))
        .collect();
    let mut revisions: Vec<Revision> = selected.iter().map(|candidate| candidate.revision).collect();
    revisions.dedup();
    let selection = match revisions.as_slice() {
        [revision] => Selection::Only(*revision),
        _ => Selection::All,
    };
    let mut cases: Vec<String> = selected.iter().filter_map(|candidate| candidate.case.clone()).collect();
    cases.sort();
    cases.dedup();
    let lazy = Arc::new(Lazy {
        bundle,
        settings,
        cases,
        selection,
        result: OnceLock::new(),
        counted: Mutex::default(),
    });
    candidates
        .into_iter()
        .map(|candidate| {
            let lazy = Arc::clone(&lazy);
            Trial::ignorable_test(candidate.name, move || {
                lazy.judge(candidate.case.as_deref(), candidate.revision)
            })
        })
        .collect()
}

/// Whether libtest-mimic will run a trial of this name.
fn is_selected(name: &str, arguments: &libtest_mimic::Arguments) -> bool {
    let fits = |pattern: &String| {
        if arguments.exact {
            name == pattern
        } else {
            name.contains(pattern.as_str())
        }
    };
    arguments.filter.as_ref().is_none_or(fits) && !arguments.skip.iter().any(fits)
}

impl Lazy {
    fn judge(&self, case: Option<&str>, revision: Revision) -> Result<Completion, Failed> {
        let result = self.result.get_or_init(|| self.run());
        let target_run = match result {
            Ok(target_run) => target_run,
            Err(problem) => return Err(problem.clone().into()),
        };
        if let Some(mistake) = target_run.own_mistakes.first() {
            return Err(format!(
                "Touchstone made a mistake of its own, which says nothing about the server: {mistake}"
            )
            .into());
        }
        let Some(run) = target_run.runs.iter().find(|run| run.revision == revision) else {
            let offered: Vec<&str> = target_run.offered.iter().map(|revision| revision.as_str()).collect();
            return Ok(Completion::ignored_with(format!(
                "the server does not speak {revision}; it offers {}",
                offered.join(", ")
            )));
        };
        match case {
            None => self.outside(run),
            Some(id) => match run.cases.iter().find(|result| result.id == id) {
                Some(result) => self.completion(result, run),
                None => Ok(Completion::ignored_with("the case was not run")),
            },
        }
    }

    fn completion(&self, result: &CaseResult, run: &RevisionRun) -> Result<Completion, Failed> {
        let reason = result
            .reason
            .clone()
            .unwrap_or_else(|| "nothing was observed".to_owned());
        match result.verdict {
            // Green would say that the server was judged.
            Verdict::NotApplicable | Verdict::NotExercised
                if run.server.is_null() && reason.starts_with("needs a token") =>
            {
                Err(touchstone_reports::escape::terminal(&reason).into())
            }
            Verdict::Failed => Err(self.explain(result, run).into()),
            Verdict::Warned if self.settings.strict => Err(self.explain(result, run).into()),
            Verdict::NotApplicable | Verdict::NotExercised => {
                Ok(Completion::ignored_with(touchstone_reports::escape::terminal(&reason)))
            }
            _ => self.compare(result, run),
        }
    }

    /// Whether the server behaved as the snapshot says, where there are snapshots.
    fn compare(&self, result: &CaseResult, run: &RevisionRun) -> Result<Completion, Failed> {
        let Some(snapshots) = &self.settings.snapshots else {
            return Ok(Completion::Completed);
        };
        let counted = {
            let mut known = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
            let learnt = known
                .entry(run.revision)
                .or_insert_with(|| Arc::new(Counted::of(&run.traces)));
            Arc::clone(learnt)
        };
        match snapshots.compare(run, result, &counted) {
            Err(error) => Err(format!("the snapshot cannot be compared: {error}").into()),
            Ok(Some(Compared::Missing)) => {
                Err("there is no snapshot of this behaviour yet: review it with `cargo insta review`".into())
            }
            Ok(Some(Compared::Different(lines))) => {
                let lines: Vec<String> = lines.lines().map(touchstone_reports::escape::terminal).collect();
                Err(format!(
                    "the server behaves differently; `cargo insta review` shows all of it\n{}",
                    lines.join("\n")
                )
                .into())
            }
            Ok(_) => Ok(Completion::Completed),
        }
    }

    /// What happened while no case was running.
    fn outside(&self, run: &RevisionRun) -> Result<Completion, Failed> {
        let weighty = |severity: touchstone_core::spec::requirement::Severity| {
            let verdict = Verdict::from(severity);
            verdict == Verdict::Failed || (self.settings.strict && verdict == Verdict::Warned)
        };
        let messages: Vec<String> = run
            .findings
            .iter()
            .filter(|finding| finding.case.is_none() && weighty(finding.severity))
            .map(|finding| {
                format!(
                    "{} ({}): {}",
                    finding.requirement,
                    finding.level,
                    touchstone_reports::escape::terminal(&finding.message)
                )
            })
            .collect();
        if messages.is_empty() {
            Ok(Completion::Completed)
        } else {
            Err(messages.join("\n").into())
        }
    }

    fn explain(&self, result: &CaseResult, run: &RevisionRun) -> String {
        let mut lines = vec![result.title.clone()];
        lines.extend(
            result
                .messages
                .iter()
                .take(10)
                .map(|message| format!("  {}", touchstone_reports::escape::terminal(message))),
        );
        let broken = run
            .findings
            .iter()
            .filter(|finding| finding.cases.contains(&result.id))
            .flat_map(Finding::requirements)
            .filter(|id| {
                result
                    .messages
                    .iter()
                    .any(|message| message.contains(&format!(" {id}: ")))
            });
        for id in broken.take(3) {
            if let Some(requirement) = self.bundle.catalog.get(id) {
                lines.push(format!("  rule: {}", requirement.statement));
                lines.extend(
                    requirement
                        .links(run.revision)
                        .into_iter()
                        .take(1)
                        .map(|link| format!("  {link}")),
                );
            }
        }
        lines.join("\n")
    }

    fn run(&self) -> Result<TargetRun, String> {
        let process = ProcessOptions {
            guard: GuardProgram::CurrentExecutable,
            ..ProcessOptions::default()
        };
        let mut session = SessionLimits::default();
        if self.settings.snapshots.is_some() {
            session = session.repeatable();
        }
        let options = EngineOptions {
            selection: self.selection,
            filter: CaseFilter::new(if self.cases.is_empty() {
                vec!["-".to_owned()]
            } else {
                self.cases.clone()
            }),
            call: if self.settings.call_all {
                CallPolicy::All
            } else {
                CallPolicy::ReadOnly
            },
            time_limit: Some(TIME_LIMIT),
            connector: ConnectorOptions {
                process,
                session,
                ..ConnectorOptions::default()
            },
            ..EngineOptions::default()
        };
        let engine = Engine {
            catalog: &self.bundle.catalog,
            schemas: &self.bundle.schemas,
            suite: &self.bundle.suite,
            options,
            coverage: std::cell::OnceCell::new(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let local = tokio::task::LocalSet::new();
        let run = local.block_on(
            &runtime,
            engine.run(&self.settings.target, &|_| {}, &CancellationToken::new()),
        );
        // A server that does not speak the one revision that was selected has no verdict, good or bad.
        if let Err(StartError::Revision { offered, .. }) = &run {
            let offered = offered.parse().into_iter().collect();
            let transport = TransportKind::Stdio;
            return Ok(TargetRun {
                transport,
                offered,
                runs: vec![],
                interrupted: false,
                out_of_time: None,
                own_mistakes: vec![],
                sessions: 1,
                eras: vec![],
                locked: None,
            });
        }
        run.map_err(|error| {
            let error_text = touchstone_reports::escape::terminal(&error.to_string());
            let mut text = format!("{}: {error_text}", self.settings.target);
            if let StartError::Connect(ConnectError::Handshake(failure)) = &error {
                for line in failure
                    .stderr
                    .lines()
                    .rev()
                    .take(8)
                    .collect::<Vec<_>>()
                    .into_iter()
                    .rev()
                {
                    text.push_str(&format!("\n  stderr: {}", touchstone_reports::escape::terminal(line)));
                }
                if let Some(hint) = &failure.hint {
                    text.push_str(&format!("\n  hint: {}", touchstone_reports::escape::terminal(hint)));
                }
            }
            self.settings.target.credentials().hide_in_text(&mut text);
            text
        })
    }
}
