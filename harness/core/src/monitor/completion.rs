//! Completions: counts that agree with each other.

use serde_json::Value;

use super::conversation::Conversation;
use super::resource::result;
use super::{BreachAt, Context, EVERYWHERE, Monitor, Observer, Scope};

pub(super) const MONITOR: Monitor = Monitor {
    name: "completion",
    scope: Scope::Either,
    over: EVERYWHERE,
    summary: "total and hasMore of a completion agree with its values",
    requirements: &["completion/total-consistent"],
    judge: observe,
};

fn observe(conversation: &Conversation<'_>, _context: &Context<'_>, observer: &mut Observer<'_>) {
    let messages = conversation.messages();
    let (exchanges, _) = conversation.exchanges(&messages);
    for exchange in exchanges
        .iter()
        .filter(|exchange| exchange.method == "completion/complete")
    {
        let Some((result, event)) = result(exchange) else {
            continue;
        };
        let values = result
            .pointer("/completion/values")
            .and_then(Value::as_array)
            .map(Vec::len);
        let total = result.pointer("/completion/total").and_then(Value::as_u64);
        let (Some(values), Some(total)) = (values, total) else {
            continue;
        };
        let values = values as u64;
        let has_more = result.pointer("/completion/hasMore").and_then(Value::as_bool);
        if total < values {
            let message = format!("total is {total}, but there are {values} values");
            observer.broken(BreachAt::new("completion/total-consistent", event, message));
        } else if has_more == Some(total == values) {
            let message = format!("hasMore contradicts a total of {total} with {values} values");
            observer.broken(BreachAt::new("completion/total-consistent", event, message));
        } else {
            observer.kept("completion/total-consistent", event);
        }
    }
}
