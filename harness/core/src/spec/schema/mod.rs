//! Message schemas, layered: one set of documents holds every revision, and the schema of one revision is derived from it.
//!
//! ```text
//! cases/schemas/*.json ──► SchemaLibrary ──► derive ──► RevisionSchemas ──► check(definition, value) ──► Checked
//! ```
//!
//! Beyond plain JSON Schema the documents use:
//! - `x-since`, `x-until` on a definition, property, part of `allOf`, choice or method: the first and last revision in which it exists;
//! - `x-required`: `{ member: { x-since?, x-until? } }`, where a member is required in some revisions only;
//! - `x-requirement`: the requirement that a fault here breaks, and that is seen to be kept where there is none. One id, or several of which
//!   the first that exists in the revision counts; it holds for everything inside that names no other;
//! - `x-breaks`: the same for faults, where more than the schema is needed to say that the requirement was kept;
//! - `x-attribute`: `{ id: other id or null }` (`*` for any other): what ids inside count as, where several contexts share a definition. On
//!   a document it holds for all of its definitions;
//! - `x-at-most`: `warn` or `info`, the most that a fault here may weigh, where the sources disagree;
//! - `x-choose`: `{ by, map, default?, open? }` picks a schema by a member's value (the default: where the member is absent), so that an
//!   error names the field and not "none of the schemas". An unknown value is a fault of its own unless the choice is open;
//! - `x-one-of`: at least one of these members is there; `x-absent`: the member must not be there at all;
//! - `x-methods`: which definitions describe params and results (`task-result` and `input-result`: what may come in place of the result);
//!   `x-errors`: which describe the data of an error code.
//!
//! All objects are open. Optional means absent, not null. `5.0` is an integer.

mod check;
mod derive;
mod format;
mod plain;

pub use check::{Checked, SchemaFault};

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::requirement::Catalog;
use crate::revision::Revision;

/// Why the schema documents cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema document {document}, at {pointer}: {problem}")]
pub struct LoadError {
    /// The document.
    pub document: String,
    /// JSON pointer into it; empty for the whole document.
    pub pointer: String,
    /// What is wrong.
    pub problem: String,
}

/// The schemas of every revision.
#[derive(Debug, Clone)]
pub struct SchemaLibrary {
    revisions: BTreeMap<Revision, RevisionSchemas>,
}

/// The schemas of one revision.
#[derive(Debug, Clone)]
pub struct RevisionSchemas {
    definitions: Map<String, Value>,
    methods: BTreeMap<MethodKind, BTreeMap<String, Method>>,
    errors: BTreeMap<i64, String>,
    requirements: BTreeSet<String>,
    /// Methods that servers send in other revisions only.
    elsewhere: BTreeSet<String>,
}

/// Who sends a method, and as what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum MethodKind {
    ClientRequest,
    ClientNotification,
    ServerRequest,
    ServerNotification,
}

/// The definitions that describe a method.
#[derive(Debug, Clone)]
struct Method {
    params: String,
    result: Option<String>,
    task_result: Option<String>,
    input_result: Option<String>,
}

impl SchemaLibrary {
    /// Reads documents and derives the schemas of every revision.
    ///
    /// # Errors
    /// When a document is no JSON, uses a keyword that is not understood, or refers to something that does not exist; document and place are
    /// named.
    pub fn load<'a>(
        documents: impl IntoIterator<Item = (&'a str, &'a str)>,
        catalog: &Catalog,
    ) -> Result<Self, LoadError> {
        let documents = derive::read(documents)?;
        let revisions = Revision::ALL
            .into_iter()
            .map(|revision| Ok((revision, derive::derive(&documents, revision, catalog)?)));
        let mut revisions: BTreeMap<Revision, RevisionSchemas> = revisions.collect::<Result<_, _>>()?;
        let every: BTreeSet<String> = revisions
            .values()
            .flat_map(RevisionSchemas::server_methods)
            .map(str::to_owned)
            .collect();
        for schemas in revisions.values_mut() {
            let own: BTreeSet<String> = schemas.server_methods().map(str::to_owned).collect();
            schemas.elsewhere = &every - &own;
        }
        Ok(Self { revisions })
    }

    /// The schemas of a revision.
    ///
    /// # Panics
    /// Never: every revision is derived when the library is loaded.
    #[must_use]
    pub fn for_revision(&self, revision: Revision) -> &RevisionSchemas {
        self.revisions
            .get(&revision)
            .expect("every revision is derived when the library is loaded")
    }
}

impl RevisionSchemas {
    /// The plain JSON Schema (2020-12) of the revision: no keyword of our own, choices written as conditions.
    #[must_use]
    pub fn plain(&self) -> Value {
        let definitions: Map<String, Value> = self
            .definitions
            .iter()
            .map(|(name, schema)| (name.clone(), plain::plain(schema)))
            .collect();
        json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": definitions })
    }

    /// The names of all definitions.
    pub fn definitions(&self) -> impl Iterator<Item = &str> {
        self.definitions.keys().map(String::as_str)
    }

    /// Requirements that a fault can be attributed to.
    pub fn requirements(&self) -> impl Iterator<Item = String> {
        self.requirements.iter().cloned()
    }

    /// Checks a value against a definition. A definition that does not exist has no faults.
    #[must_use]
    pub fn check(&self, definition: &str, value: &Value) -> Checked {
        check::check(&self.definitions, &self.requirements, definition, value)
    }

    /// The definition of the result of a request that a client sends.
    #[must_use]
    pub fn result_definition(&self, method: &str) -> Option<&str> {
        self.method(MethodKind::ClientRequest, method)?.result.as_deref()
    }

    /// The definition of the other result of a request that a client sends: a task, when the request carries `task` and the server takes it up
    /// (2025-11-25), or when the client knows the extension for tasks (2026-07-28).
    #[must_use]
    pub fn task_result_definition(&self, method: &str) -> Option<&str> {
        self.method(MethodKind::ClientRequest, method)?.task_result.as_deref()
    }

    /// The definition of the result with which the server asks for input before it goes on (2026-07-28).
    #[must_use]
    pub fn input_result_definition(&self, method: &str) -> Option<&str> {
        self.method(MethodKind::ClientRequest, method)?.input_result.as_deref()
    }

    /// The definition of the params of a request that a client sends.
    #[must_use]
    pub fn client_request_definition(&self, method: &str) -> Option<&str> {
        self.params(MethodKind::ClientRequest, method)
    }

    /// The definition of the params of a notification that a client sends.
    #[must_use]
    pub fn client_notification_definition(&self, method: &str) -> Option<&str> {
        self.params(MethodKind::ClientNotification, method)
    }

    /// The definition of the params of a request that a server sends.
    #[must_use]
    pub fn server_request_definition(&self, method: &str) -> Option<&str> {
        self.params(MethodKind::ServerRequest, method)
    }

    /// The definition of the result that a client sends.
    #[must_use]
    pub fn client_result_definition(&self, method: &str) -> Option<&str> {
        self.method(MethodKind::ServerRequest, method)?.result.as_deref()
    }

    /// The definition of the params of a notification that a server sends.
    #[must_use]
    pub fn notification_definition(&self, method: &str) -> Option<&str> {
        self.params(MethodKind::ServerNotification, method)
    }

    /// The definition of the `data` of an error with this code.
    #[must_use]
    pub fn error_data_definition(&self, code: i64) -> Option<&str> {
        self.errors.get(&code).map(String::as_str)
    }

    /// Every method that a server may send, requests before notifications, each by name.
    pub fn server_methods(&self) -> impl Iterator<Item = &str> {
        self.sent([MethodKind::ServerRequest, MethodKind::ServerNotification])
    }

    /// Whether servers send the method in some other revision, but not in this one.
    #[must_use]
    pub fn belongs_to_another_revision(&self, method: &str) -> bool {
        self.elsewhere.contains(method)
    }

    /// Every method that a client may send, requests before notifications, each by name.
    pub fn client_methods(&self) -> impl Iterator<Item = &str> {
        self.sent([MethodKind::ClientRequest, MethodKind::ClientNotification])
    }

    fn sent(&self, kinds: [MethodKind; 2]) -> impl Iterator<Item = &str> {
        kinds
            .into_iter()
            .filter_map(|kind| self.methods.get(&kind))
            .flat_map(BTreeMap::keys)
            .map(String::as_str)
    }

    fn params(&self, kind: MethodKind, method: &str) -> Option<&str> {
        self.method(kind, method).map(|method| method.params.as_str())
    }

    fn method(&self, kind: MethodKind, method: &str) -> Option<&Method> {
        self.methods.get(&kind)?.get(method)
    }
}

#[cfg(test)]
mod tests;
