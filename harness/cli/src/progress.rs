//! A line on a terminal that tells how far the run is, and goes away when it is over. Nothing of it is ever piped.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use touchstone_drive::execute::RunEvent;

/// How often the line is written at most.
const EVERY: Duration = Duration::from_millis(80);

/// The line.
pub(crate) struct Progress {
    shown: bool,
    began: Instant,
    width: usize,
    cases: Cell<usize>,
    done: Cell<usize>,
    drawn: Cell<Option<Instant>>,
    revisions: RefCell<Vec<String>>,
}

impl Progress {
    /// A line that is shown only where stderr is a terminal.
    pub(crate) fn new(quiet: bool, width: usize) -> Self {
        Self {
            shown: !quiet
                && std::io::stderr().is_terminal()
                && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
            began: Instant::now(),
            width,
            cases: Cell::new(0),
            done: Cell::new(0),
            drawn: Cell::new(None),
            revisions: RefCell::default(),
        }
    }

    /// Takes note of what happened.
    #[expect(clippy::print_stderr, reason = "a progress line belongs on stderr")]
    pub(crate) fn show(&self, event: &RunEvent<'_>) {
        let current = match event {
            RunEvent::Revision { revision, cases } => {
                self.cases.set(self.cases.get() + cases);
                self.revisions.borrow_mut().push(revision.to_string());
                revision.to_string()
            }
            RunEvent::Case { id, .. } => {
                self.done.set(self.done.get() + 1);
                (*id).to_owned()
            }
        };
        let due = self.drawn.get().is_none_or(|drawn| drawn.elapsed() >= EVERY);
        if self.shown && due {
            self.drawn.set(Some(Instant::now()));
            eprint!("\r\x1b[2K{}", self.line(&current));
        }
    }

    fn line(&self, current: &str) -> String {
        const BAR: usize = 24;
        let (done, cases) = (self.done.get(), self.cases.get().max(1));
        let full = (BAR * done / cases).min(BAR);
        let bar = format!("{}{}", "#".repeat(full), "-".repeat(BAR - full));
        let line = format!(
            "[{bar}] {done} of {cases} cases, {:.1} s  {}",
            self.began.elapsed().as_secs_f64(),
            touchstone_reports::escape::terminal(current)
        );
        line.chars().take(self.width.saturating_sub(1)).collect()
    }

    /// Takes the line away.
    #[expect(clippy::print_stderr, reason = "a progress line belongs on stderr")]
    pub(crate) fn clear(&self) {
        if self.shown {
            eprint!("\r\x1b[2K");
        }
    }
}
