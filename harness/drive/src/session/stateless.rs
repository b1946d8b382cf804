//! The era without handshake (2026-07-28 and later): every request says in its `_meta` which version it is written in and what the client can do.

use serde_json::{Map, Value, json};
use touchstone_core::revision::{Era, Revision};

use super::answer::{Answer, Outcome};
use super::protocol::{ClientIdentity, Opening, OpeningProblem, Protocol, texts};

/// The `_meta` key of the version that a request is written in.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// The `_meta` key of what the client can do.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// The `_meta` key of who the client is.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// The `_meta` key of who the server is.
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// The code of an unknown method.
const METHOD_NOT_FOUND: i64 = -32601;

/// The era of metadata on every request.
pub struct Stateless {
    client: ClientIdentity,
    version: String,
}

impl Stateless {
    /// A client with this identity that writes requests in `revision`.
    #[must_use]
    pub fn new(revision: Revision, client: ClientIdentity) -> Self {
        Self {
            client,
            version: revision.to_string(),
        }
    }
}

/// Whether a version string names one of the stateless era. Versions are dates, so that later ones sort behind the first.
fn is_stateless(version: &str) -> bool {
    let first = Revision::V2026_07_28.as_str();
    version.len() == first.len() && version.starts_with("20") && version >= first
}

impl Protocol for Stateless {
    fn era(&self) -> Era {
        Era::Stateless
    }

    fn client(&self) -> ClientIdentity {
        self.client.clone()
    }

    fn opening_request(&self, _revision: Revision) -> Option<(String, Value)> {
        Some(("server/discover".to_owned(), json!({})))
    }

    fn opened(&self, revision: Revision, answer: &Answer) -> Result<Opening, OpeningProblem> {
        let (Outcome::Result | Outcome::ToolError, Some(result)) = (answer.outcome, answer.result()) else {
            let mut problem = OpeningProblem::of("server/discover", answer);
            let code = answer
                .message
                .as_ref()
                .and_then(|message| message.pointer("/error/code"));
            // An endpoint of this era answers an unknown method with 404 and the id of the request, one of the older era with another status.
            if code.and_then(Value::as_i64) == Some(METHOD_NOT_FOUND) && answer.status == Some(404) && answer.exact {
                problem.versions.push(self.version.clone());
            }
            return Err(problem);
        };
        let listed = result.get("supportedVersions");
        let versions = listed.map(texts).unwrap_or_default();
        // A list that holds only versions of the older era sends clients there. One that is missing or broken is a mistake of the server, and
        // says nothing of the sort.
        let elsewhere = !versions.is_empty() && !versions.iter().any(|version| is_stateless(version));
        if elsewhere {
            return Err(OpeningProblem {
                versions: versions.clone(),
                ..OpeningProblem::refused(format!(
                    "server/discover names only versions that begin with a handshake: {}",
                    versions.join(", ")
                ))
            });
        }
        let spoken = versions.is_empty() || versions.contains(&self.version);
        Ok(Opening {
            revision: spoken.then_some(revision),
            version: if spoken {
                self.version.clone()
            } else {
                versions.join(", ")
            },
            capabilities: result.get("capabilities").cloned().unwrap_or_else(|| json!({})),
            server: result
                .get("_meta")
                .and_then(|meta| meta.get(SERVER_INFO))
                .cloned()
                .unwrap_or(Value::Null),
            versions,
        })
    }

    fn opening_notification(&self) -> Option<String> {
        None
    }

    fn version_header(&self, revision: Revision) -> Option<String> {
        Some(revision.to_string())
    }

    fn listens(&self) -> bool {
        false
    }

    fn meta(&self) -> Map<String, Value> {
        Map::from_iter([
            (PROTOCOL_VERSION.to_owned(), json!(self.version)),
            (CLIENT_CAPABILITIES.to_owned(), self.client.capabilities.clone()),
            (CLIENT_INFO.to_owned(), self.client.info.clone()),
        ])
    }

    fn dress(&self, method: &str, params: Option<Value>) -> Option<Value> {
        if method.starts_with("notifications/") {
            return params;
        }
        let mut members = match params {
            None => Map::new(),
            Some(Value::Object(members)) => members,
            // Wrong on purpose.
            other => return other,
        };
        let meta = members.entry("_meta").or_insert_with(|| json!({}));
        if let Value::Object(meta) = meta {
            for (key, value) in self.meta() {
                meta.entry(key).or_insert(value);
            }
        }
        Some(Value::Object(members))
    }

    fn probe(&self) -> (&'static str, Option<Value>) {
        ("server/discover", None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocol() -> Stateless {
        let revision = Revision::V2026_07_28;
        Stateless::new(revision, ClientIdentity::touchstone(revision))
    }

    fn opened(message: Value, status: Option<u16>) -> Result<Opening, OpeningProblem> {
        protocol().opened(Revision::V2026_07_28, &Answer::of_message(message, None, status))
    }

    #[test]
    fn every_request_is_dressed_and_what_a_case_says_itself_stays() {
        let dressed = protocol().dress("tools/list", None).unwrap();
        assert_eq!(dressed["_meta"][PROTOCOL_VERSION], "2026-07-28");
        assert!(dressed["_meta"][CLIENT_CAPABILITIES].is_object() && dressed["_meta"][CLIENT_INFO]["name"].is_string());
        let own = json!({ "_meta": { PROTOCOL_VERSION: "x", "progressToken": 1 }, "cursor": "c" });
        let dressed = protocol().dress("tools/list", Some(own)).unwrap();
        assert_eq!(
            (
                &dressed["_meta"][PROTOCOL_VERSION],
                &dressed["_meta"]["progressToken"],
                &dressed["cursor"]
            ),
            (&json!("x"), &json!(1), &json!("c"))
        );
        for odd in [json!([]), json!({ "_meta": 5 })] {
            assert_eq!(protocol().dress("tools/list", Some(odd.clone())), Some(odd));
        }
        assert_eq!(protocol().dress("notifications/cancelled", None), None);
    }

    #[test]
    fn a_discovery_tells_the_version_and_who_the_server_is() {
        let result = json!({ "supportedVersions": ["2025-11-25", "2026-07-28"], "capabilities": { "tools": {} },
            "_meta": { SERVER_INFO: { "name": "s" } } });
        let opening = opened(json!({ "id": 1, "result": result }), None).unwrap();
        assert_eq!(opening.revision, Some(Revision::V2026_07_28));
        assert_eq!(
            (opening.server["name"].as_str(), opening.versions.len()),
            (Some("s"), 2)
        );
        // Mistakes in the result are for the monitors.
        assert!(opened(json!({ "id": 1, "result": {} }), None).is_ok());
    }

    #[test]
    fn only_older_versions_or_only_newer_ones_are_no_common_ground() {
        let discovery = |versions: Value| json!({ "id": 1, "result": { "supportedVersions": versions } });
        assert!(opened(discovery(json!(["2025-11-25"])), None).unwrap_err().refused);
        assert_eq!(opened(discovery(json!(["2027-01-01"])), None).unwrap().revision, None);
    }

    #[test]
    fn an_unknown_method_speaks_for_the_era_only_where_its_status_does() {
        let error = json!({ "id": 1, "error": { "code": -32601, "message": "no" } });
        assert_eq!(opened(error.clone(), Some(404)).unwrap_err().versions, ["2026-07-28"]);
        assert!(opened(error, None).unwrap_err().versions.is_empty());
        let error =
            json!({ "id": 1, "error": { "code": -32022, "message": "no", "data": { "supported": ["2027-01-01"] } } });
        assert_eq!(opened(error, None).unwrap_err().versions, ["2027-01-01"]);
    }
}
