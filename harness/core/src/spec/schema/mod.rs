//! Message schemas, layered: one set of documents holds every revision, and the schema of one revision is derived from it.
//!
//! ```text
//! cases/schemas/*.json ──► SchemaLibrary ──► derive ──► RevisionSchemas ──► check(definition, value) ──► Checked
//! ```
//!
//! Beyond plain JSON Schema the documents use:
//! - `x-since`, `x-until` on a definition, property, choice or method: the revisions in which it exists;
//! - `x-requirement`: the requirement that a fault at this place breaks, one id or several of which the first that exists in the revision counts;
//! - `x-choose`: `{by, map}` picks a definition by a member's value, so that an error names the field and not "none of the schemas";
//! - `x-methods`: which definitions describe the params and results of which methods.
//!
//! All objects are open. Optional means absent, not null. `5.0` is an integer.

mod check;
mod derive;
mod format;

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
    /// JSON pointer into it.
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
    requirements: BTreeSet<String>,
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
        Ok(Self {
            revisions: revisions.collect::<Result<_, _>>()?,
        })
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
            .map(|(name, schema)| (name.clone(), derive::plain(schema)))
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
        check::check(&self.definitions, definition, value)
    }

    /// The definition of the result of a request that a client sends.
    #[must_use]
    pub fn result_definition(&self, method: &str) -> Option<&str> {
        self.method(MethodKind::ClientRequest, method)?.result.as_deref()
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

    fn params(&self, kind: MethodKind, method: &str) -> Option<&str> {
        self.method(kind, method).map(|method| method.params.as_str())
    }

    fn method(&self, kind: MethodKind, method: &str) -> Option<&Method> {
        self.methods.get(&kind)?.get(method)
    }
}

#[cfg(test)]
mod tests;
