//! stdio: one message a line in, one message a line out, and nothing else on the output (basic/transports, stdio).

use std::io;
use std::pin::pin;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
#[cfg(unix)]
use tokio::net::unix;
use tokio::time::Instant;

use crate::conversation::Conversation;
use crate::outbox::{Departure, Outbox, sleep_until};
use crate::serve::ServeError;

/// The process's input. A pipe, which is what clients give, is read as it is; anything else through a thread, which costs a call some
/// microseconds.
pub(crate) fn input() -> Box<dyn AsyncRead + Unpin> {
    #[cfg(unix)]
    if let Some(pipe) = own(&io::stdin()).and_then(|own| unix::pipe::Receiver::from_owned_fd(own).ok()) {
        return Box::new(pipe);
    }
    Box::new(tokio::io::stdin())
}

/// The process's output, in the same manner.
pub(crate) fn output() -> Box<dyn AsyncWrite + Unpin> {
    #[cfg(unix)]
    if let Some(pipe) = own(&io::stdout()).and_then(|own| unix::pipe::Sender::from_owned_fd(own).ok()) {
        return Box::new(pipe);
    }
    Box::new(tokio::io::stdout())
}

#[cfg(unix)]
fn own(stream: &impl std::os::fd::AsFd) -> Option<std::os::fd::OwnedFd> {
    stream.as_fd().try_clone_to_owned().ok()
}

/// Serves until the input has ended and every pending answer is out, or until it is to end at once.
pub(crate) async fn serve(
    input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
    mut conversation: Conversation,
    ending: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    let mut outbox = Outbox::default();
    let mut ended = false;
    outbox.extend(Instant::now(), conversation.start());
    let mut ending = pin!(ending);
    loop {
        let due = outbox.due(Instant::now(), |question| conversation.wake(question));
        match send(&mut output, due).await {
            // Nobody listens any more, which is another way to end a session.
            Err(ServeError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            sent => sent?,
        }
        if ended && outbox.next_due().is_none() {
            break;
        }
        tokio::select! {
            // `read_until` keeps what it has read in `line`, so that losing the race loses no bytes.
            read = input.read_until(b'\n', &mut line), if !ended => {
                read?;
                ended = line.last() != Some(&b'\n');
                // Blank lines are no messages.
                if !line.trim_ascii().is_empty() {
                    conversation.advance(super::since_1970());
                    outbox.extend(Instant::now(), conversation.receive(&line));
                }
                line.clear();
                if ended {
                    // No answer can come any more.
                    outbox.forget_questions();
                }
            }
            () = sleep_until(outbox.next_due()) => {}
            () = &mut ending => {
                let mut last = Outbox::default();
                last.extend(Instant::now(), conversation.end_subscriptions());
                return send(&mut output, last.take_due(Instant::now())).await;
            }
        }
    }
    outbox.extend(Instant::now(), conversation.end());
    send(&mut output, outbox.take_due(Instant::now())).await?;
    if conversation.outlives_input() {
        ending.await;
    }
    Ok(())
}

async fn send(output: &mut (impl AsyncWrite + Unpin), departures: Vec<Departure>) -> Result<(), ServeError> {
    for departure in departures {
        let mut bytes = match departure {
            Departure::Message(message) => message.to_bytes(),
            Departure::Text(text) => text.into_bytes(),
            Departure::Exit(code) => return Err(ServeError::Exited { code }),
            Departure::Wake(_) | Departure::Interrupt(_) => continue,
        };
        bytes.push(b'\n');
        output.write_all(&bytes).await?;
    }
    Ok(output.flush().await?)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::conversation::Options;
    use crate::faults::find;

    async fn session(faults: &[&str], input: &[u8]) -> (Result<(), ServeError>, Vec<String>) {
        let faults: Vec<_> = faults.iter().map(|id| find(id).unwrap()).collect();
        let mut output = Vec::new();
        let served = serve(
            input,
            &mut output,
            Conversation::new(&Options::new(&[], &faults, 3)),
            std::future::pending(),
        )
        .await;
        (
            served,
            String::from_utf8(output).unwrap().lines().map(str::to_owned).collect(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn pending_answers_leave_before_the_end_and_cancelled_ones_do_not() {
        let input = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow","arguments":{"milliseconds":500}}}
{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"slow","arguments":{"milliseconds":500}}}

{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}
{"jsonrpc":"2.0","id":3,"method":"ping"}"#;
        let (served, lines) = session(&[], input).await;
        assert!(served.is_ok());
        let ids: Vec<_> = lines
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone())
            .collect();
        assert_eq!(ids, [3, 1]);
    }

    #[tokio::test]
    async fn text_faults_put_text_among_the_messages() {
        let ping = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n".repeat(3);
        let (_, lines) = session(&["banner"], &ping).await;
        assert!(!lines[0].starts_with('{') && lines[1..].iter().all(|line| line.starts_with('{')));
        let (_, lines) = session(&["log-line"], &ping).await;
        assert!(!lines[3].starts_with('{') && lines[..3].iter().all(|line| line.starts_with('{')));
    }

    #[tokio::test]
    async fn garbage_ends_the_process_only_under_its_fault() {
        let (served, lines) = session(&[], b"garbage\n").await;
        assert!(served.is_ok() && lines[0].contains("-32700"));
        let (served, lines) = session(&["die-malformed"], b"garbage\n").await;
        assert!(matches!(served, Err(ServeError::Exited { code: 1 })) && lines.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_input_is_ignored_only_under_its_fault() {
        let day = std::time::Duration::from_secs(24 * 60 * 60);
        assert!(tokio::time::timeout(day, session(&[], b"")).await.is_ok());
        assert!(tokio::time::timeout(day, session(&["eof-stay"], b"")).await.is_err());
    }
}
