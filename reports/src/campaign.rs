//! What a record has beyond verdicts when it is one of a campaign: numbers, and how findings can be seen again.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Numbers of a campaign.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CampaignEntry {
    /// The seed: the same one sends the same calls to a server that gives the same answers.
    pub seed: u64,
    /// Calls that were sent.
    pub calls: u64,
    /// Calls in a second, without the time that was spent on making findings small.
    pub calls_per_second: f64,
    /// Cases by phase.
    pub phases: BTreeMap<String, u64>,
    /// How often the server had to be started again because it died or fell silent.
    pub restarts: usize,
    /// Servers that were started to make findings small.
    pub spawns: usize,
    /// Constraints of the tools' schemas that were touched.
    pub covered: usize,
    /// All of them.
    pub constraints: usize,
    /// Different shapes of answers.
    pub shapes: usize,
    /// Tools that were never called because that was not allowed.
    pub uncalled: usize,
    /// What kept killing the server, with the number of cases that were left out because of that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parked: BTreeMap<String, u64>,
    /// Findings of before, by file: `fixed`, `failed` or `flaky`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub regressions: BTreeMap<String, String>,
    /// A digest of everything that was sent.
    pub digest: String,
    /// Why the campaign ended before its budget was used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}

impl CampaignEntry {
    /// Adds what another part of the same campaign sent.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub(crate) fn add(&mut self, part: Self) {
        let seconds = |entry: &Self| entry.calls as f64 / entry.calls_per_second.max(1e-9);
        let time = seconds(self) + seconds(&part);
        self.calls += part.calls;
        self.calls_per_second = (self.calls as f64 / time.max(1e-9) * 10.0).round() / 10.0;
        for (phase, cases) in part.phases {
            *self.phases.entry(phase).or_default() += cases;
        }
        self.restarts += part.restarts;
        self.spawns += part.spawns;
        // Parts share out constraints, so that none is counted twice; shapes of answers they may have in common.
        self.covered += part.covered;
        self.constraints = self.constraints.max(part.constraints);
        self.shapes = self.shapes.max(part.shapes);
        self.uncalled = self.uncalled.max(part.uncalled);
        for (subject, cases) in part.parked {
            *self.parked.entry(subject).or_default() += cases;
        }
        self.regressions.extend(part.regressions);
        let number = |digest: &str| u64::from_str_radix(digest, 16).unwrap_or(0);
        self.digest = format!("{:016x}", number(&self.digest) ^ number(&part.digest));
        self.ended = self.ended.take().or(part.ended);
    }
}

/// How a finding can be seen again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReproductionEntry {
    /// Calls that had been sent when it was seen first.
    pub first_call: u64,
    /// Milliseconds that the campaign had taken by then.
    #[serde(default)]
    pub first_ms: u64,
    /// Calls of the conversation in which it was seen first.
    pub calls_before: u64,
    /// `always`, `flaky`, `not-reproduced` or `not-tried`.
    pub reproduced: String,
    /// The same in words.
    pub description: String,
    /// Servers that were started to make it small.
    pub spawns: usize,
    /// The messages of the smallest conversation, each as it is sent, invalid UTF-8 replaced.
    pub messages: Vec<String>,
    /// A line for a POSIX shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// A case for `touchstone check --cases`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_yaml: Option<String>,
    /// A file for `touchstone replay`.
    pub replay: String,
}
