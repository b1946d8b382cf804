//! What the standard output of a stdio server holds: messages, one a line, and nothing else.

use super::conversation::{Conversation, Frame};
use super::{BreachAt, Context, Monitor, Observer, STDIO, Scope, quoted};
use crate::jsonrpc::{self, Document, Reading, Shape};
use crate::spec::requirement::Severity;
use crate::trace::{Channel, EventKind};

pub(super) const MONITOR: Monitor = Monitor {
    name: "stdout",
    scope: Scope::Wire,
    over: STDIO,
    summary: "standard output holds messages, one a line, and nothing else, from start to exit",
    requirements: &[
        "transport-stdio/stdout-pure",
        "transport-stdio/newline-delimited",
        "transport-stdio/no-embedded-newlines",
        "transport-stdio/stdout-schema-valid",
        "transport-stdio/exit-quiet",
        "transport-stdio/no-bom",
        "transport-stdio/stderr-free-form",
        "base-protocol/utf8-output",
    ],
    judge: observe,
};

/// Lines that a pretty-printed message may span before they are no longer taken for one.
const LONGEST_PRETTY: usize = 2_000;

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    let lines: Vec<(&Frame, &[u8])> = conversation
        .frames()
        .iter()
        .filter(|frame| frame.channel == Some(Channel::Stdout))
        .filter_map(|frame| match &conversation.trace().events[frame.event].kind {
            EventKind::Received { payload, .. } => Some((frame, payload.bytes())),
            _ => None,
        })
        .collect();
    let closing = conversation
        .trace()
        .events
        .iter()
        .position(|event| matches!(event.kind, EventKind::StdinClosed));
    let mut quiet = true;
    let mut noisy = false;
    let mut index = 0;
    while let Some((frame, bytes)) = lines.get(index) {
        index += 1;
        let after_close = closing.is_some_and(|closing| frame.event > closing);
        if bytes.trim_ascii().is_empty() {
            let blank = BreachAt::new(
                "transport-stdio/newline-delimited",
                frame.event,
                "a blank line between messages",
            );
            observer.broken(blank.at_most(Severity::Info));
            continue;
        }
        if index == 1 && bytes.starts_with(b"\xef\xbb\xbf") {
            observer.broken(BreachAt::new(
                "transport-stdio/no-bom",
                frame.event,
                "stdout begins with a byte order mark",
            ));
        }
        if let Reading::Complete(document) = &frame.reading {
            message_line(observer, frame, document, after_close);
            continue;
        }
        if let Some(spanned) = pretty_printed(&lines[index - 1..]) {
            let message = format!(
                "one message is spread over {spanned} lines; write it on one line, line breaks inside strings as \\n"
            );
            let rest: Vec<usize> = lines[index..index + spanned - 1]
                .iter()
                .map(|(frame, _)| frame.event)
                .collect();
            observer.broken(BreachAt::new("transport-stdio/no-embedded-newlines", frame.event, message).also(&rest));
            index += spanned - 1;
            continue;
        }
        quiet &= !after_close;
        // A server that has written text before does not break another rule by going on with it.
        foreign_line(observer, frame, bytes, after_close && !noisy);
        noisy |= !after_close;
    }
    if let Some(exit) = conversation
        .trace()
        .events
        .iter()
        .position(|event| matches!(event.kind, EventKind::ProcessExited { .. }))
        && closing.is_some()
        && quiet
    {
        observer.kept("transport-stdio/exit-quiet", exit);
    }
    stderr(conversation, observer);
}

/// A line that is one JSON value.
fn message_line(observer: &mut Observer<'_>, frame: &Frame, document: &Document, after_close: bool) {
    if !frame.terminated {
        let message = "stdout ended without a newline after the last message; end every message with one, and flush";
        observer.broken(BreachAt::new("transport-stdio/newline-delimited", frame.event, message));
    }
    if matches!(document.shape, Shape::NotAMessage(_)) && !super::envelope::attempts_a_message(document.value.as_ref())
    {
        let text = document.value.as_ref().map(ToString::to_string).unwrap_or_default();
        let message = format!("{} is JSON but no MCP message; send logs to stderr", quoted(&text));
        observer.broken(BreachAt::new(
            "transport-stdio/stdout-schema-valid",
            frame.event,
            message,
        ));
        return;
    }
    if !after_close {
        observer.kept("transport-stdio/stdout-pure", frame.event);
    }
    observer.kept("transport-stdio/stdout-schema-valid", frame.event);
    observer.kept("transport-stdio/newline-delimited", frame.event);
    observer.kept("transport-stdio/no-embedded-newlines", frame.event);
    observer.kept("base-protocol/utf8-output", frame.event);
}

/// A line that is no message.
fn foreign_line(observer: &mut Observer<'_>, frame: &Frame, bytes: &[u8], after_close: bool) {
    let text = String::from_utf8_lossy(bytes);
    let looks_like_json = bytes.trim_ascii_start().starts_with(b"{");
    if std::str::from_utf8(bytes).is_err() && looks_like_json {
        let message = format!("a message is not valid UTF-8: {}", quoted(&text));
        observer.broken(BreachAt::new("base-protocol/utf8-output", frame.event, message));
    } else if text.trim_start().to_ascii_lowercase().starts_with("content-length:") {
        let message = "messages are framed with Content-Length as in the Language Server Protocol; MCP wants one message a line, nothing else";
        observer.broken(BreachAt::new("transport-stdio/newline-delimited", frame.event, message));
    } else if looks_like_json && !frame.terminated {
        let message = format!("stdout ended in the middle of a message: {}", quoted(&text));
        observer.broken(BreachAt::new("transport-stdio/newline-delimited", frame.event, message));
    } else {
        let requirement = if after_close {
            "transport-stdio/exit-quiet"
        } else {
            "transport-stdio/stdout-pure"
        };
        let hint = match text.find("{\"jsonrpc\"") {
            Some(1..) => "text without a newline is glued to a message",
            _ => {
                "only messages belong on stdout; print to stderr instead (in Python: `print(..., file=sys.stderr)` or logging)"
            }
        };
        observer.broken(BreachAt::new(
            requirement,
            frame.event,
            format!("{} is no message: {hint}", quoted(&text)),
        ));
    }
}

/// How many of the lines, from the first on, make up one message, when it is more than one.
fn pretty_printed(lines: &[(&Frame, &[u8])]) -> Option<usize> {
    if !matches!(lines.first()?.0.reading, Reading::Incomplete) {
        return None;
    }
    let mut joined = Vec::new();
    for (count, (_, bytes)) in lines.iter().take(LONGEST_PRETTY).enumerate() {
        joined.extend_from_slice(bytes);
        joined.push(b'\n');
        match jsonrpc::read(&joined, &jsonrpc::Limits::default()) {
            Reading::Complete(document) => {
                let is_message = super::envelope::attempts_a_message(document.value.as_ref());
                return (count > 0 && is_message).then_some(count + 1);
            }
            Reading::Incomplete => {}
            Reading::Invalid(_) => return None,
        }
    }
    None
}

fn stderr(conversation: &Conversation<'_>, observer: &mut Observer<'_>) {
    for (index, event) in conversation.trace().events.iter().enumerate() {
        if let EventKind::Stderr { payload } = &event.kind {
            if std::str::from_utf8(payload.bytes()).is_ok() {
                observer.kept("transport-stdio/stderr-free-form", index);
            } else {
                let message = format!("stderr is not UTF-8: {}", quoted(&payload.text()));
                observer.broken(BreachAt::new("transport-stdio/stderr-free-form", index, message));
            }
        }
    }
}
