//! Features that 2026-07-28 keeps and advises against. Whether a server is a new one cannot be seen, so that all of this is worth knowing only.

use serde_json::Value;

use super::conversation::Conversation;
use super::declared::{Declared, questions};
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope};
use crate::revision::Era;

pub(super) const MONITOR: Monitor = Monitor {
    name: "deprecated",
    scope: Scope::Stateless,
    over: EVERYWHERE,
    summary: "logging, sampling, roots and enumNames are on their way out",
    requirements: &[
        "deprecated/logging",
        "deprecated/sampling",
        "deprecated/roots",
        "deprecated/enum-names",
    ],
    judge: observe,
};

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    if let Some(declared) = Declared::of(&exchanges, Era::Stateless)
        && declared.declares("logging")
    {
        let text = "the capability `logging` is declared; it is deprecated";
        observer.broken(BreachAt::new("deprecated/logging", declared.event, text));
    }
    let questions = questions(&messages, &exchanges);
    for asked in questions.iter().filter(|asked| asked.id.is_none()) {
        let event = asked.message.event;
        let uses = |method: &str| asked.method == method;
        for (requirement, method) in [
            ("deprecated/sampling", "sampling/createMessage"),
            ("deprecated/roots", "roots/list"),
        ] {
            if uses(method) {
                let text = format!("the server asks for {method}, which is deprecated");
                observer.broken(BreachAt::new(requirement, event, text));
            } else {
                observer.kept(requirement, event);
            }
        }
        if uses("elicitation/create") {
            let fields = asked.params.pointer("/requestedSchema/properties");
            let fields = fields.and_then(Value::as_object).into_iter().flatten();
            let mut named = fields.filter(|(_, field)| field.get("enumNames").is_some());
            match named.next() {
                Some(_) => {
                    let text =
                        "a form titles its choices by enumNames, which is deprecated; use oneOf with const and title";
                    observer.broken(BreachAt::new("deprecated/enum-names", event, text));
                }
                None => observer.kept("deprecated/enum-names", event),
            }
        }
    }
}
