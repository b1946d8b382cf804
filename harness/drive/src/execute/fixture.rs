//! Which fixtures the server under test offers: the known names, looked up in its lists.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use touchstone_core::case::{FixtureCatalog, Offer, Offered};
use touchstone_core::revision::Revision;
use touchstone_core::spec::judge::{Judgement, SchemaJudge};

use super::inventory::Inventory;

/// The fixtures of one server in one revision.
#[derive(Debug, Default)]
pub(super) struct Fixtures {
    found: BTreeMap<String, Value>,
    /// For the kinds that were not found, what to do about it.
    missing: BTreeMap<String, String>,
}

impl Fixtures {
    /// Looks for every kind of the catalogs, of which the first has the first word.
    pub(super) fn find(catalogs: &[&FixtureCatalog], revision: Revision, inventory: &Inventory) -> Self {
        let mut fixtures = Self::default();
        for kind in catalogs.iter().flat_map(|catalog| catalog.kinds()) {
            let offers: Vec<&Offer> = catalogs
                .iter()
                .flat_map(|catalog| catalog.offers(kind, revision))
                .collect();
            if let Some(offer) = offers.iter().find(|offer| is_offered(offer, revision, inventory)) {
                let mut members = offer.also.clone();
                members.insert("name".to_owned(), json!(offer.name));
                members.insert("arguments".to_owned(), offer.arguments.clone());
                fixtures.found.insert(kind.to_owned(), Value::Object(members));
            } else if let Some(best) = offers.first() {
                let hint = match best.what {
                    Offered::Tool if !inventory.may_call_fixtures() => "no tool may be called".to_owned(),
                    what => format!("offer a {} named {}", what.as_str(), best.name),
                };
                fixtures.missing.insert(kind.to_owned(), hint);
            }
        }
        fixtures
    }

    /// Why there is no fixture of the kind, or `None` when there is one.
    pub(super) fn missing(&self, kind: &str) -> Option<String> {
        if self.found.contains_key(kind) {
            return None;
        }
        let words = kind.replace('-', " ");
        let article = if words.starts_with(['a', 'e', 'i', 'o', 'u']) {
            "an"
        } else {
            "a"
        };
        Some(match self.missing.get(kind) {
            Some(hint) => format!("needs {article} {words} ({hint}, see cases/fixtures.yaml)"),
            None => format!("needs {article} {words}"),
        })
    }

    /// What cases see under `fixture`.
    pub(super) fn bindings(&self) -> Value {
        Value::Object(
            self.found
                .iter()
                .map(|(kind, fixture)| (kind.clone(), fixture.clone()))
                .collect::<Map<_, _>>(),
        )
    }
}

/// Whether the server lists it. Of a tool the arguments must fit its schema: another tool may have the same name by chance.
fn is_offered(offer: &Offer, revision: Revision, inventory: &Inventory) -> bool {
    let listed = |items: &[Value], key: &str| items.iter().any(|item| item[key] == offer.name.as_str());
    match offer.what {
        Offered::Prompt => listed(&inventory.prompts, "name"),
        Offered::Resource => listed(&inventory.resources, "uri"),
        Offered::Tool => inventory.tools.iter().any(|tool| {
            tool["name"] == offer.name.as_str()
                && inventory.may_call_fixtures()
                && (!offer.if_callable || inventory.callable(tool))
                && tool.get("inputSchema").is_some_and(|schema| {
                    let judge = SchemaJudge::compile(schema, touchstone_core::monitor::dialect(revision));
                    judge.is_ok_and(|judge| matches!(judge.judge(&offer.arguments), Judgement::Valid))
                })
        }),
    }
}
