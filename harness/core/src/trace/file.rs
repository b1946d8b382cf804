//! A trace as JSON Lines: a header line, then one event a line. What is read is foreign input: its size is capped.

use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};

use super::{Event, Trace, TransportKind};

/// The format version that is written and read.
const FORMAT: u32 = 1;
/// Largest file that is read. What a trace keeps of a connection is written in less.
const MOST_BYTES: usize = 96 * 1024 * 1024;
/// What an event counts beyond its bytes: many small ones fill the memory as well.
const EVENT_COST: usize = 512;

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
    /// It cannot be read.
    #[error("the trace file cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is larger than any that Touchstone writes.
    #[error(
        "the trace file has more than the {MOST_BYTES} bytes that are read, {EVENT_COST} counted for each event; judge it in parts, each with the header line"
    )]
    TooLarge,
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
        Self::read_json_lines(text.as_bytes())
    }

    /// Reads what [`Trace::to_json_lines`] wrote, line by line.
    ///
    /// # Errors
    /// When it cannot be read, is empty or too large, a line is malformed, or the format is another one.
    pub fn read_json_lines(reader: impl BufRead) -> Result<Self, TraceFileError> {
        let mut reader = reader.take(u64::try_from(MOST_BYTES + 1).unwrap_or(u64::MAX));
        let mut size = 0;
        let mut trace: Option<Self> = None;
        let mut bytes = Vec::new();
        for line in 1.. {
            bytes.clear();
            if reader.read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            size += bytes.len() + EVENT_COST;
            if size > MOST_BYTES {
                return Err(TraceFileError::TooLarge);
            }
            let text = bytes.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let wrong = |error| TraceFileError::Line { line, error };
            let Some(trace) = &mut trace else {
                let header: Header = serde_json::from_slice(text).map_err(wrong)?;
                if header.touchstone_trace != FORMAT {
                    return Err(TraceFileError::Format(header.touchstone_trace));
                }
                trace = Some(Self::new(header.name, header.transport));
                continue;
            };
            trace.events.push(serde_json::from_slice::<Event>(text).map_err(wrong)?);
        }
        trace.ok_or(TraceFileError::Empty)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

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
    fn a_file_without_measure_is_refused() {
        let header = sample().to_json_lines().unwrap().lines().next().unwrap().to_owned() + "\n";
        let event = "{\"at_us\":0,\"event\":\"stdin-closed\"}\n";
        let events = event.repeat(MOST_BYTES / EVENT_COST);
        let error = Trace::from_json_lines(&(header.clone() + &events)).unwrap_err();
        assert!(matches!(error, TraceFileError::TooLarge), "{error}");
        let endless = io::BufReader::new(header.as_bytes().chain(io::repeat(b'\n')));
        let error = Trace::read_json_lines(endless).unwrap_err();
        assert!(matches!(error, TraceFileError::TooLarge), "{error}");
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
