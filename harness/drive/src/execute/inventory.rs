//! What the server offers: its tools, prompts, resources and templates, listed once for each revision.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use touchstone_core::case::Source;
use touchstone_core::case::expectation::lookup;
use touchstone_core::verdict::ToolCoverage;

use crate::session::{Outcome, Session};

/// Most pages of one list that are followed.
const MOST_PAGES: usize = 1000;
/// Most entries of one list that are kept.
const MOST_ITEMS: usize = 10_000;

/// Which tools may be called with valid arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CallPolicy {
    /// Those annotated `readOnlyHint: true`, and those named here.
    #[default]
    ReadOnly,
    /// All.
    All,
    /// None.
    None,
}

/// What a tool may say about being called as a task (2025-11-25).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TaskSupport {
    /// It may not; also what is meant when a tool says nothing.
    Forbidden,
    /// Either way will do.
    Optional,
    /// It must.
    Required,
}

/// Lists of a server.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// Tools, as listed.
    pub tools: Vec<Value>,
    /// Prompts, as listed.
    pub prompts: Vec<Value>,
    /// Resources, as listed.
    pub resources: Vec<Value>,
    /// Resource templates, as listed.
    pub templates: Vec<Value>,
    policy: CallPolicy,
    allowed: BTreeSet<String>,
    /// Whether the server takes tool calls as tasks; without that, what a tool says about tasks means nothing.
    takes_tasks: bool,
    /// Capabilities that are declared, but whose list is an unknown method.
    hollow: BTreeSet<&'static str>,
}

/// The list methods with the capability that offers them and the member that holds the entries.
const LISTS: [(&str, &str, &str); 4] = [
    ("tools/list", "tools", "tools"),
    ("prompts/list", "prompts", "prompts"),
    ("resources/list", "resources", "resources"),
    ("resources/templates/list", "resources", "resourceTemplates"),
];

/// What a walk over a paged list found.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub items: Vec<Value>,
    pub pages: usize,
    pub cursors: Vec<String>,
    /// The walk came to a page without cursor.
    pub ended: bool,
    /// A cursor came twice, so that the walk would never end.
    pub repeated: bool,
    /// How the last request ended.
    pub outcome: Option<Outcome>,
    /// The answer to the last request.
    pub last: Value,
}

impl Inventory {
    /// Lists what the server declares.
    pub(crate) async fn take(session: &mut Session, policy: &CallPolicy, allowed: &BTreeSet<String>) -> Self {
        let mut inventory = Self {
            policy: policy.clone(),
            allowed: allowed.clone(),
            ..Self::default()
        };
        let capabilities = session
            .opening()
            .map(|opening| opening.capabilities.clone())
            .unwrap_or_default();
        inventory.takes_tasks = lookup(&capabilities, "tasks.requests.tools.call").is_some();
        for (method, capability, _) in LISTS {
            if lookup(&capabilities, capability).is_none() || session.closed().is_some() {
                continue;
            }
            let walk = walk(session, method).await;
            if walk.last.pointer("/error/code").and_then(Value::as_i64) == Some(-32601)
                && method != "resources/templates/list"
            {
                inventory.hollow.insert(capability);
            }
            let items = walk.items;
            match method {
                "tools/list" => inventory.tools = items,
                "prompts/list" => inventory.prompts = items,
                "resources/list" => inventory.resources = items,
                _ => inventory.templates = items,
            }
        }
        inventory
    }

    /// Whether a capability is declared, but not there: nothing that needs it says anything new.
    #[must_use]
    pub fn is_hollow(&self, capability: &str) -> bool {
        self.hollow.contains(capability)
    }

    /// Whether a tool may be called with valid arguments.
    #[must_use]
    pub fn callable(&self, tool: &Value) -> bool {
        let named = tool
            .get("name")
            .and_then(Value::as_str)
            .is_some_and(|name| self.allowed.contains(name));
        match self.policy {
            CallPolicy::All => true,
            CallPolicy::None => false,
            CallPolicy::ReadOnly => named || tool.pointer("/annotations/readOnlyHint") == Some(&Value::Bool(true)),
        }
    }

    /// What a tool says about being called as a task.
    fn task_support(&self, tool: &Value) -> TaskSupport {
        let said = tool.pointer("/execution/taskSupport").and_then(Value::as_str);
        match said.filter(|_| self.takes_tasks) {
            Some("required") => TaskSupport::Required,
            Some("optional") => TaskSupport::Optional,
            _ => TaskSupport::Forbidden,
        }
    }

    /// The tools that may be called with valid arguments, and that say one of these things about tasks.
    fn callable_tools(&self, wanted: &[TaskSupport]) -> Vec<Value> {
        let fits = |tool: &&Value| self.callable(tool) && wanted.contains(&self.task_support(tool));
        self.tools.iter().filter(fits).cloned().collect()
    }

    /// Whether a tool, prompt or resource of a kind that a need names is offered; `None` when this cannot be told from the lists.
    #[must_use]
    pub fn fixture(&self, what: &str) -> Option<bool> {
        let task_tools = || self.source(Source::TaskTools);
        (what == "task-tool").then(|| !task_tools().is_empty())
    }

    /// Whether tools that are offered for tests, known by their names, may be called.
    #[must_use]
    pub fn may_call_fixtures(&self) -> bool {
        self.policy != CallPolicy::None
    }

    /// The entries that a `for-each` goes through.
    #[must_use]
    pub fn source(&self, source: Source) -> Vec<Value> {
        match source {
            Source::Tools => self.tools.clone(),
            Source::CallableTools => self.callable_tools(&[TaskSupport::Forbidden, TaskSupport::Optional]),
            Source::PlainTools => {
                let plain = |tool: &Value| tool.pointer("/inputSchema/required/0").is_none();
                let callable = self.source(Source::CallableTools);
                callable.into_iter().filter(plain).collect()
            }
            Source::TaskTools => self.callable_tools(&[TaskSupport::Optional, TaskSupport::Required]),
            Source::OptionalTaskTools => self.callable_tools(&[TaskSupport::Optional]),
            Source::RequiredTaskTools => self.callable_tools(&[TaskSupport::Required]),
            Source::TasklessTools => self.callable_tools(&[TaskSupport::Forbidden]),
            Source::Prompts => self.prompts.clone(),
            Source::PlainPrompts => {
                let readable = |prompt: &Value| prompt.get("arguments").is_none_or(Value::is_array);
                let plain = |prompt: &&Value| readable(prompt) && !arguments(prompt).any(is_required);
                self.prompts.iter().filter(plain).cloned().collect()
            }
            Source::Resources => self.resources.clone(),
            Source::FileResources => self.resources.iter().filter(|entry| is_file(entry)).cloned().collect(),
            Source::ResourceTemplates => self.templates.clone(),
        }
    }

    /// Whether something that a need names was found; `None` when this cannot be told from the lists.
    #[must_use]
    pub fn found(&self, what: &str) -> Option<bool> {
        let tool = |wanted: &dyn Fn(&Value) -> bool| self.source(Source::CallableTools).iter().any(wanted);
        let argument = |wanted: &dyn Fn(&Value) -> bool| self.prompts.iter().flat_map(arguments).any(wanted);
        Some(match what {
            "safe-tool" => tool(&|_| true),
            "required-arg" => tool(&|tool| tool.pointer("/inputSchema/required/0").is_some()),
            "output-schema" => tool(&|tool| tool.get("outputSchema").is_some()),
            "listed-resource" => !self.resources.is_empty(),
            "listed-prompt" => !self.prompts.is_empty(),
            "template" => !self.templates.is_empty(),
            "file-resource" => self.resources.iter().any(is_file),
            "prompt-arg" => argument(&|_| true),
            "required-prompt-arg" => argument(&is_required),
            "completable" => argument(&|_| true) || !self.templates.is_empty(),
            "any-list" => !(self.tools.is_empty() && self.prompts.is_empty() && self.resources.is_empty()),
            _ => return None,
        })
    }

    /// How many tools can be exercised.
    #[must_use]
    pub fn coverage(&self) -> ToolCoverage {
        let callable = self.tools.iter().filter(|tool| self.callable(tool)).count();
        ToolCoverage {
            listed: self.tools.len(),
            callable,
        }
    }
}

/// The arguments that a prompt declares.
fn arguments(prompt: &Value) -> impl Iterator<Item = &Value> {
    prompt.get("arguments").and_then(Value::as_array).into_iter().flatten()
}

/// Whether an argument of a prompt must be given.
fn is_required(argument: &Value) -> bool {
    argument.get("required") == Some(&Value::Bool(true))
}

/// Whether a resource has a `file:` URI.
fn is_file(resource: &Value) -> bool {
    resource
        .get("uri")
        .and_then(Value::as_str)
        .is_some_and(|uri| uri.starts_with("file:"))
}

/// Follows the cursors of a list method, with a seen-set and caps.
pub(super) async fn walk(session: &mut Session, method: &str) -> Walk {
    let member = LISTS.iter().find(|(name, ..)| *name == method).map_or(
        if method == "tasks/list" { "tasks" } else { "items" },
        |(.., member)| *member,
    );
    let mut walk = Walk::default();
    let mut cursor: Option<String> = None;
    while walk.pages < MOST_PAGES && walk.items.len() < MOST_ITEMS {
        let params = cursor.as_ref().map(|cursor| json!({ "cursor": cursor }));
        let answer = session.request(method, params, None).await;
        walk.outcome = Some(answer.outcome);
        walk.last = answer.to_value();
        let Some(result) = answer.result() else { break };
        walk.pages += 1;
        walk.items.extend(
            result
                .get(member)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .cloned(),
        );
        match result.get("nextCursor").and_then(Value::as_str) {
            None => {
                walk.ended = true;
                break;
            }
            Some(next) if walk.cursors.iter().any(|known| known == next) => {
                walk.repeated = true;
                break;
            }
            Some(next) => {
                walk.cursors.push(next.to_owned());
                cursor = Some(next.to_owned());
            }
        }
    }
    walk.items.truncate(MOST_ITEMS);
    walk
}

impl Walk {
    /// The object that expectations look into.
    pub(super) fn to_value(&self) -> Value {
        let mut members = match &self.last {
            Value::Object(members) => members.clone(),
            _ => Map::new(),
        };
        members.insert("items".to_owned(), json!(self.items));
        members.insert("pages".to_owned(), json!(self.pages));
        members.insert("cursors".to_owned(), json!(self.cursors));
        members.insert("ended".to_owned(), json!(self.ended));
        members.insert("repeated-cursor".to_owned(), json!(self.repeated));
        Value::Object(members)
    }
}
