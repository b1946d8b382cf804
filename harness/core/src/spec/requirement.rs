//! The requirement catalog: every rule of every revision, as data.
//!
//! One file per area, a list of entries. A requirement exists in the revisions that its `levels` name and in no other.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::case::Need;
use crate::revision::Revision;
use crate::trace::TransportKind;

/// How binding a requirement is (BCP 14 words).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// A permission, or a check of robustness that no sentence demands.
    #[serde(rename = "MAY")]
    May,
    /// Recommended.
    #[serde(rename = "SHOULD")]
    Should,
    /// Recommended against.
    #[serde(rename = "SHOULD NOT")]
    ShouldNot,
    /// Required.
    #[serde(rename = "MUST")]
    Must,
    /// Forbidden.
    #[serde(rename = "MUST NOT")]
    MustNot,
}

impl Level {
    /// The words of the specification.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::May => "MAY",
            Self::Should => "SHOULD",
            Self::ShouldNot => "SHOULD NOT",
            Self::Must => "MUST",
            Self::MustNot => "MUST NOT",
        }
    }

    /// What a broken requirement of this level means for the run.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Must | Self::MustNot => Severity::Fail,
            Self::Should | Self::ShouldNot => Severity::Warn,
            Self::May => Severity::Info,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// How much a broken observation weighs, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing; never fails a run.
    Info,
    /// Fails a run only with `--strict`.
    Warn,
    /// Fails the run.
    Fail,
}

/// How a requirement can be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Oracle {
    /// By watching any conversation.
    Monitor,
    /// With a specific stimulus.
    Case,
    /// With generated inputs.
    Fuzz,
    /// Not on the wire.
    None,
}

/// What a requirement speaks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The form of messages.
    Wire,
    /// What happens when.
    Behaviour,
    /// Good manners.
    Hygiene,
    /// Protection of users.
    Security,
    /// Types of members.
    Schema,
}

/// How much a black-box test needs to judge a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tier {
    /// MUST somewhere, and needs no fixture.
    A,
    /// SHOULD at most, and needs no fixture.
    B,
    /// Needs a fixture, credentials or a second principal.
    C,
    /// MAY, informational or untestable.
    D,
}

/// One atomic rule.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// `area/slug`, unique in the catalog.
    pub id: String,
    /// The level in each revision that has the rule.
    #[serde(deserialize_with = "revision_map")]
    pub levels: BTreeMap<RevisionKey, Level>,
    /// The conforming behaviour, in our own words.
    pub statement: String,
    /// Where the specification says it.
    #[serde(rename = "ref")]
    pub reference: Reference,
    /// Preconditions, all of which must hold.
    #[serde(deserialize_with = "one_or_many")]
    pub needs: Vec<String>,
    /// What a black-box test does.
    pub test: String,
    /// What it speaks about.
    pub kind: Kind,
    /// What judging it takes.
    pub tier: Tier,
    /// How it can be judged.
    #[serde(deserialize_with = "one_or_many")]
    pub oracle: Vec<Oracle>,
    /// Where the level comes from when no keyword stands at the reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
    /// Where the text is unclear, and how to grade it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambiguity: Option<String>,
    /// What real servers do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
    /// A milder grade than the level in some revisions, because the text is ambiguous.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "revision_map"
    )]
    pub grade: BTreeMap<RevisionKey, Severity>,
    /// Why no monitor, schema or case judges it. A `test` that begins with `untestable:` says so already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unjudged: Option<String>,
}

/// A revision as it is spelled in data files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevisionKey(pub Revision);

/// Places in the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// The same for all revisions of the requirement.
    Same(Vec<String>),
    /// By revision.
    ByRevision(BTreeMap<RevisionKey, Vec<String>>),
}

impl Requirement {
    /// The level in `revision`, or `None` where the rule does not exist.
    #[must_use]
    pub fn level(&self, revision: Revision) -> Option<Level> {
        self.levels.get(&RevisionKey(revision)).copied()
    }

    /// What breaking the requirement means in `revision`: the level's severity, or the milder grade that its ambiguity asks for.
    #[must_use]
    pub fn severity(&self, revision: Revision) -> Option<Severity> {
        let severity = self.level(revision)?.severity();
        Some(
            self.grade
                .get(&RevisionKey(revision))
                .map_or(severity, |grade| severity.min(*grade)),
        )
    }

    /// Why nothing judges the requirement, where that is meant to stay so.
    #[must_use]
    pub fn unjudged_because(&self) -> Option<&str> {
        let untestable = || self.test.strip_prefix("untestable:").map(str::trim);
        self.unjudged.as_deref().or_else(untestable)
    }

    /// The area, which is the part of the id before the slash.
    #[must_use]
    pub fn area(&self) -> &str {
        self.id.split_once('/').map_or(self.id.as_str(), |(area, _)| area)
    }

    /// Places in the specification for `revision`, as links where they are pages of the specification.
    #[must_use]
    pub fn links(&self, revision: Revision) -> Vec<String> {
        let places = match &self.reference {
            Reference::Same(places) => places.as_slice(),
            Reference::ByRevision(map) => map.get(&RevisionKey(revision)).map_or(&[][..], Vec::as_slice),
        };
        places.iter().map(|place| link(place, revision)).collect()
    }

    /// Whether the rule can hold on `transport` at all, judged by the transports among its needs.
    #[must_use]
    pub fn applies_to(&self, transport: TransportKind) -> bool {
        self.needs.iter().all(|need| match need.as_str() {
            "stdio" => transport == TransportKind::Stdio,
            "streamable-http" => transport == TransportKind::StreamableHttp,
            "http-sse" => transport == TransportKind::HttpSse,
            "http" => transport.is_http(),
            _ => true,
        })
    }
}

/// The address of a place in the specification, for a reader to open.
fn link(place: &str, revision: Revision) -> String {
    if place.starts_with("https://") {
        return place.to_owned();
    }
    if let Some(name) = place.strip_prefix("schema.ts#") {
        return format!(
            "https://modelcontextprotocol.io/specification/{revision}/schema#{}",
            name.to_lowercase()
        );
    }
    if let Some(page) = place.strip_prefix("docs:") {
        return format!("https://modelcontextprotocol.io/docs/{page}");
    }
    let is_page = ["basic", "server", "client", "architecture", "changelog", "index"]
        .iter()
        .any(|root| place.starts_with(root));
    if is_page {
        format!("https://modelcontextprotocol.io/specification/{revision}/{place}")
    } else {
        place.to_owned()
    }
}

/// All requirements, by id.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    requirements: BTreeMap<String, Requirement>,
}

/// Why a catalog cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file is not what it must be.
    #[error("requirement file {file}: {error}")]
    File {
        /// The file's name.
        file: String,
        /// What the reader said.
        error: String,
    },
    /// Two entries have the same id.
    #[error("requirement {0} is defined twice")]
    Twice(String),
    /// An entry stands in the file of another area.
    #[error("requirement {id} does not belong into {file}")]
    Misplaced {
        /// The entry.
        id: String,
        /// The file.
        file: String,
    },
    /// An entry needs something that nobody knows.
    #[error("requirement {id}: {problem}")]
    Need {
        /// The entry.
        id: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Catalog {
    /// Loads a catalog from `(area, JSON text)` pairs.
    ///
    /// # Errors
    /// When a file is malformed, an id occurs twice or stands in the wrong file, or an entry needs something unknown.
    pub fn from_json<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, CatalogError> {
        let mut catalog = Self::default();
        for (area, text) in files {
            let entries: Vec<Requirement> = serde_json::from_str(text).map_err(|error| CatalogError::File {
                file: area.to_owned(),
                error: error.to_string(),
            })?;
            catalog.add(area, entries)?;
        }
        Ok(catalog)
    }

    /// Adds the entries of one area.
    ///
    /// # Errors
    /// When an id occurs twice or belongs to another area, or an entry needs something unknown.
    pub fn add(&mut self, area: &str, entries: Vec<Requirement>) -> Result<(), CatalogError> {
        for entry in entries {
            if entry.area() != area {
                return Err(CatalogError::Misplaced {
                    id: entry.id,
                    file: area.to_owned(),
                });
            }
            if self.requirements.contains_key(&entry.id) {
                return Err(CatalogError::Twice(entry.id));
            }
            for need in &entry.needs {
                if let Err(problem) = need.parse::<Need>() {
                    return Err(CatalogError::Need { id: entry.id, problem });
                }
            }
            self.requirements.insert(entry.id.clone(), entry);
        }
        Ok(())
    }

    /// The requirement with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Requirement> {
        self.requirements.get(id)
    }

    /// All requirements, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Requirement> {
        self.requirements.values()
    }

    /// The requirements that exist in `revision`.
    pub fn of(&self, revision: Revision) -> impl Iterator<Item = (&Requirement, Level)> {
        self.iter()
            .filter_map(move |requirement| requirement.level(revision).map(|level| (requirement, level)))
    }

    /// The known id that is spelled most like `id`, for "did you mean".
    #[must_use]
    pub fn nearest(&self, id: &str) -> Option<&str> {
        crate::spelling::nearest(id, self.requirements.keys().map(String::as_str))
    }
}

impl Serialize for RevisionKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for RevisionKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

impl Serialize for Reference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Same(places) => places.serialize(serializer),
            Self::ByRevision(map) => map.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReferenceVisitor)
    }
}

struct ReferenceVisitor;

impl<'de> Visitor<'de> for ReferenceVisitor {
    type Value = Reference;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a place, a list of places, or a map from revision to either")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Reference, E> {
        Ok(Reference::Same(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Reference, A::Error> {
        let mut places = Vec::new();
        while let Some(place) = sequence.next_element()? {
            places.push(place);
        }
        Ok(Reference::Same(places))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reference, A::Error> {
        let mut places = BTreeMap::new();
        while let Some((revision, OneOrMany(list))) = map.next_entry::<RevisionKey, OneOrMany<String>>()? {
            places.insert(revision, list);
        }
        Ok(Reference::ByRevision(places))
    }
}

/// A list that may be written as its single element.
struct OneOrMany<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a value or a list of values")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(de::value::StrDeserializer::new(text)).map(|value| OneOrMany(vec![value]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = sequence.next_element()? {
                    values.push(value);
                }
                Ok(OneOrMany(values))
            }
        }
        deserializer.deserialize_any(ListVisitor(std::marker::PhantomData))
    }
}

/// Deserialises a list that may be written as its single element.
pub(crate) fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    OneOrMany::deserialize(deserializer).map(|OneOrMany(values)| values)
}

fn revision_map<'de, D, T>(deserializer: D) -> Result<BTreeMap<RevisionKey, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    BTreeMap::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"[{
        "id": "tools/name-unique",
        "levels": {"2024-11-05": "SHOULD", "2025-11-25": "MUST"},
        "statement": "Tool names are unique.",
        "ref": {"2024-11-05": "server/tools#tool", "2025-11-25": ["server/tools#tool-names", "schema.ts#Tool"]},
        "needs": "tools",
        "test": "Compare.",
        "kind": "behaviour",
        "tier": "B",
        "oracle": ["monitor", "case"],
        "grade": {"2025-11-25": "warn"}
    }]"#;

    fn sample() -> Catalog {
        Catalog::from_json([("tools", SAMPLE)]).unwrap()
    }

    #[test]
    fn a_requirement_exists_only_in_the_revisions_it_names() {
        let catalog = sample();
        let requirement = catalog.get("tools/name-unique").unwrap();
        assert_eq!(requirement.level(Revision::V2024_11_05), Some(Level::Should));
        assert_eq!(requirement.level(Revision::V2025_03_26), None);
        assert_eq!(catalog.of(Revision::V2025_06_18).count(), 0);
    }

    #[test]
    fn a_grade_makes_a_level_milder_never_harsher() {
        let catalog = sample();
        let requirement = catalog.get("tools/name-unique").unwrap();
        assert_eq!(requirement.severity(Revision::V2025_11_25), Some(Severity::Warn));
        assert_eq!(requirement.severity(Revision::V2024_11_05), Some(Severity::Warn));
    }

    #[test]
    fn links_lead_to_the_page_of_the_revision() {
        let catalog = sample();
        let links = catalog.get("tools/name-unique").unwrap().links(Revision::V2025_11_25);
        assert_eq!(
            links,
            [
                "https://modelcontextprotocol.io/specification/2025-11-25/server/tools#tool-names",
                "https://modelcontextprotocol.io/specification/2025-11-25/schema#tool",
            ]
        );
    }

    #[test]
    fn a_requirement_in_the_wrong_file_is_refused() {
        let error = Catalog::from_json([("prompts", SAMPLE)]).unwrap_err().to_string();
        assert!(
            error.contains("tools/name-unique") && error.contains("prompts"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_need_is_refused() {
        let text = SAMPLE.replacen(r#""needs": "tools""#, r#""needs": "tols""#, 1);
        assert_ne!(text, SAMPLE);
        let error = Catalog::from_json([("tools", text.as_str())]).unwrap_err().to_string();
        assert!(
            error.contains("tools/name-unique") && error.contains("\"tols\""),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_id_is_answered_with_the_nearest() {
        assert_eq!(sample().nearest("tools/name-uniqe"), Some("tools/name-unique"));
        assert_eq!(sample().nearest("something/else-entirely"), None);
    }
}
