//! From the layered documents to the schema of one revision: what does not exist in the revision is left out, and every mistake in a
//! document is named by document and JSON pointer.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::{Map, Value, json};

use super::{LoadError, Method, MethodKind, RevisionSchemas, check, format};
use crate::pointer::below;
use crate::revision::Revision;
use crate::spec::requirement::Catalog;

/// A document that was read.
pub(super) struct Document {
    name: String,
    content: Value,
}

/// Members that a document may have.
const DOCUMENT_MEMBERS: [&str; 5] = ["description", "$defs", "x-methods", "x-errors", "x-attribute"];
/// The method tables of a document, and whether their methods are answered with a result.
const METHOD_TABLES: [(&str, MethodKind, bool); 4] = [
    ("client-requests", MethodKind::ClientRequest, true),
    ("client-notifications", MethodKind::ClientNotification, false),
    ("server-requests", MethodKind::ServerRequest, true),
    ("server-notifications", MethodKind::ServerNotification, false),
];
const METHOD_MEMBERS: [&str; 6] = ["params", "result", "task-result", "input-result", "x-since", "x-until"];
const TYPES: [&str; 7] = ["null", "boolean", "number", "integer", "string", "array", "object"];

pub(super) fn read<'a>(documents: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Vec<Document>, LoadError> {
    documents
        .into_iter()
        .map(|(name, text)| {
            let content: Value = serde_json::from_str(text).map_err(|error| problem(name, "", &error.to_string()))?;
            let members = content
                .as_object()
                .ok_or_else(|| problem(name, "", "a document is an object"))?;
            if let Some(stranger) = members
                .keys()
                .find(|member| !DOCUMENT_MEMBERS.contains(&member.as_str()))
            {
                return Err(problem(name, &below("", stranger), "unknown member"));
            }
            for table in ["$defs", "x-methods", "x-errors", "x-attribute"] {
                if members.get(table).is_some_and(|value| !value.is_object()) {
                    return Err(problem(name, &below("", table), "an object is needed"));
                }
            }
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
    let mut names = BTreeSet::new();
    for document in documents {
        let derivation = Derivation::new(document, revision, catalog, &names);
        let mut found = Vec::new();
        for (name, schema) in object(&document.content, "$defs").into_iter().flatten() {
            let pointer = below("/$defs", name);
            if derivation.exists(schema, &pointer)? {
                if names.contains(name) || found.contains(name) {
                    return Err(problem(
                        &document.name,
                        &pointer,
                        "a definition of this name exists already",
                    ));
                }
                found.push(name.clone());
            }
        }
        names.extend(found);
    }
    let mut derived = RevisionSchemas {
        definitions: Map::new(),
        methods: BTreeMap::new(),
        errors: BTreeMap::new(),
        requirements: BTreeSet::new(),
        elsewhere: BTreeSet::new(),
    };
    if catalog
        .get(check::NULL_OPTIONAL)
        .is_some_and(|requirement| requirement.level(revision).is_some())
    {
        derived.requirements.insert(check::NULL_OPTIONAL.to_owned());
    }
    for document in documents {
        let mut derivation = Derivation::new(document, revision, catalog, &names);
        for (name, schema) in object(&document.content, "$defs").into_iter().flatten() {
            let pointer = below("/$defs", name);
            if derivation.exists(schema, &pointer)? {
                let mut definition = derivation.schema(schema, &pointer)?;
                if let (Some(attribution), Some(members)) =
                    (document.content.get("x-attribute"), definition.as_object_mut())
                    && !members.contains_key("x-attribute")
                {
                    let attribution = derivation.attribution(attribution, "/x-attribute")?;
                    members.insert("x-attribute".to_owned(), attribution);
                }
                derived.definitions.insert(name.clone(), definition);
            }
        }
        derivation.methods(&document.content, &mut derived.methods)?;
        derivation.errors(&document.content, &mut derived.errors)?;
        derived.requirements.append(&mut derivation.requirements);
    }
    Ok(derived)
}

struct Derivation<'a> {
    revision: Revision,
    catalog: &'a Catalog,
    document: &'a str,
    /// The definitions that exist in the revision, of all documents.
    names: &'a BTreeSet<String>,
    requirements: BTreeSet<String>,
}

impl<'a> Derivation<'a> {
    fn new(document: &'a Document, revision: Revision, catalog: &'a Catalog, names: &'a BTreeSet<String>) -> Self {
        Self {
            revision,
            catalog,
            document: &document.name,
            names,
            requirements: BTreeSet::new(),
        }
    }

    fn problem(&self, pointer: &str, text: &str) -> LoadError {
        problem(self.document, pointer, text)
    }

    /// Whether something that carries `x-since` or `x-until` exists in the revision.
    fn exists(&self, annotated: &Value, pointer: &str) -> Result<bool, LoadError> {
        let bound = |key: &str| -> Result<Option<Revision>, LoadError> {
            let Some(text) = annotated.get(key) else {
                return Ok(None);
            };
            let parsed = text.as_str().and_then(|text| text.parse().ok());
            parsed
                .map(Some)
                .ok_or_else(|| self.problem(&below(pointer, key), &format!("{text} is no revision")))
        };
        let since = bound("x-since")?.is_none_or(|since| since <= self.revision);
        let until = bound("x-until")?.is_none_or(|until| self.revision <= until);
        Ok(since && until)
    }

    /// The schema with everything left out that does not exist in the revision.
    fn schema(&mut self, schema: &Value, pointer: &str) -> Result<Value, LoadError> {
        let Value::Object(members) = schema else {
            return Err(self.problem(pointer, "a schema is an object"));
        };
        let mut derived = Map::new();
        for (keyword, value) in members {
            let here = below(pointer, keyword);
            let value = match keyword.as_str() {
                "description" | "x-since" | "x-until" | "required" | "x-required" => continue,
                "properties" => self.properties(value, &here)?,
                "items" | "additionalProperties" => {
                    if !self.exists(value, &here)? {
                        continue;
                    }
                    self.schema(value, &here)?
                }
                "allOf" => self.parts(value, &here)?,
                "x-choose" => self.choice(members, value, &here)?,
                "x-attribute" => self.attribution(value, &here)?,
                "x-requirement" | "x-breaks" => match self.requirement(value, &here)? {
                    Some(id) => Value::String(id),
                    None => continue,
                },
                _ => {
                    self.plain_keyword(keyword, value, members, &here)?;
                    value.clone()
                }
            };
            derived.insert(keyword.clone(), value);
        }
        let required = self.required(members, derived.get("properties"), pointer)?;
        if !required.is_empty() {
            derived.insert("required".to_owned(), json!(required));
        }
        Ok(Value::Object(derived))
    }

    fn properties(&mut self, value: &Value, pointer: &str) -> Result<Value, LoadError> {
        let members = value
            .as_object()
            .ok_or_else(|| self.problem(pointer, "properties are an object"))?;
        let mut properties = Map::new();
        for (name, property) in members {
            let here = below(pointer, name);
            if self.exists(property, &here)? {
                properties.insert(name.clone(), self.schema(property, &here)?);
            }
        }
        Ok(Value::Object(properties))
    }

    fn parts(&mut self, value: &Value, pointer: &str) -> Result<Value, LoadError> {
        let parts = value
            .as_array()
            .ok_or_else(|| self.problem(pointer, "a list of schemas is needed"))?;
        let mut derived = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let here = below(pointer, &index.to_string());
            if self.exists(part, &here)? {
                derived.push(self.schema(part, &here)?);
            }
        }
        Ok(Value::Array(derived))
    }

    /// `{ by, map, default?, open? }`, where the default is the schema for values that lack the member. Without one and unless it is open, the member must be required and a string in the same schema,
    /// so that its absence or wrong type is reported there.
    fn choice(&mut self, schema: &Map<String, Value>, choose: &Value, pointer: &str) -> Result<Value, LoadError> {
        let known = ["by", "map", "default", "open"];
        if let Some(stranger) = choose
            .as_object()
            .into_iter()
            .flatten()
            .find(|(key, _)| !known.contains(&key.as_str()))
        {
            return Err(self.problem(&below(pointer, stranger.0), "unknown member of a choice"));
        }
        let by = choose
            .get("by")
            .and_then(Value::as_str)
            .ok_or_else(|| self.problem(pointer, "`by` names no member"))?;
        let choices = object(choose, "map").ok_or_else(|| self.problem(pointer, "`map` is missing"))?;
        let mut map = Map::new();
        for (choice, target) in choices {
            let here = below(&below(pointer, "map"), choice);
            if self.exists(target, &here)? {
                map.insert(choice.clone(), self.schema(target, &here)?);
            }
        }
        let default = choose
            .get("default")
            .map(|default| self.schema(default, &below(pointer, "default")))
            .transpose()?;
        let open = choose.get("open").is_some_and(|open| open == &Value::Bool(true));
        let reported = schema
            .get("required")
            .and_then(Value::as_array)
            .is_some_and(|names| names.contains(&json!(by)))
            && schema
                .get("properties")
                .and_then(|properties| properties.get(by)?.get("type"))
                == Some(&json!("string"));
        if default.is_none() && !open && !reported {
            return Err(self.problem(pointer, &format!("{by:?} must be a required string in the same schema")));
        }
        let mut derived = json!({ "by": by, "map": map, "open": open });
        if let Some(default) = default {
            derived["default"] = default;
        }
        Ok(derived)
    }

    /// From requirement ids (or `*`, any other) to the id that counts inside; null where faults inside name no requirement of their own.
    fn attribution(&mut self, value: &Value, pointer: &str) -> Result<Value, LoadError> {
        let members = value
            .as_object()
            .ok_or_else(|| self.problem(pointer, "an attribution is an object"))?;
        let mut derived = Map::new();
        for (from, to) in members {
            let here = below(pointer, from);
            if from != "*" && self.catalog.get(from).is_none() {
                return Err(self.problem(&here, &format!("unknown requirement {from}")));
            }
            let to = if to.is_null() {
                None
            } else {
                self.requirement(to, &here)?
            };
            derived.insert(from.clone(), json!(to));
        }
        Ok(Value::Object(derived))
    }

    /// The first of the named requirements that exists in the revision.
    fn requirement(&mut self, value: &Value, pointer: &str) -> Result<Option<String>, LoadError> {
        let ids: Option<Vec<&str>> = match value {
            Value::String(id) => Some(vec![id]),
            Value::Array(ids) => ids.iter().map(Value::as_str).collect(),
            _ => None,
        };
        let ids = ids.ok_or_else(|| self.problem(pointer, "a requirement is an id or a list of ids"))?;
        let mut first = None;
        for id in ids {
            let known = self.catalog.get(id);
            let known = known.ok_or_else(|| self.problem(pointer, &format!("unknown requirement {id}")))?;
            if first.is_none() && known.level(self.revision).is_some() {
                first = Some(id.to_owned());
            }
        }
        self.requirements.extend(first.clone());
        Ok(first)
    }

    /// The members that are required in the revision: `required`, and those of `x-required` whose bounds hold.
    fn required(
        &self,
        schema: &Map<String, Value>,
        properties: Option<&Value>,
        pointer: &str,
    ) -> Result<Vec<String>, LoadError> {
        let written = |name: &str| {
            schema
                .get("properties")
                .is_some_and(|properties| properties.get(name).is_some())
        };
        let exists = |name: &str| properties.is_some_and(|properties| properties.get(name).is_some());
        let mut required = Vec::new();
        if let Some(names) = schema.get("required") {
            let here = below(pointer, "required");
            let names = strings(names).ok_or_else(|| self.problem(&here, "a list of names is needed"))?;
            if let Some(stranger) = names.iter().find(|name| !written(name)) {
                return Err(self.problem(&here, &format!("there is no property {stranger:?}")));
            }
            required.extend(names.into_iter().filter(|name| exists(name)).map(str::to_owned));
        }
        if schema.get("x-required").is_some_and(|bounds| !bounds.is_object()) {
            return Err(self.problem(&below(pointer, "x-required"), "an object of bounds is needed"));
        }
        for (name, bounds) in schema
            .get("x-required")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let here = below(&below(pointer, "x-required"), name);
            if !written(name) {
                return Err(self.problem(&here, &format!("there is no property {name:?}")));
            }
            if self.exists(bounds, &here)? && exists(name) {
                required.push(name.clone());
            }
        }
        Ok(required)
    }

    /// Checks a keyword whose value is taken over as it is.
    fn plain_keyword(
        &self,
        keyword: &str,
        value: &Value,
        schema: &Map<String, Value>,
        pointer: &str,
    ) -> Result<(), LoadError> {
        let fits = match keyword {
            "type" => {
                let names = value.as_str().map(|name| vec![name]).or_else(|| strings(value));
                names.is_some_and(|names| !names.is_empty() && names.iter().all(|name| TYPES.contains(name)))
            }
            "enum" => value.is_array(),
            "const" => true,
            "minimum" | "maximum" => value.is_number(),
            "minItems" | "maxItems" | "minLength" => value.is_u64(),
            "pattern" => value.as_str().is_some_and(|pattern| Regex::new(pattern).is_ok()),
            "format" => {
                if value.as_str().is_none_or(|name| !format::is_known(name)) {
                    return Err(self.problem(pointer, &format!("unknown format {value}")));
                }
                true
            }
            "$ref" => {
                let target = value.as_str().and_then(|target| target.strip_prefix("#/$defs/"));
                if target.is_none_or(|target| !self.names.contains(target)) {
                    let text = format!("there is no definition {value} in {}", self.revision);
                    return Err(self.problem(pointer, &text));
                }
                true
            }
            "x-one-of" => strings(value).is_some_and(|names| {
                let written = |name: &&str| schema.get("properties").is_some_and(|all| all.get(*name).is_some());
                !names.is_empty() && names.iter().all(written)
            }),
            "x-absent" => value == &Value::Bool(true),
            "x-at-most" => matches!(value.as_str(), Some("warn" | "info")),
            _ => return Err(self.problem(pointer, "unknown keyword")),
        };
        if fits {
            Ok(())
        } else {
            Err(self.problem(pointer, &format!("{value} is no value for this keyword")))
        }
    }

    fn methods(
        &self,
        document: &Value,
        methods: &mut BTreeMap<MethodKind, BTreeMap<String, Method>>,
    ) -> Result<(), LoadError> {
        let tables = object(document, "x-methods");
        for table in tables.into_iter().flat_map(Map::keys) {
            if !METHOD_TABLES.iter().any(|(name, ..)| name == table) {
                return Err(self.problem(&below("/x-methods", table), "unknown table of methods"));
            }
        }
        for (table, kind, answered) in METHOD_TABLES {
            let entries = tables.and_then(|tables| tables.get(table)).and_then(Value::as_object);
            for (method, entry) in entries.into_iter().flatten() {
                let here = below(&below("/x-methods", table), method);
                if let Some((stranger, _)) = entry
                    .as_object()
                    .into_iter()
                    .flatten()
                    .find(|(key, _)| !METHOD_MEMBERS.contains(&key.as_str()))
                {
                    return Err(self.problem(&below(&here, stranger), "unknown member of a method"));
                }
                if !self.exists(entry, &here)? {
                    continue;
                }
                let params = self.definition(entry, "params", &here)?;
                let params = params.ok_or_else(|| self.problem(&here, "the definition of its params is missing"))?;
                let result = self.definition(entry, "result", &here)?;
                if result.is_some() != answered {
                    return Err(self.problem(&here, "requests name a definition of their result, notifications none"));
                }
                // A method that lives longer than tasks and input requests do names definitions which other revisions lack.
                let other = |member: &str| {
                    let name = entry.get(member).and_then(Value::as_str);
                    name.filter(|name| self.names.contains(*name)).map(str::to_owned)
                };
                let (task_result, input_result) = (other("task-result"), other("input-result"));
                methods.entry(kind).or_default().insert(
                    method.clone(),
                    Method {
                        params,
                        result,
                        task_result,
                        input_result,
                    },
                );
            }
        }
        Ok(())
    }

    fn errors(&self, document: &Value, errors: &mut BTreeMap<i64, String>) -> Result<(), LoadError> {
        for (code, entry) in object(document, "x-errors").into_iter().flatten() {
            let here = below("/x-errors", code);
            if self.exists(entry, &here)? {
                let code = code
                    .parse()
                    .map_err(|_| self.problem(&here, "an error code is an integer"))?;
                let data = self.definition(entry, "data", &here)?;
                errors.insert(
                    code,
                    data.ok_or_else(|| self.problem(&here, "the definition of its data is missing"))?,
                );
            }
        }
        Ok(())
    }

    /// The definition that a member of a table names.
    fn definition(&self, entry: &Value, member: &str, pointer: &str) -> Result<Option<String>, LoadError> {
        let Some(name) = entry.get(member) else { return Ok(None) };
        match name.as_str().filter(|name| self.names.contains(*name)) {
            Some(name) => Ok(Some(name.to_owned())),
            None => {
                let text = format!("there is no definition {name} in {}", self.revision);
                Err(self.problem(&below(pointer, member), &text))
            }
        }
    }
}

pub(super) fn object<'a>(value: &'a Value, member: &str) -> Option<&'a Map<String, Value>> {
    value.get(member)?.as_object()
}

/// A list that holds nothing but strings.
fn strings(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

fn problem(document: &str, pointer: &str, problem: &str) -> LoadError {
    LoadError {
        document: document.to_owned(),
        pointer: pointer.to_owned(),
        problem: problem.to_owned(),
    }
}
