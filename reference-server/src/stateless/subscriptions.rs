//! Who listens to what: `subscriptions/listen`, by which a client is told what changes, for as long as it keeps the request
//! open (basic/patterns/subscriptions).

use serde_json::{Map, Value, json};

use super::tasks::{self, Tasks};
use crate::conversation::Output;
use crate::envelope::{Id, Message, Response, RpcError};
use crate::features::{Object, Session};

pub(crate) const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// How many may listen at a time.
const MOST: usize = 1000;

/// The fields of a filter that stand for a list, with the notification about it.
const LISTS: [(&str, &str); 3] = [
    ("toolsListChanged", "notifications/tools/list_changed"),
    ("promptsListChanged", "notifications/prompts/list_changed"),
    ("resourcesListChanged", "notifications/resources/list_changed"),
];

/// All who listen.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    open: Vec<Subscription>,
    /// How many there were.
    opened: u64,
}

/// One who listens.
#[derive(Debug)]
struct Subscription {
    listener: u64,
    /// The id of the request, which every message names. Over HTTP others may have the same.
    id: Id,
    filter: Object,
}

impl Subscription {
    /// The message as it is told to this listener.
    fn tagged(&self, method: &'static str, mut params: Value) -> Output {
        params["_meta"][SUBSCRIPTION_ID] = self.id.value().unwrap_or_default();
        Output::News {
            listener: self.listener,
            message: Message::Notification { method, params },
        }
    }

    fn wants(&self, method: &str, params: &Value) -> bool {
        match LISTS.iter().find(|(_, about)| *about == method) {
            Some((field, _)) => self.filter.contains_key(*field),
            None if method == "notifications/resources/updated" => self.lists("resourceSubscriptions", &params["uri"]),
            None if method == "notifications/tasks" => self.lists("taskIds", &params["taskId"]),
            None => false,
        }
    }

    fn lists(&self, field: &str, entry: &Value) -> bool {
        let entries = self.filter.get(field).and_then(Value::as_array);
        entries.is_some_and(|entries| entries.contains(entry))
    }
}

impl Subscriptions {
    /// Begins to listen: the acknowledgement is the first that the listener is told.
    pub(crate) fn listen(
        &mut self,
        session: &Session,
        tasks: &Tasks,
        id: &Id,
        params: &Object,
    ) -> Result<Vec<Output>, RpcError> {
        let filter = honoured(session, tasks, params)?;
        if self.open.len() >= MOST {
            return Err(RpcError::new(-32603, "Too many subscriptions; end some first"));
        }
        self.opened += 1;
        let subscription = Subscription {
            listener: self.opened,
            id: id.clone(),
            filter,
        };
        let acknowledged = subscription.tagged(
            "notifications/subscriptions/acknowledged",
            json!({ "notifications": subscription.filter }),
        );
        let listener = subscription.listener;
        self.open.push(subscription);
        Ok(vec![Output::Listen { listener }, acknowledged])
    }

    /// What the listeners are told of this news.
    pub(crate) fn tell(&self, news: &Message) -> Vec<Output> {
        let Message::Notification { method, params } = news else {
            return Vec::new();
        };
        self.open
            .iter()
            .filter(|subscription| subscription.wants(method, params))
            .map(|subscription| subscription.tagged(method, params.clone()))
            .collect()
    }

    /// The client has cancelled the request.
    pub(super) fn cancel(&mut self, request: &Value) {
        self.open
            .retain(|subscription| subscription.id.value().as_ref() != Some(request));
    }

    /// The listener has gone.
    pub(crate) fn forget(&mut self, listener: u64) {
        self.open.retain(|subscription| subscription.listener != listener);
    }

    /// Ends those whose requests have the id.
    pub(crate) fn end_named(&mut self, id: &Value) -> Vec<(u64, Response)> {
        let meant = |subscription: &Subscription| subscription.id.value().as_ref() == Some(id);
        let (ended, open) = std::mem::take(&mut self.open).into_iter().partition(meant);
        self.open = open;
        Self { open: ended, opened: 0 }.end()
    }

    /// Ends them all, each with the result that its request was owed all the time (Graceful Closure).
    pub(crate) fn end(&mut self) -> Vec<(u64, Response)> {
        std::mem::take(&mut self.open)
            .into_iter()
            .map(|subscription| {
                let tag = Map::from_iter([(SUBSCRIPTION_ID.to_owned(), subscription.id.value().unwrap_or_default())]);
                let response = Response {
                    id: subscription.id,
                    outcome: Ok(json!({ "_meta": tag })),
                };
                (subscription.listener, response)
            })
            .collect()
    }
}

/// The part of what was asked for that there is.
fn honoured(session: &Session, tasks: &Tasks, params: &Object) -> Result<Object, RpcError> {
    let invalid = |why: String| RpcError::invalid_params(format!("Invalid params: {why}"));
    let asked = params
        .get("notifications")
        .and_then(Value::as_object)
        .ok_or_else(|| invalid("notifications must be an object".to_owned()))?;
    let mut filter = Object::new();
    for (field, _) in LISTS {
        match asked.get(field) {
            Some(Value::Bool(true)) => {
                filter.insert(field.to_owned(), json!(true));
            }
            None | Some(Value::Bool(false)) => {}
            Some(_) => return Err(invalid(format!("{field} must be true or false"))),
        }
    }
    if let Some(uris) = asked.get("resourceSubscriptions") {
        let uris = uris.as_array().filter(|uris| uris.iter().all(Value::is_string));
        let uris = uris.ok_or_else(|| invalid("resourceSubscriptions must be a list of URIs".to_owned()))?;
        let known = |uri: &&Value| uri.as_str().is_some_and(|uri| session.has_resource(uri));
        let known: Vec<&Value> = uris.iter().filter(known).collect();
        filter.insert("resourceSubscriptions".to_owned(), json!(known));
    }
    if let Some(ids) = asked.get("taskIds") {
        if !tasks::declared(session) {
            return Err(tasks::undeclared());
        }
        let ids = ids.as_array().filter(|ids| ids.iter().all(Value::is_string));
        let ids = ids.ok_or_else(|| invalid("taskIds must be a list of ids".to_owned()))?;
        filter.insert(
            "taskIds".to_owned(),
            json!(tasks.known(ids, session.principal.as_ref())),
        );
    }
    Ok(filter)
}
