//! Fixtures: tools, prompts and resources that a server offers so that it can be tested, known by their names.
//!
//! The catalog is data (`cases/fixtures.yaml`, and a mapping of the user's own, which comes first): for each kind that a need
//! `fixture:KIND` may name, the offers that satisfy it. Whether a server has one of them is asked of its lists.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::model::RevisionRange;
use super::suite::LoadError;
use crate::revision::Revision;

/// Kinds of fixtures, each with the offers that satisfy it, the best first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct FixtureCatalog {
    kinds: BTreeMap<String, Vec<Offer>>,
}

/// One thing that satisfies a kind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawOffer")]
pub struct Offer {
    /// What it is.
    pub what: Offered,
    /// Its name, or the URI of a resource.
    pub name: String,
    /// The arguments to call it with.
    pub arguments: Value,
    /// Further values that cases may use.
    pub also: Map<String, Value>,
    /// The revisions in which it counts.
    pub revisions: RevisionRange,
    /// The name is a common word: a tool counts only where calling it is allowed anyway.
    pub if_callable: bool,
}

/// What a fixture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
    /// A resource.
    Resource,
}

impl Offered {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawOffer {
    tool: Option<String>,
    prompt: Option<String>,
    resource: Option<String>,
    #[serde(default)]
    arguments: Map<String, Value>,
    #[serde(default)]
    also: Map<String, Value>,
    #[serde(default)]
    revisions: RevisionRange,
    #[serde(default)]
    if_callable: bool,
}

impl TryFrom<RawOffer> for Offer {
    type Error = String;

    fn try_from(raw: RawOffer) -> Result<Self, String> {
        let (what, name) = match (raw.tool, raw.prompt, raw.resource) {
            (Some(name), None, None) => (Offered::Tool, name),
            (None, Some(name), None) => (Offered::Prompt, name),
            (None, None, Some(uri)) => (Offered::Resource, uri),
            _ => return Err("a fixture is one of `tool`, `prompt` and `resource`".to_owned()),
        };
        Ok(Self {
            what,
            name,
            arguments: Value::Object(raw.arguments),
            also: raw.also,
            revisions: raw.revisions,
            if_callable: raw.if_callable,
        })
    }
}

impl FromIterator<(String, Offer)> for FixtureCatalog {
    fn from_iter<I: IntoIterator<Item = (String, Offer)>>(offers: I) -> Self {
        let mut kinds: BTreeMap<String, Vec<Offer>> = BTreeMap::new();
        for (kind, offer) in offers {
            kinds.entry(kind).or_default().push(offer);
        }
        Self { kinds }
    }
}

impl FixtureCatalog {
    /// Reads a catalog that was translated to JSON when the program was built.
    ///
    /// # Errors
    /// When the text is no catalog.
    pub fn from_json(path: &str, json: &str) -> Result<Self, LoadError> {
        serde_json::from_str(json).map_err(|error| LoadError::Embedded {
            path: path.to_owned(),
            error: error.to_string(),
        })
    }

    /// The kinds, in alphabetical order.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().map(String::as_str)
    }

    /// What satisfies a kind in a revision, the best first.
    pub fn offers(&self, kind: &str, revision: Revision) -> impl Iterator<Item = &Offer> {
        self.kinds
            .get(kind)
            .into_iter()
            .flatten()
            .filter(move |offer| offer.revisions.contains(revision))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_one_thing_and_counts_in_its_revisions() {
        let text = "log-tool:\n  - tool: old\n    revisions: { until: '2025-03-26' }\n  - tool: new\n    arguments: { a: 1 }\n";
        let catalog: FixtureCatalog = crate::yaml::parse("fixtures.yaml", text).unwrap();
        let names = |revision| -> Vec<&str> {
            let offers = catalog.offers("log-tool", revision);
            offers.map(|offer| offer.name.as_str()).collect()
        };
        assert_eq!(names(Revision::V2025_03_26), ["old", "new"]);
        assert_eq!(names(Revision::V2025_06_18), ["new"]);
        assert_eq!(catalog.offers("other", Revision::V2025_06_18).count(), 0);
        for broken in ["k:\n  - arguments: {}\n", "k:\n  - { tool: a, prompt: b }\n"] {
            assert!(crate::yaml::parse::<FixtureCatalog>("fixtures.yaml", broken).is_err());
        }
    }
}
