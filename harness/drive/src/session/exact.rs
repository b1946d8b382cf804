//! Sending messages whose bytes matter, and going on for ever: what campaigns need of a session beyond what cases do.

use serde_json::{Map, Value};
use touchstone_core::jsonrpc::{IdToken, Reading, Shape, read};
use touchstone_core::trace::Intent;

use super::{Pending, Session};
use crate::transport::TransportError;
use tokio::time::Instant;

impl Session {
    /// Sends a request whose params are spelled exactly so, and does not wait. What the era adds to params is put in front of theirs.
    ///
    /// # Errors
    /// When it cannot be handed over.
    pub async fn start_exact(
        &mut self,
        id: &IdToken,
        method: &str,
        params: Option<&str>,
        intent: Intent,
    ) -> Result<Pending, TransportError> {
        let params = self.dressed_exactly(method, params);
        let params = params
            .map(|params| format!(r#","params":{params}"#))
            .unwrap_or_default();
        let method = Value::from(method);
        let bytes = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method}{params}}}"#).into_bytes();
        self.start_bytes(&bytes, intent).await?.ok_or_else(|| {
            TransportError::InvalidRequest(format!("{id} or the params of {method} do not make a request"))
        })
    }

    /// Sends exact bytes, and does not wait. When they are a request, its answer can be waited for.
    ///
    /// # Errors
    /// When they cannot be handed over.
    pub async fn start_bytes(&mut self, bytes: &[u8], intent: Intent) -> Result<Option<Pending>, TransportError> {
        let sent = self.send_bytes(bytes, intent).await?;
        let Reading::Complete(document) = read(bytes, &touchstone_core::jsonrpc::Limits::default()) else {
            return Ok(None);
        };
        let Shape::Request { id, .. } = document.shape else {
            return Ok(None);
        };
        self.answered.remove(id.as_str());
        self.outstanding.push(id.clone());
        Ok(Some(Pending {
            id,
            sent,
            since: Instant::now(),
        }))
    }

    /// The spelled params with what the era adds to those of the method.
    fn dressed_exactly(&self, method: &str, params: Option<&str>) -> Option<String> {
        let added = self.protocol.dress(method, Some(Value::Object(Map::new())));
        let added = match &added {
            Some(Value::Object(members)) if !members.is_empty() => {
                let text = Value::Object(members.clone()).to_string();
                text[1..text.len() - 1].to_owned()
            }
            _ => return params.map(str::to_owned),
        };
        let Some(params) = params else {
            return Some(format!("{{{added}}}"));
        };
        let Some(rest) = params
            .trim_start()
            .strip_prefix('{')
            .filter(|_| !params.contains("\"_meta\""))
        else {
            return Some(params.to_owned());
        };
        let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
        Some(format!("{{{added}{comma}{rest}"))
    }

    /// Forgets everything about requests that were answered: a campaign is too long to remember all of them.
    pub fn forget_answers(&mut self) {
        self.forget();
        self.answered.clear();
        self.statuses.clear();
        self.ended.clear();
        self.resumed.clear();
    }

    /// The answers that came and that nobody waits for, taken out.
    pub fn stray_answers(&mut self) -> usize {
        std::mem::take(&mut self.answers).len()
    }
}
