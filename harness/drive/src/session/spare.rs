//! Servers that are started before they are needed, so that nobody waits while an interpreter warms up.
//!
//! A fresh process costs a Python server seconds before it can answer. The engine says how many more sessions it will open ([`Spares::expect`]);
//! as long as some are to come, a few processes stand ready on which nothing was said yet. A spare is a process like any other: it does not know
//! for which case, revision or client it will be used, and its trace begins with its own start.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use crate::process::SpawnError;
use crate::tap::Tap;
use crate::target::CommandTarget;
use crate::transport::{StdioConnection, StdioOptions};

/// Processes that stand ready at the same time.
const MOST: usize = 2;

/// Processes that stand ready, and how many are still wanted.
#[derive(Default)]
pub(super) struct Spares {
    ready: RefCell<VecDeque<(StdioConnection, Tap)>>,
    expected: Cell<usize>,
    /// Spares that are being started.
    starting: Cell<usize>,
}

impl Spares {
    /// So many more sessions will be opened.
    pub(super) fn expect(&self, sessions: usize) {
        self.expected.set(self.expected.get() + sessions);
    }

    /// No session will be opened any more: ends the spares.
    pub(super) fn dismiss(&self) {
        self.expected.set(0);
        self.ready.borrow_mut().clear();
    }

    /// A connection to a process that stands ready or is started now; its trace gets the name. Starts the next spare if one will be wanted.
    pub(super) async fn connection(
        &self,
        name: &str,
        target: &CommandTarget,
        options: &StdioOptions,
        tap: &dyn Fn(&str) -> Tap,
    ) -> Result<(StdioConnection, Tap), SpawnError> {
        let taken = loop {
            let Some((connection, tap)) = self.ready.borrow_mut().pop_front() else {
                break None;
            };
            // One that has ended meanwhile says nothing about a server that is spoken to.
            if connection.exit().is_none() {
                tap.rename(name);
                break Some((connection, tap));
            }
        };
        let opened = match taken {
            Some(spare) => spare,
            None => start(name, target, options, tap).await?,
        };
        self.expected.set(self.expected.get().saturating_sub(1));
        self.replenish(target, options, tap).await;
        Ok(opened)
    }

    /// Starts spares until enough stand ready. A spare that cannot be started is no loss: the session that needs the process will say why.
    async fn replenish(&self, target: &CommandTarget, options: &StdioOptions, tap: &dyn Fn(&str) -> Tap) {
        while self.ready.borrow().len() + self.starting.get() < MOST.min(self.expected.get()) {
            self.starting.set(self.starting.get() + 1);
            let spare = start("spare", target, options, tap).await;
            self.starting.set(self.starting.get() - 1);
            match spare {
                Ok(spare) => self.ready.borrow_mut().push_back(spare),
                Err(_) => return,
            }
        }
    }
}

async fn start(
    name: &str,
    target: &CommandTarget,
    options: &StdioOptions,
    tap: &dyn Fn(&str) -> Tap,
) -> Result<(StdioConnection, Tap), SpawnError> {
    let tap = tap(name);
    let connection = StdioConnection::open(target, options, tap.clone()).await?;
    Ok((connection, tap))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::LocalSet;
    use touchstone_core::trace::TransportKind;

    use super::*;

    fn locally<T>(work: impl AsyncFnOnce() -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async {
            let limit = Duration::from_secs(30);
            tokio::time::timeout(limit, work()).await.expect("it ends")
        })
    }

    fn script(script: &str) -> CommandTarget {
        CommandTarget::new("sh", ["-c".into(), script.into()])
    }

    async fn connection(spares: &Spares, name: &str, target: &CommandTarget) -> (StdioConnection, Tap) {
        spares
            .connection(name, target, &StdioOptions::default(), &|name| {
                Tap::new(name, TransportKind::Stdio, 1000)
            })
            .await
            .unwrap()
    }

    #[test]
    fn the_next_process_stands_ready_and_no_more_are_started_than_wanted() {
        locally(async || {
            let (spares, target) = (Spares::default(), script("cat"));
            let _first = connection(&spares, "first", &target).await;
            assert!(spares.ready.borrow().is_empty(), "nobody said that another is wanted");
            spares.expect(2);
            let _second = connection(&spares, "second", &target).await;
            let ready = spares.ready.borrow().front().map(|(connection, _)| connection.pid());
            let (third, tap) = connection(&spares, "third", &target).await;
            assert_eq!(Some(third.pid()), ready);
            assert_eq!(tap.read(|trace| trace.name.clone()), "third");
            assert!(spares.ready.borrow().is_empty());
        });
    }

    #[test]
    fn a_spare_that_has_ended_is_passed_over() {
        locally(async || {
            let (spares, target) = (Spares::default(), script("exit 3"));
            spares.expect(2);
            let _first = connection(&spares, "first", &target).await;
            let spare = spares.ready.borrow_mut().pop_front();
            let (mut ended, tap) = spare.expect("a spare is started");
            let pid = ended.pid();
            ended.wait_exit(Duration::from_secs(20)).await;
            spares.ready.borrow_mut().push_back((ended, tap));
            assert_ne!(connection(&spares, "second", &target).await.0.pid(), pid);
        });
    }
}
