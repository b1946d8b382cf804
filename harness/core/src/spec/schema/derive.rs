//! From the layered documents to the schema of one revision.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{LoadError, Method, MethodKind, RevisionSchemas, format};
use crate::revision::Revision;
use crate::spec::requirement::Catalog;

/// A document that was read.
pub(super) struct Document {
    name: String,
    content: Value,
}

/// Keywords that documents may use in a schema.
const KEYWORDS: [&str; 23] = [
    "type",
    "properties",
    "required",
    "items",
    "enum",
    "const",
    "additionalProperties",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minLength",
    "pattern",
    "$ref",
    "allOf",
    "format",
    "description",
    "x-since",
    "x-until",
    "x-requirement",
    "x-choose",
    "anyOf",
    "maxLength",
];

pub(super) fn read<'a>(documents: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Vec<Document>, LoadError> {
    documents
        .into_iter()
        .map(|(name, text)| {
            let content = serde_json::from_str(text).map_err(|error| problem(name, "", &error.to_string()))?;
            Ok(Document {
                name: name.to_owned(),
                content,
            })
        })
        .collect()
}

pub(super) fn derive(
    documents: &[Document],
    revision: Revision,
    catalog: &Catalog,
) -> Result<RevisionSchemas, LoadError> {
    let mut derivation = Derivation {
        revision,
        catalog,
        document: "",
        requirements: BTreeSet::new(),
    };
    let mut definitions = Map::new();
    let mut methods: BTreeMap<MethodKind, BTreeMap<String, Method>> = BTreeMap::new();
    for document in documents {
        derivation.document = &document.name;
        for (name, schema) in object(&document.content, "$defs").into_iter().flatten() {
            let pointer = format!("/$defs/{name}");
            if derivation.exists(schema, &pointer)? {
                if definitions.contains_key(name) {
                    return Err(problem(
                        &document.name,
                        &pointer,
                        "a definition of this name exists already",
                    ));
                }
                definitions.insert(name.clone(), derivation.schema(schema, &pointer)?);
            }
        }
        for (kind, key) in [
            (MethodKind::ClientRequest, "client-requests"),
            (MethodKind::ClientNotification, "client-notifications"),
            (MethodKind::ServerRequest, "server-requests"),
            (MethodKind::ServerNotification, "server-notifications"),
        ] {
            let table = document
                .content
                .get("x-methods")
                .and_then(|methods| methods.get(key))
                .and_then(Value::as_object);
            for (method, entry) in table.into_iter().flatten() {
                if derivation.exists(entry, &format!("/x-methods/{key}/{method}"))? {
                    let name = |member: &str| entry.get(member).and_then(Value::as_str).map(str::to_owned);
                    let described = Method {
                        params: name("params").unwrap_or_else(|| "Params".to_owned()),
                        result: name("result"),
                    };
                    methods.entry(kind).or_default().insert(method.clone(), described);
                }
            }
        }
    }
    for document in documents {
        references(&document.content, &mut |reference| {
            let known = documents
                .iter()
                .any(|other| object(&other.content, "$defs").is_some_and(|defs| defs.contains_key(reference)));
            if known {
                Ok(())
            } else {
                Err(problem(
                    &document.name,
                    "",
                    &format!("there is no definition {reference:?}"),
                ))
            }
        })?;
    }
    for method in methods.values().flat_map(BTreeMap::values) {
        for name in std::iter::once(&method.params).chain(&method.result) {
            if !definitions.contains_key(name) {
                return Err(problem("x-methods", name, &format!("no such definition in {revision}")));
            }
        }
    }
    Ok(RevisionSchemas {
        definitions,
        methods,
        requirements: derivation.requirements,
    })
}

struct Derivation<'a> {
    revision: Revision,
    catalog: &'a Catalog,
    document: &'a str,
    requirements: BTreeSet<String>,
}

impl Derivation<'_> {
    /// Whether something that carries `x-since` or `x-until` exists in the revision.
    fn exists(&self, annotated: &Value, pointer: &str) -> Result<bool, LoadError> {
        let bound = |key: &str| -> Result<Option<Revision>, LoadError> {
            let Some(text) = annotated.get(key) else {
                return Ok(None);
            };
            let parsed = text.as_str().and_then(|text| text.parse().ok());
            parsed
                .map(Some)
                .ok_or_else(|| problem(self.document, pointer, &format!("{key} is no revision: {text}")))
        };
        let since = bound("x-since")?.is_none_or(|since| since <= self.revision);
        let until = bound("x-until")?.is_none_or(|until| self.revision <= until);
        Ok(since && until)
    }

    /// The schema with everything left out that does not exist in the revision.
    fn schema(&mut self, schema: &Value, pointer: &str) -> Result<Value, LoadError> {
        let Value::Object(members) = schema else {
            return Err(problem(self.document, pointer, "a schema is an object"));
        };
        let mut derived = Map::new();
        let mut gone: BTreeSet<&str> = BTreeSet::new();
        for (keyword, value) in members {
            let here = format!("{pointer}/{keyword}");
            if !KEYWORDS.contains(&keyword.as_str()) {
                return Err(problem(self.document, &here, "unknown keyword"));
            }
            match keyword.as_str() {
                "x-since" | "x-until" | "required" => {}
                "properties" => {
                    let mut properties = Map::new();
                    for (name, property) in value.as_object().into_iter().flatten() {
                        let here = format!("{here}/{name}");
                        if self.exists(property, &here)? {
                            properties.insert(name.clone(), self.schema(property, &here)?);
                        } else {
                            gone.insert(name);
                        }
                    }
                    derived.insert(keyword.clone(), Value::Object(properties));
                }
                "items" | "additionalProperties" if value.is_object() => {
                    derived.insert(keyword.clone(), self.schema(value, &here)?);
                }
                "allOf" | "anyOf" => {
                    let parts = value.as_array().into_iter().flatten().enumerate();
                    let parts = parts
                        .map(|(index, part)| self.schema(part, &format!("{here}/{index}")))
                        .collect::<Result<_, _>>()?;
                    derived.insert(keyword.clone(), Value::Array(parts));
                }
                "x-choose" => {
                    let mut map = Map::new();
                    for (choice, target) in object(value, "map").into_iter().flatten() {
                        let here = format!("{here}/map/{choice}");
                        if self.exists(target, &here)? {
                            map.insert(choice.clone(), self.schema(target, &here)?);
                        }
                    }
                    derived.insert(keyword.clone(), json!({ "by": value.get("by"), "map": map }));
                }
                "x-requirement" => {
                    if let Some(id) = self.requirement(value, &here)? {
                        self.requirements.insert(id.clone());
                        derived.insert(keyword.clone(), Value::String(id));
                    }
                }
                "format" => {
                    if value.as_str().is_none_or(|name| !format::is_known(name)) {
                        return Err(problem(self.document, &here, "unknown format"));
                    }
                    derived.insert(keyword.clone(), value.clone());
                }
                _ => {
                    derived.insert(keyword.clone(), value.clone());
                }
            }
        }
        if let Some(required) = members.get("required").and_then(Value::as_array) {
            let left = required
                .iter()
                .filter(|name| name.as_str().is_none_or(|name| !gone.contains(name)))
                .cloned()
                .collect();
            derived.insert("required".to_owned(), Value::Array(left));
        }
        Ok(Value::Object(derived))
    }

    /// The first of the named requirements that exists in the revision.
    fn requirement(&self, value: &Value, pointer: &str) -> Result<Option<String>, LoadError> {
        let ids: Vec<&str> = match value {
            Value::String(id) => vec![id],
            Value::Array(ids) => ids.iter().filter_map(Value::as_str).collect(),
            _ => {
                return Err(problem(
                    self.document,
                    pointer,
                    "a requirement is an id or a list of ids",
                ));
            }
        };
        for id in ids {
            let Some(requirement) = self.catalog.get(id) else {
                return Err(problem(self.document, pointer, &format!("unknown requirement {id}")));
            };
            if requirement.level(self.revision).is_some() {
                return Ok(Some(id.to_owned()));
            }
        }
        Ok(None)
    }
}

/// The same schema without keywords of our own.
pub(super) fn plain(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let mut out = Map::new();
            for (keyword, value) in members {
                match keyword.as_str() {
                    "x-requirement" | "format" => {}
                    "x-choose" => {
                        let by = value.get("by").and_then(Value::as_str).unwrap_or_default();
                        let map = object(value, "map");
                        let names: Vec<&String> = map.into_iter().flatten().map(|(name, _)| name).collect();
                        let mut parts = vec![json!({ "required": [by], "properties": { by: { "enum": names } } })];
                        for (name, target) in map.into_iter().flatten() {
                            parts.push(
                                json!({ "if": { "properties": { by: { "const": name } } }, "then": plain(target) }),
                            );
                        }
                        out.insert("allOf".to_owned(), Value::Array(parts));
                    }
                    _ => {
                        out.insert(keyword.clone(), plain(value));
                    }
                }
            }
            Value::Object(out)
        }
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        other => other.clone(),
    }
}

fn references<E>(value: &Value, visit: &mut impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    match value {
        Value::Object(members) => members
            .iter()
            .try_for_each(|(name, member)| match (name.as_str(), member) {
                ("$ref", Value::String(target)) => visit(target.trim_start_matches("#/$defs/")),
                _ => references(member, visit),
            }),
        Value::Array(items) => items.iter().try_for_each(|item| references(item, visit)),
        _ => Ok(()),
    }
}

fn object<'a>(value: &'a Value, member: &str) -> Option<&'a Map<String, Value>> {
    value.get(member)?.as_object()
}

fn problem(document: &str, pointer: &str, problem: &str) -> LoadError {
    LoadError {
        document: document.to_owned(),
        pointer: pointer.to_owned(),
        problem: problem.to_owned(),
    }
}
