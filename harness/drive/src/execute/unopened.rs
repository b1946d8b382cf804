//! Servers over HTTP+SSE that name no endpoint, or none that can be used: no session can be opened, and that is judged.

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use touchstone_core::revision::Revision;
use touchstone_core::trace::TransportKind;
use touchstone_core::verdict::Outcome;

use super::engine::{Engine, Known, RunEvent, Selection, Stage, StartError, TargetRun};
use super::halt::Halt;
use super::locked::{Access, Locked};
use super::protection::Protection;
use crate::credentials::Credentials;
use crate::session::{ClientIdentity, ConnectError, Connector, ConnectorOptions};
use crate::target::{Target, UrlTarget};
use crate::transport::{DetectError, HttpSseError};

/// The only revision that speaks of this transport.
const REVISION: Revision = Revision::V2024_11_05;

/// That an endpoint event is late was seen before; now it need not be waited for that long.
const ENDPOINT_EVENT: Duration = Duration::from_secs(2);

impl Engine<'_> {
    /// Judges what can be judged of a server with which no session could be opened, if that is a matter of HTTP+SSE; gives `refusal` back
    /// if it is not.
    pub(super) async fn run_unopened(
        &self,
        target: &Target,
        mut options: ConnectorOptions,
        credentials: Credentials,
        refusal: StartError,
        on_event: &dyn Fn(RunEvent<'_>),
        cancel: &Halt,
    ) -> Result<TargetRun, StartError> {
        let Target::Url(url) = target else {
            return Err(refusal);
        };
        let wanted = !matches!(self.options.selection, Selection::Only(revision) if revision != REVISION);
        if !wanted || !may_be_http_sse(&refusal) {
            return Err(refusal);
        }
        let url = UrlTarget {
            transport: Some(TransportKind::HttpSse),
            ..url.clone()
        };
        options.transport.first_event = options.transport.first_event.min(ENDPOINT_EVENT);
        let connector = Connector::prepare(Target::Url(url), options).await?;
        let identity = ClientIdentity::touchstone(REVISION);
        let name = format!("{REVISION}/attempt");
        let Ok(attempt) = connector.attempt(&name, REVISION, identity).await else {
            return Err(refusal);
        };
        let locked = Locked {
            reason: format!("{refusal}; nothing else was judged"),
            hint: "the first event of the stream must be of type endpoint, and its data the URI to post messages to, on the same host"
                .to_owned(),
        };
        let access = Access {
            protection: Protection {
                locked: Some("blocked: no session could be opened".to_owned()),
                ..Protection::default()
            },
            credentials,
        };
        let stage = Stage {
            revision: REVISION,
            session: None,
            attempt: Some(attempt),
            capabilities: Value::Null,
            server: Value::Null,
            versions: Vec::new(),
            known: Known::default(),
            inventory: Rc::default(),
        };
        let turns = Semaphore::new(1);
        let (run, own_mistakes) = self
            .run_cases(&connector, &access, stage, &turns, on_event, cancel)
            .await;
        if run.findings.is_empty() {
            return Err(refusal);
        }
        Ok(TargetRun {
            transport: connector.transport(),
            offered: vec![REVISION],
            runs: vec![run],
            eras: Vec::new(),
            interrupted: cancel.is_cancelled(),
            out_of_time: cancel.out_of_time(),
            own_mistakes,
            sessions: connector.sessions(),
            locked: Some(locked),
        })
    }
}

/// Whether no session came about for a reason that can lie in how the server speaks HTTP+SSE.
fn may_be_http_sse(refusal: &StartError) -> bool {
    let StartError::Connect(error) = refusal else {
        return false;
    };
    match error {
        ConnectError::HttpSse(error) => is_endpoint(error),
        ConnectError::Detect(DetectError::UnusableHttpSse(_)) => true,
        // Who takes no messages at this address and opens a stream there can only mean the older transport.
        ConnectError::Detect(DetectError::NotMcp { status, get, .. }) => {
            matches!(status, 404 | 405) && is_endpoint(get)
        }
        ConnectError::Handshake(_) => true,
        _ => false,
    }
}

fn is_endpoint(error: &HttpSseError) -> bool {
    matches!(
        error,
        HttpSseError::NoEndpoint(_)
            | HttpSseError::OtherEventFirst { .. }
            | HttpSseError::UnusableEndpoint { .. }
            | HttpSseError::ForeignEndpoint { .. }
    )
}

/// Whether an observation counts about a server with which there was no session: it has shown nothing that is good.
pub(super) fn counts_without_session(requirement: &str, outcome: &Outcome) -> bool {
    requirement.starts_with("transport-http-sse/") && matches!(outcome, Outcome::Broken(_))
}
