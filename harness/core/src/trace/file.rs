//! A trace as JSON Lines: a header line, then one event a line.

use serde::{Deserialize, Serialize};

use super::{Event, Trace, TransportKind};

/// The format version that is written and read.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    touchstone_trace: u32,
    name: String,
    transport: TransportKind,
}

/// Why a text is not a trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceFileError {
    /// There is no header line.
    #[error("the trace file is empty; its first line must be a header such as {{\"touchstone_trace\":1,...}}")]
    Empty,
    /// A line is not what it must be.
    #[error("line {line} of the trace file is not valid: {error}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What the JSON reader said.
        error: serde_json::Error,
    },
    /// The file was written by a version that uses another format.
    #[error("the trace file has format {0}; this version reads format {FORMAT}")]
    Format(u32),
}

impl Trace {
    /// Writes the trace as JSON Lines.
    ///
    /// # Errors
    /// When a line cannot be serialised, which the types rule out; kept as an error so that a recording never panics.
    pub fn to_json_lines(&self) -> Result<String, serde_json::Error> {
        let header = Header {
            touchstone_trace: FORMAT,
            name: self.name.clone(),
            transport: self.transport,
        };
        let mut text = serde_json::to_string(&header)?;
        text.push('\n');
        for event in &self.events {
            text.push_str(&serde_json::to_string(event)?);
            text.push('\n');
        }
        Ok(text)
    }

    /// Reads what [`Trace::to_json_lines`] wrote.
    ///
    /// # Errors
    /// When the text is empty, a line is malformed, or the format is another one.
    pub fn from_json_lines(text: &str) -> Result<Self, TraceFileError> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let (_, first) = lines.next().ok_or(TraceFileError::Empty)?;
        let header: Header = serde_json::from_str(first).map_err(|error| TraceFileError::Line { line: 1, error })?;
        if header.touchstone_trace != FORMAT {
            return Err(TraceFileError::Format(header.touchstone_trace));
        }
        let events = lines
            .map(|(index, line)| {
                serde_json::from_str::<Event>(line).map_err(|error| TraceFileError::Line { line: index + 1, error })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            name: header.name,
            transport: header.transport,
            events,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Channel, EventKind, Intent};
    use super::*;

    fn sample() -> Trace {
        let mut trace = Trace::new("2025-06-18/shared", TransportKind::Stdio);
        trace.push(0, EventKind::ProcessStarted { pid: 7 });
        trace.push(
            5,
            EventKind::Sent {
                payload: "{}".into(),
                exchange: None,
                intent: Intent::Proper,
            },
        );
        trace.push(
            9,
            EventKind::Received {
                payload: (&b"\xff"[..]).into(),
                channel: Channel::Stdout,
                exchange: None,
                terminated: true,
            },
        );
        trace.push(
            12,
            EventKind::ProcessExited {
                code: Some(0),
                signal: None,
            },
        );
        trace
    }

    #[test]
    fn a_trace_survives_its_file() {
        let text = sample().to_json_lines().unwrap();
        insta::assert_snapshot!(text, @r#"
        {"touchstone_trace":1,"name":"2025-06-18/shared","transport":"stdio"}
        {"at_us":0,"event":"process-started","pid":7}
        {"at_us":5,"event":"sent","payload":"{}","exchange":null,"intent":"proper"}
        {"at_us":9,"event":"received","payload":{"base64":"/w=="},"channel":"stdout","exchange":null,"terminated":true}
        {"at_us":12,"event":"process-exited","code":0,"signal":null}
        "#);
        assert_eq!(Trace::from_json_lines(&text).unwrap(), sample());
    }

    #[test]
    fn a_broken_line_is_named_by_its_number() {
        let mut text = sample().to_json_lines().unwrap();
        text.push_str("{\"at_us\":\n");
        assert!(
            Trace::from_json_lines(&text)
                .unwrap_err()
                .to_string()
                .starts_with("line 6")
        );
    }
}
