//! Roots: asked for once, and not with every call.

use std::collections::BTreeMap;

use serde_json::Value;

use super::conversation::{Conversation, Direction};
use super::declared::asked;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope};
use crate::jsonrpc::Shape;

pub(super) const MONITOR: Monitor = Monitor {
    name: "roots",
    scope: Scope::Stateful,
    over: EVERYWHERE,
    summary: "the list of roots is not asked for anew with every call",
    requirements: &["client-features/roots-cached"],
    judge: observe,
};

/// Calls of one tool from which on one question for each is too much.
const MANY: usize = 20;

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let questions: Vec<usize> = asked(&messages)
        .iter()
        .filter(|asked| asked.method == "roots/list")
        .map(|asked| asked.message.event)
        .collect();
    let changed = messages.iter().any(|message| {
        message.direction == Direction::ToServer
            && matches!(message.shape, Shape::Notification { method, .. } if method == "notifications/roots/list_changed")
    });
    let Some(first) = questions.first().filter(|_| !changed) else {
        return;
    };
    // Calls of each tool, and how many of them came with a question.
    let mut calls: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for call in exchanges.iter().filter(|exchange| exchange.method == "tools/call") {
        let (Some(name), Some(answer)) = (
            call.request.value.pointer("/params/name").and_then(Value::as_str),
            call.answers.first(),
        ) else {
            continue;
        };
        let within = |event: &&usize| **event > call.request.event && **event < answer.message.event;
        let counts = calls.entry(name).or_default();
        counts.0 += 1;
        counts.1 += usize::from(questions.iter().any(|event| within(&event)));
    }
    for (name, (called, with_question)) in calls {
        if called < MANY || with_question == 0 {
            continue;
        }
        if with_question == called {
            let text = format!("the roots were asked for with each of {called} calls of a tool");
            observer.broken(BreachAt::new("client-features/roots-cached", *first, text).about(name));
        } else {
            observer.kept("client-features/roots-cached", *first);
        }
    }
}
