//! From the answer of a step to observations: which expectations it keeps, and what cannot be told.

use serde_json::Value;
use touchstone_core::case::interpolation::interpolate;
use touchstone_core::case::{Action, Expectation, Input, Judgement, Step};
use touchstone_core::spec::requirement::Severity;
use touchstone_core::verdict::{Breach, Evidence, Observation, Outcome as Observed, Score};

use super::runner::{Runner, Seen, Stop};

/// The code of an unknown method.
const METHOD_NOT_FOUND: i64 = -32601;
/// The requirements that a server breaks without ping, or without server/discover. Whatever else is seen by one of them is not exercised
/// then: one mistake, one finding.
const WITHOUT_PROBE: [&str; 3] = ["ping/answered", "ping/no-capability", "discover/implemented"];
/// The server does not know ping, which the cases of ping report.
const NO_PING: &str = "blocked: the server does not know ping";
/// The server does not know server/discover, which the cases of discovery report.
const NO_DISCOVERY: &str = "blocked: the server does not know server/discover";

impl Runner<'_> {
    /// Keeps the answer under the step's name and judges the step's expectations.
    pub(super) fn conclude(&mut self, step: &Step, seen: Seen) -> Result<(), Stop> {
        let is_request = !matches!(
            step.action,
            Action::Silence(_) | Action::Await { .. } | Action::ExpectExit
        );
        let about = self.item.clone().or_else(|| step.about().map(str::to_owned));
        let missing = self.missing_probe(step, &seen);
        for expectation in &step.expect {
            if let Some(reason) = missing.filter(|_| !WITHOUT_PROBE.contains(&expectation.requirement.as_str())) {
                self.unexercised(&expectation.requirement, reason);
                continue;
            }
            self.judge(expectation, &seen, is_request, about.as_deref())?;
        }
        let gone = self.session.closed().map(str::to_owned);
        if let Some(name) = &step.name {
            self.bindings.insert(name.clone(), seen.value);
        }
        match gone {
            // What comes after the end of the server says nothing, unless the case itself brought the end about.
            Some(reason) if !matches!(step.action, Action::ExpectExit | Action::Silence(_)) => {
                Err(Stop::Case(format!("blocked: {reason}")))
            }
            _ => Ok(()),
        }
    }

    /// Why nothing can be said where the request that every server must know is an unknown method.
    fn missing_probe(&self, step: &Step, seen: &Seen) -> Option<&'static str> {
        let Action::Request { method, .. } = &step.action else {
            return None;
        };
        let probe = self.session.probe_method();
        let of_probe = method == "${probe.method}" || method == probe;
        if !of_probe || seen.value["error"]["code"] != METHOD_NOT_FOUND {
            return None;
        }
        Some(if probe == "ping" { NO_PING } else { NO_DISCOVERY })
    }

    pub(super) fn judge(
        &mut self,
        expectation: &Expectation,
        seen: &Seen,
        is_request: bool,
        about: Option<&str>,
    ) -> Result<(), Stop> {
        let id = expectation.requirement.as_str();
        if self
            .catalog
            .get(id)
            .is_none_or(|requirement| requirement.level(self.revision).is_none())
        {
            return Ok(());
        }
        if let Some(reason) = seen.spoilt {
            self.unexercised(id, reason);
            return Ok(());
        }
        let illegal = self.case.input == Input::Illegal;
        let outcome = seen.value.get("outcome").and_then(Value::as_str).unwrap_or_default();
        if is_request && matches!(outcome, "silence" | "closed") && !illegal && !expectation.looks_at_outcome() {
            self.unexercised(id, "blocked: the request was not answered");
            return Ok(());
        }
        let expectation = expectation.try_map(|value| interpolate(value, &self.bindings))?;
        let outcome = match expectation.judge(&seen.value) {
            Judgement::Irrelevant => return Ok(()),
            Judgement::Kept => Observed::Kept(1),
            Judgement::Broken {
                message,
                at_most,
                cause,
            } => {
                // Illegal input: any answer is allowed, so this is only worth knowing.
                let at_most = if illegal { Severity::Info } else { at_most };
                let message = format!("{}: {message}", self.case.title);
                Observed::Broken(Breach {
                    message,
                    about: about.map(str::to_owned),
                    at_most,
                    score: Score::Conformance,
                    cause,
                })
            }
        };
        let trace = self.session.tap().read(|trace| trace.name.clone());
        let evidence = seen
            .events
            .iter()
            .map(|event| Evidence {
                trace: trace.clone(),
                event: *event,
            })
            .collect();
        self.report.observations.push(Observation {
            requirement: id.to_owned(),
            outcome,
            case: Some(self.case_id.to_owned()),
            evidence,
        });
        Ok(())
    }

    pub(super) fn unexercised(&mut self, requirement: &str, reason: &str) {
        self.report
            .unexercised
            .entry(requirement.to_owned())
            .or_insert_with(|| reason.to_owned());
    }

    /// Notes that the expectations of steps were not judged.
    pub(super) fn unexercised_rest(&mut self, steps: &[Step], reason: &str) {
        for step in steps {
            for expectation in &step.expect {
                self.unexercised(&expectation.requirement, reason);
            }
            if let Action::ForEach { steps, .. } | Action::Repeat { steps, .. } | Action::Parallel { steps } =
                &step.action
            {
                self.unexercised_rest(steps, reason);
            }
        }
    }
}
