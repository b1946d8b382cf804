//! Log messages: the level that the client wants, and the tools that log (server/utilities/logging).

use std::time::Duration;

use serde_json::{Value, json};

use super::tools::{Tool, no_arguments, text};
use super::{Answer, Object, Session, string};
use crate::envelope::{Message, RpcError};

/// The levels, from the least severe.
pub(crate) const LEVELS: [&str; 8] = [
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
];

/// Time between two messages of a tool that takes its time.
const PAUSE: Duration = Duration::from_millis(50);

/// The least severe level that is sent, as a position in the list of levels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level(usize);

impl Default for Level {
    /// Everything but `debug`, until the client says what it wants.
    fn default() -> Self {
        Self(1)
    }
}

impl Level {
    /// The level of that name; without a name nothing is logged at all. An error for a name that is none.
    pub(super) fn named(name: Option<&str>) -> Option<Self> {
        match name {
            None => Some(Self(LEVELS.len())),
            Some(name) => LEVELS.iter().position(|level| *level == name).map(Self),
        }
    }
}

impl Session {
    pub(super) fn set_level(&mut self, params: &Object) -> Result<Value, RpcError> {
        let wanted = string(params, "level")?;
        let position = LEVELS.iter().position(|level| *level == wanted).ok_or_else(|| {
            RpcError::invalid_params(format!("Unknown log level {wanted:?}; known are {}", LEVELS.join(", ")))
        })?;
        self.level = Level(position);
        Ok(json!({}))
    }

    /// The message, if the client wants messages of that level.
    pub(super) fn log(&self, level: usize, data: &str) -> Option<Message> {
        (level >= self.level.0).then(|| Message::Notification {
            method: "notifications/message",
            params: json!({ "level": LEVELS[level], "logger": "reference", "data": data }),
        })
    }
}

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "test_tool_with_logging",
        title: "Log while working",
        description: "Logs three messages at level info while it works.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |session, _, _| {
            let steps = [
                "Tool execution started",
                "Tool processing data",
                "Tool execution completed",
            ];
            let logs = steps.into_iter().enumerate().filter_map(|(step, data)| {
                let message = session.log(1, data)?;
                Some((PAUSE * u32::try_from(step).unwrap_or_default(), message))
            });
            Ok(Answer {
                notifications: logs.collect(),
                after: PAUSE * 2,
                ..text("Tool with logging executed successfully")
            })
        },
    },
    Tool {
        name: "test_logging_levels",
        title: "Log at every level",
        description: "Logs one message at each of the eight levels, the least severe first.",
        read_only: true,
        input: no_arguments,
        output: None,
        run: |session, _, _| {
            let logs = (0..LEVELS.len()).filter_map(|level| session.log(level, "One message of each level"));
            Ok(Answer {
                notifications: logs.map(|message| (Duration::ZERO, message)).collect(),
                ..text("Logged at every level")
            })
        },
    },
];
