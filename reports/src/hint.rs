//! What usually repairs a mistake, and what SDKs are known for: data that stands beside a finding and never changes a verdict.

use std::collections::BTreeMap;

use serde::Deserialize;
use touchstone_core::trace::{EventKind, Payload, Trace};

use crate::record::{Excerpt, SdkNote};

/// What is known.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    repairs: BTreeMap<String, String>,
    sdks: Vec<SdkEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    repairs: BTreeMap<String, String>,
    sdks: Vec<SdkEntry>,
}

/// An SDK, how it is recognised, and what it is known for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SdkEntry {
    sdk: String,
    versions: String,
    /// Texts of which one stands somewhere in what the server sent.
    marks: Vec<String>,
    known: Vec<Known>,
}

/// How an SDK is known to break a requirement.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    requirement: String,
    /// Texts that all stand in what proves the finding.
    #[serde(default)]
    evidence: Vec<String>,
    /// Transports over which it holds; all when there is none.
    #[serde(default)]
    transports: Vec<String>,
    note: String,
}

/// The SDK that a server looks as if it were built on, if any.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recognised(Option<usize>);

impl Hints {
    /// Reads the data.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let file: File = serde_json::from_str(text)?;
        Ok(Self {
            repairs: file.repairs,
            sdks: file.sdks,
        })
    }

    /// The requirements that the data speaks of.
    pub fn requirements(&self) -> impl Iterator<Item = &str> {
        let repairs = self.repairs.keys().map(String::as_str);
        let known = self.sdks.iter().flat_map(|entry| &entry.known);
        repairs.chain(known.map(|known| known.requirement.as_str()))
    }

    /// The first SDK that left its marks in what the server sent.
    #[must_use]
    pub fn recognise(&self, traces: &[Trace]) -> Recognised {
        let marked = |mark: &String| {
            let finder = |payload: &Payload| payload.text().contains(mark.as_str());
            traces
                .iter()
                .flat_map(|trace| &trace.events)
                .any(|event| match &event.kind {
                    EventKind::Received { payload, .. } | EventKind::HttpBody { payload, .. } => finder(payload),
                    _ => false,
                })
        };
        Recognised(self.sdks.iter().position(|entry| entry.marks.iter().any(marked)))
    }

    /// What usually repairs a breach of the requirement.
    #[must_use]
    pub fn repair(&self, requirement: &str) -> Option<&str> {
        self.repairs.get(requirement).map(String::as_str)
    }

    /// The recognised SDK that is known for breaking the requirement in this way.
    #[must_use]
    pub fn sdk(
        &self,
        recognised: Recognised,
        requirement: &str,
        transport: &str,
        evidence: &[Excerpt],
    ) -> Option<SdkNote> {
        let received: Vec<&str> = evidence
            .iter()
            .filter(|excerpt| !excerpt.context && excerpt.what != "sent" && excerpt.what != "request")
            .map(|excerpt| excerpt.text.as_str())
            .collect();
        let fits = |known: &&Known| {
            let shown = |text: &String| received.iter().any(|bytes| bytes.contains(text.as_str()));
            known.requirement == requirement
                && (known.transports.is_empty() || known.transports.iter().any(|one| one == transport))
                && known.evidence.iter().all(shown)
        };
        let entry = self.sdks.get(recognised.0?)?;
        let known = entry.known.iter().find(fits)?;
        Some(SdkNote {
            sdk: format!("{} {}", entry.sdk, entry.versions),
            note: known.note.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchstone_core::trace::{Channel, TransportKind};

    #[test]
    fn an_sdk_is_named_only_when_its_marks_and_the_bytes_are_there() {
        let hints = Hints::from_json(
            r#"{"repairs": {"a/b": "do"}, "sdks": [{"sdk": "S", "versions": "1", "marks": ["made by S"],
                "known": [{"requirement": "a/b", "evidence": ["code\":0"], "transports": ["stdio"], "note": "n"}]}]}"#,
        )
        .unwrap();
        let mut trace = Trace::new("t", TransportKind::Stdio);
        let payload = r#"{"name":"made by S"}"#.into();
        trace.push(
            0,
            EventKind::Received {
                payload,
                channel: Channel::Stdout,
                exchange: None,
                terminated: true,
            },
        );
        let ours = hints.recognise(&[trace]);
        let excerpt = |what: &str, text: &str| Excerpt {
            trace: "t".to_owned(),
            event: 0,
            what: what.to_owned(),
            text: text.to_owned(),
            bytes: None,
            context: false,
        };
        let found =
            |sdk: Recognised, transport: &str, excerpt: Excerpt| hints.sdk(sdk, "a/b", transport, &[excerpt]).is_some();
        let bytes = r#"{"error":{"code":0}}"#;
        assert!(found(ours, "stdio", excerpt("received", bytes)));
        assert!(!found(hints.recognise(&[]), "stdio", excerpt("received", bytes)));
        assert!(!found(ours, "stdio", excerpt("sent", bytes)));
        assert!(!found(
            ours,
            "stdio",
            excerpt("received", r#"{"error":{"code":-32602}}"#)
        ));
        assert!(!found(ours, "http-sse", excerpt("received", bytes)));
        assert_eq!(hints.repair("a/b"), Some("do"));
    }
}
