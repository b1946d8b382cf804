//! When a run stops before its end: the user interrupts it, its time is over, or the server no longer answers.

use std::cell::Cell;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

/// Stops a run. What has been measured is kept, what is missing says why.
pub(super) struct Halt {
    token: CancellationToken,
    limit: Option<Duration>,
    user: CancellationToken,
    /// Ends the clock with the run.
    _clock: DropGuard,
}

impl Halt {
    /// A halt on the user's word, and after `limit`. Must be called within a `LocalSet`.
    pub(super) fn new(user: &CancellationToken, limit: Option<Duration>) -> Self {
        let token = user.child_token();
        let over = CancellationToken::new();
        if let Some(limit) = limit {
            let (token, over) = (token.clone(), over.clone());
            tokio::task::spawn_local(async move {
                tokio::select! {
                    () = tokio::time::sleep(limit) => token.cancel(),
                    () = over.cancelled() => {}
                }
            });
        }
        Self {
            token,
            limit,
            user: user.clone(),
            _clock: over.drop_guard(),
        }
    }

    /// Waits for the halt.
    pub(super) async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    /// Whether it has come.
    pub(super) fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// The time that the run was given, when that is why it stopped.
    pub(super) fn out_of_time(&self) -> Option<Duration> {
        self.limit.filter(|_| self.is_cancelled() && !self.user.is_cancelled())
    }

    /// Why a case was not run.
    pub(super) fn reason(&self) -> String {
        match self.out_of_time() {
            Some(limit) => format!("not run: the time for the run, {limit:?}, was over"),
            None => "interrupted".to_owned(),
        }
    }
}

/// How often in a row a server may leave a case without any sign of life before nothing more is asked of it: each time costs the longest waits.
const MOST_IN_A_ROW: usize = 3;

/// Counts how often in a row cases ended with a server that did not answer any more.
#[derive(Debug, Default)]
pub(super) struct Patience {
    in_a_row: Cell<usize>,
}

impl Patience {
    /// Notes how a case left its server.
    pub(super) fn note(&self, alive: bool) {
        self.in_a_row.set(if alive { 0 } else { self.in_a_row.get() + 1 });
    }

    /// Why the next case is not worth its time, when it is not.
    pub(super) fn worn_out(&self) -> Option<String> {
        let times = self.in_a_row.get();
        (times >= MOST_IN_A_ROW).then(|| {
            format!("blocked: the server did not answer any more, {times} times in a row, although it was started or connected to afresh")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_with_failures_in_a_row() {
        let patience = Patience::default();
        for alive in [false, false, true, false, false] {
            patience.note(alive);
            assert_eq!(patience.worn_out(), None);
        }
        patience.note(false);
        assert!(patience.worn_out().is_some());
    }

    #[test]
    fn the_clock_and_the_user_are_told_apart() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let user = CancellationToken::new();
            let halt = Halt::new(&user, Some(Duration::from_millis(1)));
            halt.cancelled().await;
            assert!(halt.reason().contains("time"));
            user.cancel();
            let halt = Halt::new(&user, Some(Duration::from_secs(100)));
            halt.cancelled().await;
            assert_eq!(halt.reason(), "interrupted");
        });
    }
}
