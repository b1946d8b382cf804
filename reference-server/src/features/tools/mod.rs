//! The tools: listing them, calling one.
//!
//! `catalogue` says what each tool is, `actions` does it. Arguments are checked here against the published schema, and
//! whatever is wrong with them is a result with `isError`, so that a model can read it and try again (server/tools,
//! Error Handling). Only an unknown tool and a malformed call are protocol errors.

mod actions;
mod catalogue;
mod jobs;
mod show;
mod task_tools;

use serde_json::{Value, json};

use self::catalogue::TOOLS;
pub(super) use self::catalogue::{Tool, arguments, no_arguments};
use self::jobs::JOBS;
use super::validation::check;
use super::{Answer, Object, Session, object, paging, string};
use super::{
    apps, asking, changes, content, elicitation, inputs, logging, metadata, reconnection, roots, sampling, tasks,
};
use crate::envelope::RpcError;
use crate::revision::Revision;

impl Session {
    pub(super) fn list_tools(&self, params: &Object) -> Result<Value, RpcError> {
        let items = self.tools().map(|tool| self.describe(tool)).collect();
        paging::page("tools", items, self.page_size, params)
    }

    /// The tools of the revision.
    fn tools(&self) -> impl Iterator<Item = &'static Tool> + use<> {
        let stateless = self.revision.is_stateless();
        let tables: [(bool, &'static [Tool]); 23] = [
            (true, &TOOLS),
            (true, std::slice::from_ref(&show::TOOL)),
            (self.has_tasks(), &JOBS),
            (true, content::TOOLS),
            (self.revision >= Revision::V2025_03_26, content::TOOLS_2025_03_26),
            (self.revision >= Revision::V2025_11_25, content::TOOLS_2025_11_25),
            (true, logging::TOOLS),
            (!stateless, asking::TOOLS),
            (true, roots::TOOLS),
            (true, sampling::TOOLS),
            (self.revision >= Revision::V2025_11_25, sampling::TOOLS_2025_11_25),
            (self.revision >= Revision::V2025_06_18, elicitation::TOOLS_2025_06_18),
            (self.revision >= Revision::V2025_11_25, elicitation::TOOLS_2025_11_25),
            (self.revision == Revision::V2025_11_25, elicitation::REFUSING_TOOLS),
            (self.revision.has_tasks(), elicitation::TASK_TOOLS),
            (self.revision == Revision::V2025_11_25, reconnection::TOOLS),
            (true, changes::TOOLS),
            (stateless, changes::TOOLS_2026_07_28),
            (stateless, inputs::TOOLS),
            (stateless, metadata::TOOLS),
            (stateless, task_tools::TOOLS),
            (stateless, apps::TOOLS),
            (self.changes.extra, changes::EXTRA_TOOLS),
        ];
        let known = tables.into_iter().filter(|(known, _)| *known);
        known.flat_map(|(_, table)| table)
    }

    fn describe(&self, tool: &Tool) -> Value {
        let mut item = json!({
            "name": tool.name,
            "description": tool.description,
            "inputSchema": (tool.input)(),
            // Newer than 2024-11-05, but its objects are open, and a client must know what is safe to call.
            "annotations": { "readOnlyHint": tool.read_only, "destructiveHint": false, "openWorldHint": false },
        });
        if let Some(output) = tool.output.filter(|_| self.has_structured_results()) {
            item["outputSchema"] = output();
        }
        if tool.name == show::NAME {
            item = self.presented(item);
        }
        if tool.name == apps::NAME {
            item["_meta"] = apps::link();
        }
        if let Some(support) = tasks::support(tool.name).filter(|_| self.has_tasks()) {
            item["execution"] = json!({ "taskSupport": support });
        }
        self.titled(item, tool.title)
    }

    /// Structured results came with 2025-06-18.
    fn has_structured_results(&self) -> bool {
        self.revision >= Revision::V2025_06_18
    }

    /// The schema of a tool's arguments.
    pub(crate) fn schema_of(&self, tool: &str) -> Option<Value> {
        let tool = self.tools().find(|known| known.name == tool)?;
        Some((tool.input)())
    }

    pub(super) fn call_tool(&mut self, params: &Object) -> Result<Answer, RpcError> {
        let name = string(params, "name")?;
        let none = Object::new();
        let arguments = object(params, "arguments")?.unwrap_or(&none);
        let tool = self
            .tools()
            .find(|tool| tool.name == name)
            .ok_or_else(|| RpcError::invalid_params(format!("Unknown tool: {name}")))?;
        let ttl = self.task_asked_for(name, params)?;
        let answer = self.run_tool(tool, arguments, params);
        match ttl {
            Some(ttl) => self.begin_task(ttl, answer),
            None => Ok(answer),
        }
    }

    fn run_tool(&mut self, tool: &Tool, arguments: &Object, params: &Object) -> Answer {
        if let Err(violation) = check(&(tool.input)(), &Value::Object(arguments.clone()), "arguments") {
            return failed(&format!("Invalid arguments for {}: {violation}", tool.name));
        }
        let token = params.get("_meta").and_then(|meta| meta.get("progressToken"));
        let token = token.filter(|token| token.is_string() || token.is_i64() || token.is_u64());
        match (tool.run)(self, arguments, token) {
            Ok(done) => done,
            Err(message) => failed(&message),
        }
    }
}

/// A result that is one text.
pub(super) fn text(text: &str) -> Answer {
    Answer::from(json!({ "content": [{ "type": "text", "text": text }], "isError": false }))
}

/// A failure the model can read.
pub(super) fn failed(message: &str) -> Answer {
    Answer::from(json!({ "content": [{ "type": "text", "text": message }], "isError": true }))
}
