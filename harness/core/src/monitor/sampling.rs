//! What a server asks of the client's model: only what the client can do, and tool results that fit what the model wanted.

use std::collections::BTreeSet;

use serde_json::Value;

use super::conversation::Conversation;
use super::declared::{Asked, questions};
use super::tool::dialect;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope, quoted};
use crate::spec::judge::{Judgement, SchemaJudge};

pub(super) const MONITOR: Monitor = Monitor {
    name: "sampling",
    scope: Scope::Either,
    over: EVERYWHERE,
    summary: "sampling uses what the client declared; tool uses and tool results belong together, and come to an end",
    requirements: &[
        "client-features/sampling-context-capability",
        "client-features/sampling-tools-capability",
        "client-features/sampling-tool-result-only",
        "client-features/sampling-tool-use-balanced",
        "client-features/sampling-tool-result-structured",
        "client-features/sampling-tool-loop-limited",
    ],
    judge: observe,
};

/// Turns of a model within one call that are no loop yet.
const MOST_TURNS: usize = 100;

fn observe(conversation: &Conversation<'_>, context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    let questions = questions(&messages, &exchanges);
    let sampling: Vec<&Asked<'_>> = questions
        .iter()
        .filter(|asked| asked.method == "sampling/createMessage")
        .collect();
    for asked in &sampling {
        capabilities(observer, asked);
        conversation_of_the_model(observer, asked, context);
    }
    for call in exchanges.iter().filter(|exchange| exchange.method == "tools/call") {
        let end = call.answers.first().map_or(usize::MAX, |answer| answer.message.event);
        let within = |asked: &&&Asked<'_>| {
            asked.message.event > call.request.event && asked.message.event < end && asked.params.get("tools").is_some()
        };
        let turns = sampling.iter().filter(within).count();
        if turns > MOST_TURNS {
            let text = format!("one call let the model use tools for {turns} turns without an end");
            observer.broken(BreachAt::new(
                "client-features/sampling-tool-loop-limited",
                call.request.event,
                text,
            ));
        }
    }
}

fn capabilities(observer: &mut Observer<'_>, asked: &Asked<'_>) {
    if !asked.client_has("/sampling") {
        return; // That it asks at all is the breach.
    }
    let event = asked.message.event;
    let context = asked.params.get("includeContext").and_then(Value::as_str);
    match context {
        Some(context @ ("thisServer" | "allServers")) if !asked.client_has("/sampling/context") => {
            let text = format!("includeContext is {context}, and the client does not declare sampling.context");
            observer.broken(BreachAt::new(
                "client-features/sampling-context-capability",
                event,
                text,
            ));
        }
        _ => observer.kept("client-features/sampling-context-capability", event),
    }
    let tools = ["tools", "toolChoice"]
        .into_iter()
        .find(|name| asked.params.get(*name).is_some());
    match tools {
        Some(name) if !asked.client_has("/sampling/tools") => {
            let text = format!("a sampling request has `{name}`, and the client does not declare sampling.tools");
            observer.broken(BreachAt::new("client-features/sampling-tools-capability", event, text));
        }
        _ => observer.kept("client-features/sampling-tools-capability", event),
    }
}

/// The content of a message as a list.
fn blocks(message: &Value) -> Vec<&Value> {
    match message.get("content") {
        Some(Value::Array(blocks)) => blocks.iter().collect(),
        Some(block) => vec![block],
        None => Vec::new(),
    }
}

fn of_kind<'v>(message: &'v Value, kind: &str) -> Vec<&'v Value> {
    let is_kind = |block: &&Value| block.get("type").and_then(Value::as_str) == Some(kind);
    blocks(message).into_iter().filter(is_kind).collect()
}

fn ids<'v>(blocks: &[&'v Value], key: &str) -> BTreeSet<&'v str> {
    blocks.iter().filter_map(|block| block.get(key)?.as_str()).collect()
}

/// Tool uses and their results, in the messages of one request.
fn conversation_of_the_model(observer: &mut Observer<'_>, asked: &Asked<'_>, context: &Context<'_>) {
    let event = asked.message.event;
    let none = Vec::new();
    let messages = asked.params.get("messages").and_then(Value::as_array).unwrap_or(&none);
    for (index, message) in messages.iter().enumerate() {
        let results = of_kind(message, "tool_result");
        if !results.is_empty() {
            if results.len() < blocks(message).len() {
                let text = "a message mixes tool results with other content";
                observer.broken(BreachAt::new("client-features/sampling-tool-result-only", event, text));
            } else {
                observer.kept("client-features/sampling-tool-result-only", event);
            }
            structured(observer, asked, context, messages, &results);
        }
        let uses = of_kind(message, "tool_use");
        if uses.is_empty() || message.get("role").and_then(Value::as_str) != Some("assistant") {
            continue;
        }
        let next = messages.get(index + 1);
        let answered = next.map(|next| of_kind(next, "tool_result")).unwrap_or_default();
        let from_user = next.and_then(|next| next.get("role")).and_then(Value::as_str) == Some("user");
        if from_user && ids(&uses, "id") == ids(&answered, "toolUseId") && uses.len() == answered.len() {
            observer.kept("client-features/sampling-tool-use-balanced", event);
        } else {
            let text = format!(
                "a message with {} tool uses is followed by {} matching tool results",
                uses.len(),
                ids(&uses, "id").intersection(&ids(&answered, "toolUseId")).count()
            );
            observer.broken(BreachAt::new("client-features/sampling-tool-use-balanced", event, text));
        }
    }
}

/// Structured results against the output schema of the tool that was used.
fn structured(
    observer: &mut Observer<'_>,
    asked: &Asked<'_>,
    context: &Context<'_>,
    messages: &[Value],
    results: &[&Value],
) {
    for result in results {
        let (Some(id), Some(content)) = (result.get("toolUseId"), result.get("structuredContent")) else {
            continue;
        };
        let uses = messages.iter().flat_map(|message| of_kind(message, "tool_use"));
        let name = uses
            .filter(|used| used.get("id") == Some(id))
            .find_map(|used| used.get("name"));
        let tools = asked
            .params
            .get("tools")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let schema = tools
            .filter(|tool| name.is_some() && tool.get("name") == name)
            .find_map(|tool| tool.get("outputSchema"));
        let Some(judge) = schema.and_then(|schema| SchemaJudge::compile(schema, dialect(context.revision)).ok()) else {
            continue;
        };
        match judge.judge(content) {
            Judgement::Valid => {
                observer.kept("client-features/sampling-tool-result-structured", asked.message.event);
            }
            Judgement::Invalid(_) => {
                let name = name.map(Value::to_string).unwrap_or_default();
                let text = format!(
                    "structuredContent of a tool result does not fit the outputSchema of {}",
                    quoted(&name)
                );
                let breach = BreachAt::new(
                    "client-features/sampling-tool-result-structured",
                    asked.message.event,
                    text,
                );
                observer.broken(breach);
            }
            _ => {}
        }
    }
}
