//! What changes while the server runs: a resource that can be subscribed to, and entries of the lists that come and go.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::tools::{Tool, no_arguments, text};
use super::{Answer, Object, Session, resources, string};
use crate::envelope::{Message, RpcError};
use crate::revision::Revision;

/// The resource that changes.
pub(super) const WATCHED: &str = "test://watched-resource";
/// The resource that comes and goes.
pub(super) const EXTRA_RESOURCE: &str = "test://extra-resource";
/// The prompt that comes and goes.
pub(super) const EXTRA_PROMPT: &str = "test_extra_prompt";

/// What has changed in a session.
#[derive(Debug, Default)]
pub(super) struct Changes {
    subscriptions: BTreeSet<String>,
    /// How often the watched resource was changed.
    pub(super) version: u64,
    /// Whether the extra entries are there.
    pub(super) extra: bool,
}

impl Session {
    pub(super) fn subscribe(&mut self, params: &Object) -> Result<Value, RpcError> {
        let uri = string(params, "uri")?;
        resources::contents(self, uri).ok_or_else(|| RpcError::resource_not_found(self.revision, uri))?;
        self.changes.subscriptions.insert(uri.to_owned());
        Ok(json!({}))
    }

    pub(super) fn unsubscribe(&mut self, params: &Object) -> Result<Value, RpcError> {
        let uri = string(params, "uri")?;
        resources::contents(self, uri).ok_or_else(|| RpcError::resource_not_found(self.revision, uri))?;
        self.changes.subscriptions.remove(uri);
        Ok(json!({}))
    }
}

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "test_change_resource",
        title: "Change the watched resource",
        description: "Changes test://watched-resource; those who have subscribed to it are told.",
        read_only: false,
        input: no_arguments,
        output: None,
        run: |session, _, _| {
            session.changes.version += 1;
            let mut answer = text("Changed");
            // In the stateless era it is known elsewhere who is to be told.
            if session.revision.is_stateless() || session.changes.subscriptions.contains(WATCHED) {
                answer.asides.push(Message::Notification {
                    method: "notifications/resources/updated",
                    params: json!({ "uri": WATCHED }),
                });
            }
            Ok(answer)
        },
    },
    Tool {
        name: "test_change_lists",
        title: "Change the lists",
        description: "Adds a tool, a prompt and a resource, or takes them away when they are there.",
        read_only: false,
        input: no_arguments,
        output: None,
        run: |session, _, _| {
            session.changes.come_or_go(session.revision);
            Ok(told(&[
                "notifications/tools/list_changed",
                "notifications/prompts/list_changed",
                "notifications/resources/list_changed",
            ]))
        },
    },
];

/// Tools of the official suite, which has them since there are no sessions.
pub(super) const TOOLS_2026_07_28: &[Tool] = &[
    Tool {
        name: "test_trigger_tool_change",
        title: "Change the list of tools",
        description: "Adds a tool, and takes it away again at once.",
        read_only: false,
        input: no_arguments,
        output: None,
        run: |session, _, _| {
            session.changes.come_or_go(session.revision);
            Ok(told(&["notifications/tools/list_changed"]))
        },
    },
    Tool {
        name: "test_trigger_prompt_change",
        title: "Change the list of prompts",
        description: "Adds a prompt, and takes it away again at once.",
        read_only: false,
        input: no_arguments,
        output: None,
        run: |session, _, _| {
            session.changes.come_or_go(session.revision);
            Ok(told(&["notifications/prompts/list_changed"]))
        },
    },
];

impl Changes {
    /// Adds the extra entries, or takes them away. Where there are no sessions the lists are everybody's, and others may be
    /// in the middle of them: there the entries come and go at once.
    fn come_or_go(&mut self, revision: Revision) {
        if !revision.is_stateless() {
            self.extra = !self.extra;
        }
    }
}

fn told(methods: &[&'static str]) -> Answer {
    let news = methods.iter().map(|method| Message::Notification {
        method,
        params: json!({}),
    });
    Answer {
        asides: news.collect(),
        ..text("Changed")
    }
}

/// The tool that comes and goes.
pub(super) const EXTRA_TOOLS: &[Tool] = &[Tool {
    name: "test_extra_tool",
    title: "Extra tool",
    description: "Is there only at times.",
    read_only: true,
    input: no_arguments,
    output: None,
    run: |_, _, _| Ok(text("Still here")),
}];
