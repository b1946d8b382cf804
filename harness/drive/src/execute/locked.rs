//! Servers that demand a token, and those that let nobody in: they are judged by how they refuse, and by their metadata.

use std::rc::Rc;

use serde_json::Value;
use tokio::sync::Semaphore;
use touchstone_core::revision::Revision;
use touchstone_core::trace::TransportKind;

use super::engine::{Engine, Known, RunEvent, Selection, Stage, StartError, TargetRun};
use super::halt::Halt;
use super::protection::Protection;
use crate::credentials::Credentials;
use crate::session::{Connector, ConnectorOptions};
use crate::target::{Target, UrlTarget};

/// That the server let nobody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    /// What happened.
    pub reason: String,
    /// What to do.
    pub hint: String,
}

/// What the server demands, and what the tester gave.
pub(super) struct Access {
    pub protection: Protection,
    pub credentials: Credentials,
}

impl Engine<'_> {
    /// What the server demands. Where the transport was found out without a token, it demands nothing.
    pub(super) async fn protection(
        &self,
        target: &Target,
        connector: &Connector,
        credentials: &Credentials,
    ) -> Protection {
        let Target::Url(url) = target else {
            return Protection::default();
        };
        let has_field = url
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let certain = url.transport.is_none() && !has_field;
        if certain || connector.transport() != TransportKind::StreamableHttp {
            return Protection::default();
        }
        let limits = &self.options.connector.transport;
        // A server that does not answer this will not answer the handshake either, which is reported.
        let found = Protection::find(url, limits, credentials.valid.is_some())
            .await
            .unwrap_or_default();
        // Another scheme than bearer is an authentication of the server's own.
        let oauth = found.oauth && (credentials.valid.is_some() || !has_field);
        Protection { oauth, ..found }
    }

    /// Judges what can be judged of a server that lets nobody in: how it refuses, and its metadata.
    pub(super) async fn run_locked_out(
        &self,
        target: &Target,
        options: ConnectorOptions,
        mut access: Access,
        refusal: StartError,
        on_event: &dyn Fn(RunEvent<'_>),
        cancel: &Halt,
    ) -> Result<TargetRun, StartError> {
        let Target::Url(url) = target else {
            return Err(refusal);
        };
        let found = Protection::find(url, &options.transport, false).await;
        let protection = found.unwrap_or_default();
        if !protection.oauth {
            return Err(refusal);
        }
        let locked = match &access.credentials.valid {
            None => Locked {
                reason: "the server demands a token, and none was given: only its authorization was judged".to_owned(),
                hint: "pass a token with --header 'Authorization: Bearer ...', or as `token` in [authorization] of touchstone.toml"
                    .to_owned(),
            },
            Some(_) => Locked {
                reason: "the server refused the token that was given: only its authorization was judged".to_owned(),
                hint: "has the token expired, and is it for this server?".to_owned(),
            },
        };
        let reason = match access.credentials.valid {
            None => "needs a token, and none was given",
            Some(_) => "needs a token, and the one that was given was refused",
        };
        access.protection = Protection {
            locked: Some(reason.to_owned()),
            ..protection
        };
        let url = UrlTarget {
            transport: Some(TransportKind::StreamableHttp),
            ..url.clone()
        };
        let connector = Connector::prepare(Target::Url(url), options).await?;
        // Nothing is negotiated. How the server can be discovered tells for which revisions it was written.
        let newest = match access.protection.resource_metadata {
            true => Revision::V2025_11_25,
            false => Revision::V2025_03_26,
        };
        let revisions = match self.options.selection {
            Selection::Only(revision) => vec![revision],
            Selection::Newest => vec![newest],
            Selection::All => {
                let known = [Revision::V2025_11_25, Revision::V2025_06_18, Revision::V2025_03_26];
                known.into_iter().filter(|revision| *revision <= newest).collect()
            }
        };
        let mut runs = Vec::new();
        let mut own_mistakes = Vec::new();
        for revision in &revisions {
            let turns = Semaphore::new(1);
            let stage = Stage {
                revision: *revision,
                session: None,
                attempt: None,
                capabilities: Value::Null,
                server: Value::Null,
                versions: Vec::new(),
                known: Known::default(),
                inventory: Rc::default(),
            };
            let (run, mut mistakes) = self
                .run_cases(&connector, &access, stage, &turns, on_event, cancel)
                .await;
            own_mistakes.append(&mut mistakes);
            runs.push(run);
        }
        Ok(TargetRun {
            transport: connector.transport(),
            offered: revisions,
            runs,
            interrupted: cancel.is_cancelled(),
            out_of_time: cancel.out_of_time(),
            own_mistakes,
            sessions: connector.sessions(),
            eras: Vec::new(),
            locked: Some(locked),
        })
    }
}
