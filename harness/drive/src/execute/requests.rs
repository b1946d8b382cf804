//! Requests of a case: one after the other or several at once, with generated arguments where the case wants some.

use serde_json::{Value, json};
use touchstone_core::case::interpolation::interpolate_text;
use touchstone_core::case::{Action, Arguments, Step};

use super::arguments;
use super::runner::{Runner, Seen, Stop, seen};

impl Runner<'_> {
    pub(super) async fn request(
        &mut self,
        step: &Step,
        method: &str,
        params: Option<&Value>,
        id: Option<&str>,
        arguments: Option<&Arguments>,
    ) -> Result<(), Stop> {
        let (method, params) = self.filled_in(method, params)?;
        for params in self.variants(params, arguments)? {
            let called = self.called_item(&method, params.as_ref());
            if let Some(waited) = called.as_ref().and_then(|name| self.session.slow_tool(name)) {
                return Err(Stop::Item(format!(
                    "one call of it took {:.0} s already",
                    waited.as_secs_f64()
                )));
            }
            let since = tokio::time::Instant::now();
            let id = self.id(id)?;
            let manner = self.manner(step)?;
            let patience = called.as_ref().map(|_| self.session.patience_with_tools());
            let mut answer = match self.session.start_in(&id, &method, params, &manner).await {
                Ok(pending) => {
                    let answer = self.session.finish(&pending, step.within.or(patience)).await;
                    seen(&answer, Some(pending.sent))
                }
                Err(error) => Seen {
                    value: json!({ "outcome": "closed", "reason": error.to_string() }),
                    events: vec![],
                    spoilt: None,
                },
            };
            if !step.retry && answer.value["result"]["inputRequests"].is_object() {
                let result = answer.value["result"].clone();
                if let Some(responses) = self.session.responses_to(&result) {
                    answer.value["responses"] = responses;
                }
            }
            if let Some(version) = answer.value["result"]["protocolVersion"].as_str()
                && method == "initialize"
                && self.session.opening().is_none()
            {
                self.session.take_up_version(version);
            }
            if let Some(name) = called {
                self.session.note_waited(&name, since.elapsed());
            }
            self.conclude(step, answer)?;
        }
        Ok(())
    }

    /// The tool of a `for-each` that a request calls.
    pub(super) fn called_item(&self, method: &str, params: Option<&Value>) -> Option<String> {
        let name = params?.get("name")?.as_str()?;
        (method == "tools/call" && self.item.as_deref() == Some(name)).then(|| name.to_owned())
    }

    /// The params with each of the arguments that are to be generated, or as they are.
    pub(super) fn variants(
        &self,
        params: Option<Value>,
        wanted: Option<&Arguments>,
    ) -> Result<Vec<Option<Value>>, Stop> {
        let Some(wanted) = wanted else {
            return Ok(vec![params]);
        };
        let tool = self
            .bindings
            .get(&wanted.from)
            .ok_or_else(|| Stop::Case(format!("no tool is bound to {:?}", wanted.from)))?;
        let text = wanted.text.as_deref();
        let text = text.map(|text| interpolate_text(text, &self.bindings)).transpose()?;
        let values = arguments::make(wanted, text.as_deref(), tool, self.dialect, self.examples).map_err(Stop::Item)?;
        let with = |value| {
            let mut params = params.clone().unwrap_or_else(|| json!({}));
            params["arguments"] = value;
            Some(params)
        };
        Ok(values.into_iter().map(with).collect())
    }

    pub(super) async fn parallel(&mut self, steps: &[Step]) -> Result<(), Stop> {
        let mut started = Vec::new();
        for step in steps {
            if let Some(reason) = self.unmet(step) {
                self.unexercised_rest(std::slice::from_ref(step), &reason);
                continue;
            }
            let Action::Request { method, params, id, .. } = &step.action else {
                continue;
            };
            let (method, params) = self.filled_in(method, params.as_ref())?;
            if let Some(name) = &step.on {
                self.change_to(name)?;
            }
            let id = self.id(id.as_deref())?;
            let manner = self.manner(step)?;
            let pending = self.session.start_in(&id, &method, params, &manner).await;
            if let Some(name) = &step.on {
                self.change_to(name)?;
            }
            let pending = pending.map_err(|error| Stop::Case(error.to_string()))?;
            started.push((step, pending));
        }
        for (step, pending) in started {
            if let Some(name) = &step.on {
                self.change_to(name)?;
            }
            let answer = self.session.finish(&pending, step.within).await;
            let concluded = self.conclude(step, seen(&answer, Some(pending.sent)));
            if let Some(name) = &step.on {
                self.change_to(name)?;
            }
            concluded?;
        }
        Ok(())
    }
}
