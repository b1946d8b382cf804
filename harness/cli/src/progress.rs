//! The line on stderr that tells how far a run is: rewritten on a terminal and gone when the run is over; where stderr is piped, a new line now and
//! then, or nothing.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use touchstone_drive::execute::RunEvent;
use touchstone_drive::fuzz::CampaignEvent;
use touchstone_reports::escape::{cut, terminal};

/// How often a line on a terminal is written at most.
const EVERY: Duration = Duration::from_millis(80);
/// How often a campaign says in a log how far it is.
const EVERY_PIPED: Duration = Duration::from_secs(5);
/// Longest message of a finding, in characters.
const LONGEST: usize = 200;

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// Not at all.
    Silent,
    /// In the place of the one before.
    Rewritten,
    /// Below the one before, so often at most.
    Appended(Duration),
}

/// The line.
struct StatusLine {
    how: How,
    width: usize,
    drawn: Cell<Option<Instant>>,
}

impl StatusLine {
    /// A line that is rewritten where stderr is a terminal; where it is none, a new one comes every `piped`.
    fn new(quiet: bool, width: usize, piped: Option<Duration>) -> Self {
        let live = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self {
            how: match piped {
                _ if quiet => How::Silent,
                _ if live => How::Rewritten,
                Some(pause) => How::Appended(pause),
                None => How::Silent,
            },
            width,
            drawn: Cell::new(None),
        }
    }

    /// Writes the line when it is due.
    #[expect(clippy::print_stderr, reason = "a progress line belongs on stderr")]
    fn show(&self, line: impl FnOnce() -> String) {
        let pause = match self.how {
            How::Silent => return,
            How::Rewritten => EVERY,
            How::Appended(pause) => pause,
        };
        if self.drawn.get().is_some_and(|drawn| drawn.elapsed() < pause) {
            return;
        }
        self.drawn.set(Some(Instant::now()));
        let line: String = line().chars().take(self.width.saturating_sub(1)).collect();
        match self.how {
            How::Rewritten => eprint!("\r\x1b[2K{line}"),
            _ => eprintln!("{line}"),
        }
    }

    /// Writes a line that stays.
    #[expect(clippy::print_stderr, reason = "what was found on the way belongs with the progress")]
    fn note(&self, text: &str) {
        if self.how != How::Silent {
            self.clear();
            eprintln!("{text}");
        }
    }

    /// Takes the line away.
    #[expect(clippy::print_stderr, reason = "a progress line belongs on stderr")]
    fn clear(&self) {
        if self.how == How::Rewritten {
            eprint!("\r\x1b[2K");
        }
    }
}

/// How far a run of cases is.
pub(crate) struct Progress {
    line: StatusLine,
    began: Instant,
    cases: Cell<usize>,
    done: Cell<usize>,
}

impl Progress {
    /// A line that is shown only where stderr is a terminal.
    pub(crate) fn new(quiet: bool, width: usize) -> Self {
        Self {
            line: StatusLine::new(quiet, width, None),
            began: Instant::now(),
            cases: Cell::new(0),
            done: Cell::new(0),
        }
    }

    /// Takes note of what happened.
    pub(crate) fn show(&self, event: &RunEvent<'_>) {
        let current = match event {
            RunEvent::Revision { revision, cases } => {
                self.cases.set(self.cases.get() + cases);
                revision.to_string()
            }
            RunEvent::Case { id, .. } => {
                self.done.set(self.done.get() + 1);
                (*id).to_owned()
            }
        };
        self.line.show(|| self.text(&current));
    }

    fn text(&self, current: &str) -> String {
        const BAR: usize = 24;
        let (done, cases) = (self.done.get(), self.cases.get().max(1));
        let full = (BAR * done / cases).min(BAR);
        let bar = format!("{}{}", "#".repeat(full), "-".repeat(BAR - full));
        format!(
            "[{bar}] {done} of {cases} cases, {:.1} s  {}",
            self.began.elapsed().as_secs_f64(),
            terminal(current)
        )
    }

    /// Takes the line away.
    pub(crate) fn clear(&self) {
        self.line.clear();
    }
}

/// How far a campaign is, and what it found on the way.
pub(crate) struct CampaignProgress(StatusLine);

impl CampaignProgress {
    /// A line that is rewritten on a terminal, and comes again now and then where stderr is piped.
    pub(crate) fn new(quiet: bool, width: usize) -> Self {
        Self(StatusLine::new(quiet, width, Some(EVERY_PIPED)))
    }

    /// Takes note of what happened.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub(crate) fn show(&self, event: &CampaignEvent<'_>) {
        match event {
            CampaignEvent::Progress(progress) => self.0.show(|| {
                let rate = progress.calls as f64 / progress.elapsed.as_secs_f64().max(1e-3);
                format!(
                    "{:>4}s {:<11} {:>8} calls {rate:>7.0}/s  coverage {}/{}  findings {}",
                    progress.elapsed.as_secs(),
                    progress.phase.as_str(),
                    progress.calls,
                    progress.covered,
                    progress.constraints,
                    progress.findings
                )
            }),
            CampaignEvent::Found { message, .. } => {
                self.0.note(&format!("found: {}", terminal(&cut(message, LONGEST))))
            }
            CampaignEvent::Regression { file, verdict } => {
                self.0.note(&format!("{}: {}", verdict.as_str(), terminal(file)));
            }
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&self) {
        self.0.clear();
    }
}
