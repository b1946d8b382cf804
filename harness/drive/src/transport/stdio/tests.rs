//! Servers here are shell scripts. Every wait has a deadline, and no test depends on how long something takes.

use std::time::Duration;

use tokio::task::LocalSet;
use touchstone_core::trace::{Channel, EventKind, Intent, TransportKind};

use super::{StdioConnection, StdioOptions};
use crate::process::Exit;
use crate::tap::{DEFAULT_TRACE_BYTES, Tap};
use crate::target::CommandTarget;
use crate::transport::{Incoming, TransportError};

/// Far more than anything here needs.
const LONG: Duration = Duration::from_secs(30);

/// Runs a conversation with `sh -c SCRIPT`.
fn with_script<T>(script: &str, options: &StdioOptions, talk: impl AsyncFnOnce(&mut StdioConnection, &Tap) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let tap = Tap::new("test", TransportKind::Stdio, DEFAULT_TRACE_BYTES);
        let target = CommandTarget::new("sh", ["-c".into(), script.into()]);
        let mut connection = StdioConnection::open(&target, options, tap.clone()).await.unwrap();
        tokio::time::timeout(LONG, talk(&mut connection, &tap))
            .await
            .expect("the conversation ends")
    })
}

fn quick() -> StdioOptions {
    let mut options = StdioOptions::default();
    options.limits.write = Duration::from_millis(300);
    options.process.ladder.stdin = Duration::from_millis(300);
    options.process.ladder.term = Duration::from_millis(300);
    options
}

async fn line(connection: &mut StdioConnection) -> String {
    match connection.receive().await {
        Some(Incoming::Message { bytes, .. }) => String::from_utf8(bytes).unwrap(),
        other => panic!("a line was expected, not {other:?}"),
    }
}

/// Receives to the end; gives back the number of messages, their bytes, and the reason of the end.
async fn rest(connection: &mut StdioConnection) -> (usize, usize, String) {
    let (mut messages, mut size) = (0, 0);
    while let Some(incoming) = connection.receive().await {
        match incoming {
            Incoming::Message { bytes, .. } => {
                messages += 1;
                size += bytes.len();
            }
            Incoming::Closed { reason } => {
                assert_eq!(connection.receive().await, None, "Closed is said once");
                return (messages, size, reason);
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("the end must be told");
}

/// The events as short words.
fn story(tap: &Tap) -> Vec<String> {
    let word = |kind: &EventKind| match kind {
        EventKind::ProcessStarted { .. } => "started".to_owned(),
        EventKind::ProcessExited { code: Some(code), .. } => format!("exited {code}"),
        EventKind::ProcessExited { signal, .. } => format!("killed {}", signal.unwrap_or(0)),
        EventKind::Signalled { signal } => signal.clone(),
        EventKind::StdinClosed => "stdin closed".to_owned(),
        EventKind::StdoutClosed => "stdout closed".to_owned(),
        EventKind::Sent { payload, .. } => format!("> {}", payload.text()),
        EventKind::Received {
            payload,
            terminated: true,
            ..
        } => format!("< {}", payload.text()),
        EventKind::Received { payload, .. } => format!("< {} (unterminated)", payload.text()),
        EventKind::Stderr { payload } => format!("! {}", payload.text()),
        other => format!("{other:?}"),
    };
    tap.read(|trace| trace.events.iter().map(|event| word(&event.kind)).collect())
}

#[test]
fn a_round_trip_and_a_proper_end_are_recorded_in_order() {
    with_script(
        "while read -r line; do echo \"got $line\"; done",
        &StdioOptions::default(),
        async |connection, tap| {
            let sent = connection.send(b"{}", Intent::Proper).await.unwrap();
            let Some(Incoming::Message {
                bytes,
                event,
                channel,
                exchange,
            }) = connection.receive().await
            else {
                panic!()
            };
            assert_eq!(
                (bytes.as_slice(), channel, exchange),
                (&b"got {}"[..], Channel::Stdout, None)
            );
            assert!(tap.read(|trace| matches!(trace.events[event].kind, EventKind::Received { .. })));
            assert!(sent.event < event);
            connection.close().await;
            connection.close().await;
            let mut story = story(tap);
            // Which of the two the harness sees first is chance.
            story[4..].sort();
            assert_eq!(
                story,
                [
                    "started",
                    "> {}",
                    "< got {}",
                    "stdin closed",
                    "exited 0",
                    "stdout closed"
                ]
            );
        },
    );
}

#[test]
fn banners_blank_lines_and_an_unterminated_end_are_passed_on() {
    with_script(
        "printf 'Welcome!\\n\\r\\n\\n{\"half\":'",
        &StdioOptions::default(),
        async |connection, tap| {
            for expected in ["Welcome!", "\r", "", "{\"half\":"] {
                assert_eq!(line(connection).await, expected);
            }
            assert_eq!(
                rest(connection).await,
                (0, 0, "the server exited with code 0".to_owned())
            );
            assert!(story(tap).contains(&"< {\"half\": (unterminated)".to_owned()));
        },
    );
}

#[test]
fn an_endless_line_is_cut_at_the_cap() {
    let mut options = StdioOptions::default();
    options.limits.message_bytes = 1000;
    let script = "head -c 3000000 /dev/zero; echo; echo next; head -c 2000 /dev/zero";
    with_script(script, &options, async |connection, tap| {
        assert_eq!(line(connection).await.len(), 1000);
        assert_eq!(line(connection).await, "next");
        assert_eq!(line(connection).await.len(), 1000);
        rest(connection).await;
        let told = story(tap)
            .into_iter()
            .filter(|word| word.starts_with("LimitReached"))
            .collect::<Vec<_>>();
        assert!(told.len() == 2 && told[0].contains("3000000"), "{told:?}");
    });
}

#[test]
fn a_flood_on_stderr_blocks_nothing_and_is_kept_in_part() {
    let script = "echo first >&2; head -c 5000000 /dev/zero | tr '\\0' '\\n' >&2; echo last words >&2; echo done";
    with_script(script, &StdioOptions::default(), async |connection, tap| {
        assert_eq!(line(connection).await, "done");
        connection.close().await;
        let text = connection.stderr_tail();
        assert!(text.starts_with("first\n") && text.ends_with("last words\n") && text.contains("bytes left out"));
        assert!(text.len() < 100_000);
        let story = story(tap);
        assert!(story.iter().any(|word| word == "! first"));
        assert_eq!(story.iter().filter(|word| word.starts_with("LimitReached")).count(), 1);
        assert!(story.len() < 10_000);
    });
}

#[test]
fn a_server_that_does_not_read_stalls_the_writer_only() {
    with_script(
        "echo ready; echo later; exec sleep 1000",
        &quick(),
        async |connection, tap| {
            assert_eq!(line(connection).await, "ready");
            let big = vec![b'x'; 300_000];
            assert!(matches!(
                connection.send(&big, Intent::Proper).await,
                Err(TransportError::Stalled(_))
            ));
            assert!(matches!(
                connection.send(b"second", Intent::Proper).await,
                Err(TransportError::Stalled(_))
            ));
            assert_eq!(line(connection).await, "later");
            connection.close_stdin();
            assert!(matches!(
                connection.send(b"third", Intent::Proper).await,
                Err(TransportError::Closed(_))
            ));
            assert!(
                !story(tap).contains(&"> third".to_owned()),
                "what was not sent is not in the trace"
            );
        },
    );
}

#[test]
fn what_was_not_taken_in_time_is_written_while_receiving() {
    // `head` waits for a file, so that the pipe is full for a while.
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("gate");
    let script = format!(
        "while [ ! -e '{}' ]; do sleep 0.02; done; head -n 2 | cksum",
        gate.display()
    );
    with_script(&script, &quick(), async |connection, _| {
        let big = vec![b'x'; 300_000];
        assert!(matches!(
            connection.send(&big, Intent::Proper).await,
            Err(TransportError::Stalled(_))
        ));
        assert!(matches!(
            connection.send(b"second", Intent::Proper).await,
            Err(TransportError::Stalled(_))
        ));
        std::fs::write(&gate, "").unwrap();
        // The checksum has the length behind it: both messages and their newlines, and nothing else.
        assert!(line(connection).await.ends_with(" 300008"));
    });
}

#[test]
fn a_server_that_exits_at_once_leaves_its_last_words() {
    with_script(
        "echo 'no API key' >&2; exit 3",
        &StdioOptions::default(),
        async |connection, tap| {
            assert_eq!(rest(connection).await.2, "the server exited with code 3");
            assert_eq!(
                connection.wait_exit(LONG).await,
                Some(Exit {
                    code: Some(3),
                    signal: None
                })
            );
            assert_eq!(
                connection.exit(),
                Some(Exit {
                    code: Some(3),
                    signal: None
                })
            );
            connection.close().await;
            assert_eq!(connection.stderr_tail(), "no API key\n");
            assert!(story(tap).contains(&"! no API key".to_owned()));
        },
    );
}

#[test]
fn a_server_that_stays_is_helped_along_rung_by_rung() {
    let script = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    with_script(script, &quick(), async |connection, tap| {
        line(connection).await;
        connection.close().await;
        // The reader sees the end of stdout before or after the exit is told: which one first is no rung.
        let rungs: Vec<String> = story(tap)
            .into_iter()
            .filter(|word| !word.starts_with(['<', '!']) && word != "stdout closed")
            .collect();
        assert_eq!(
            rungs,
            ["started", "stdin closed", "SIGTERM", "SIGKILL", "killed 9"],
            "{rungs:?}"
        );
    });
}

#[test]
fn sigterm_is_enough_for_a_server_that_only_ignores_the_end_of_its_input() {
    let script = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done";
    let mut options = quick();
    options.process.ladder.term = LONG;
    with_script(script, &options, async |connection, tap| {
        line(connection).await;
        connection.close().await;
        assert_eq!(
            connection.exit(),
            Some(Exit {
                code: Some(0),
                signal: None
            })
        );
        assert!(!story(tap).contains(&"SIGKILL".to_owned()));
    });
}

#[test]
fn stdout_that_ends_while_the_server_lives_is_told() {
    with_script(
        "echo last; exec >&-; exec sleep 1000",
        &quick(),
        async |connection, _| {
            assert_eq!(line(connection).await, "last");
            assert_eq!(rest(connection).await.2, "the server closed its standard output");
            assert_eq!(connection.exit(), None);
            connection.signal("SIGTERM").unwrap();
            assert_eq!(
                connection.wait_exit(LONG).await,
                Some(Exit {
                    code: None,
                    signal: Some(15)
                })
            );
        },
    );
}

#[test]
fn a_descendant_that_keeps_stdout_open_is_not_waited_for() {
    with_script("sleep 1000 & echo bye", &quick(), async |connection, _| {
        assert_eq!(line(connection).await, "bye");
        assert_eq!(rest(connection).await.2, "the server exited with code 0");
    });
}

#[test]
fn nothing_is_lost_when_the_receiver_is_slower_than_the_server() {
    let mut options = StdioOptions::default();
    options.limits.queue_messages = 4;
    with_script(
        "i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done",
        &options,
        async |connection, _| {
            for expected in 0..2000 {
                if expected % 500 == 0 {
                    // The server ends meanwhile.
                    tokio::time::sleep(super::AFTER_EXIT).await;
                }
                assert_eq!(line(connection).await, expected.to_string());
            }
            assert_eq!(rest(connection).await.0, 0);
        },
    );
}

#[test]
fn closing_ends_a_server_whose_output_nobody_reads() {
    let mut options = StdioOptions::default();
    options.limits.queue_messages = 2;
    options.process.ladder.stdin = LONG;
    let script = "i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done; cat >/dev/null";
    with_script(script, &options, async |connection, tap| {
        connection.close().await;
        assert_eq!(
            connection.exit(),
            Some(Exit {
                code: Some(0),
                signal: None
            })
        );
        assert_eq!(story(tap).iter().filter(|word| *word == "< 0123456789").count(), 20_000);
    });
}

#[test]
fn exact_bytes_arrive_as_they_are_and_the_trace_shows_their_lines() {
    with_script(
        "head -c 9 | od -An -c | tr -d ' \\n'; echo",
        &StdioOptions::default(),
        async |connection, tap| {
            connection.send_raw(b"a\r\nb", Intent::Broken).await.unwrap();
            connection
                .send_chunks(&[b"c".to_vec(), b"d\n".to_vec()], false, Intent::Broken)
                .await
                .unwrap();
            connection
                .send_chunks(&[b"e".to_vec()], true, Intent::Broken)
                .await
                .unwrap();
            assert_eq!(line(connection).await, "a\\r\\nbcd\\ne\\n");
            let sent: Vec<String> = story(tap).into_iter().filter(|word| word.starts_with('>')).collect();
            assert_eq!(sent, ["> a\r", "> b", "> cd", "> e"]);
        },
    );
}

#[test]
fn receiving_can_be_given_up_without_losing_anything() {
    with_script(
        "sleep 0.1; echo one; echo two",
        &StdioOptions::default(),
        async |connection, _| {
            let mut received = Vec::new();
            while received.len() < 2 {
                if let Ok(incoming) = tokio::time::timeout(Duration::from_millis(1), connection.receive()).await {
                    received.push(incoming);
                }
            }
            let expected = [&b"one"[..], b"two"];
            for (incoming, expected) in received.iter().zip(expected) {
                assert!(matches!(incoming, Some(Incoming::Message { bytes, .. }) if bytes == expected));
            }
        },
    );
}
