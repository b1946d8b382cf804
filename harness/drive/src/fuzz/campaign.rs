//! A campaign from its first connection to its report.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use touchstone_core::revision::Revision;
use touchstone_core::spec::requirement::Catalog;
use touchstone_core::spec::schema::SchemaLibrary;
use touchstone_core::trace::TransportKind;
use touchstone_core::verdict::RevisionRun;

use super::arena::Arena;
use super::case::Phase;
use super::feedback::Feedback;
use super::ledger::{Ledger, Reproduction};
use super::oracle::CANARY;
use super::replay::ReplayVerdict;
use super::running::Running;
use super::toolbox::Toolbox;
use crate::execute::{CallPolicy, Partition, StartError};
use crate::session::{ConnectError, Connector, ConnectorOptions};
use crate::target::Target;

/// How long a campaign goes on. Without a limit it ends when the systematic phases do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Budget {
    /// So long at most.
    pub time: Option<Duration>,
    /// So many calls at most.
    pub count: Option<u64>,
}

/// What a campaign is to do.
#[derive(Debug, Clone)]
pub struct CampaignOptions {
    /// How long.
    pub budget: Budget,
    /// What random choices begin with.
    pub seed: u64,
    /// Which phases.
    pub phases: BTreeSet<Phase>,
    /// Only these tools; all when empty.
    pub tools: Vec<String>,
    /// Which tools may be called.
    pub call: CallPolicy,
    /// Tools that may be called whatever their annotations say.
    pub allowed_tools: BTreeSet<String>,
    /// Arguments for ordinary calls, by tool.
    pub examples: BTreeMap<String, Value>,
    /// The revision; the newest that the server speaks when `None`.
    pub revision: Option<Revision>,
    /// How connections are made.
    pub connector: ConnectorOptions,
    /// Where findings are stored, and those of before are found.
    pub corpus: Option<PathBuf>,
    /// The part of the cases that is sent; all of them when `None`.
    pub partition: Option<Partition>,
    /// Whether what answers look like decides what is sent next.
    pub guided: bool,
    /// How long an answer is waited for.
    pub within: Duration,
    /// Attempts to make one finding small; 0 for none.
    pub spawns: usize,
}

impl Default for CampaignOptions {
    fn default() -> Self {
        Self {
            budget: Budget::default(),
            seed: 0,
            phases: Phase::ALL.into_iter().collect(),
            tools: Vec::new(),
            call: CallPolicy::default(),
            allowed_tools: BTreeSet::new(),
            examples: BTreeMap::new(),
            revision: None,
            connector: ConnectorOptions::default(),
            corpus: None,
            partition: None,
            guided: true,
            within: Duration::from_secs(5),
            spawns: 80,
        }
    }
}

/// How far a campaign is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// What it is mostly doing.
    pub phase: Phase,
    /// Calls so far.
    pub calls: u64,
    /// Since its beginning.
    pub elapsed: Duration,
    /// Findings that weigh.
    pub findings: usize,
    /// Constraints of schemas that were touched.
    pub covered: usize,
    /// All of them.
    pub constraints: usize,
}

/// What happens during a campaign, for displays.
#[derive(Debug, Clone)]
pub enum CampaignEvent<'a> {
    /// Some calls later.
    Progress(Progress),
    /// Something that weighs was found.
    Found {
        /// Its signature.
        signature: &'a str,
        /// What happened.
        message: &'a str,
    },
    /// A finding of before was sent again.
    Regression {
        /// The file.
        file: &'a str,
        /// What became of it.
        verdict: ReplayVerdict,
    },
}

/// Numbers of a campaign.
#[derive(Debug, Clone, Default)]
pub struct Sums {
    /// The seed.
    pub seed: u64,
    /// Calls.
    pub calls: u64,
    /// How long the calls took, without what was spent on making findings small.
    pub calling: Duration,
    /// How long everything took.
    pub elapsed: Duration,
    /// Cases by phase.
    pub phases: BTreeMap<&'static str, u64>,
    /// How often the server had to be started again.
    pub restarts: usize,
    /// Servers that were started to make findings small.
    pub spawns: usize,
    /// Constraints of schemas that were touched.
    pub covered: usize,
    /// All of them.
    pub constraints: usize,
    /// Different shapes of answers.
    pub shapes: usize,
    /// What keeps killing the server, and how many cases were left out because of that.
    pub parked: BTreeMap<String, u64>,
    /// Findings of before, by file.
    pub regressions: BTreeMap<String, &'static str>,
    /// Tools that are never called, because that was not allowed.
    pub uncalled: usize,
    /// A digest of everything that was sent: the same seed gives the same.
    pub digest: u64,
}

/// What a campaign found out.
#[derive(Debug)]
pub struct CampaignRun {
    /// The transport.
    pub transport: TransportKind,
    /// Verdicts, findings and traces.
    pub run: RevisionRun,
    /// How findings can be seen again.
    pub reproductions: Vec<Reproduction>,
    /// Numbers.
    pub sums: Sums,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// Why it ended early.
    pub ended: Option<String>,
    /// Mistakes of Touchstone itself.
    pub own_mistakes: Vec<String>,
    /// Sessions that were opened.
    pub sessions: usize,
}

/// Runs campaigns.
pub struct Campaign<'a> {
    /// The requirements.
    pub catalog: &'a Catalog,
    /// The message schemas.
    pub schemas: Arc<SchemaLibrary>,
    /// What to do.
    pub options: CampaignOptions,
}

/// A target with a planted secret.
pub(super) fn with_canary(target: &Target) -> Target {
    let mut target = target.clone();
    if let Target::Command(command) = &mut target {
        command.environment.push((CANARY.0.to_owned(), CANARY.1.to_owned()));
    }
    target
}

impl Campaign<'_> {
    /// Runs a campaign against a target. Must run inside a `LocalSet`.
    ///
    /// # Errors
    /// When no session can be opened.
    pub async fn run(
        &self,
        target: &Target,
        on_event: &dyn Fn(CampaignEvent<'_>),
        cancel: &CancellationToken,
    ) -> Result<CampaignRun, StartError> {
        let began = Instant::now();
        let prepared = tokio::select! {
            prepared = Connector::prepare(with_canary(target), self.options.connector.clone()) => prepared,
            () = cancel.cancelled() => return Err(StartError::Interrupted),
        };
        let connector = prepared?;
        let policy = (self.options.call.clone(), self.options.allowed_tools.clone());
        let opened = tokio::select! {
            opened = self.open(&connector, &policy) => opened,
            () = cancel.cancelled() => return Err(StartError::Interrupted),
        };
        let Opened {
            arena,
            revision,
            inventory,
            capabilities,
            server,
        } = opened?;
        let tools = inventory.coverage();
        let toolbox = Arc::new(Toolbox::new(
            inventory,
            capabilities.clone(),
            &self.options.tools,
            &self.options.examples,
        ));
        let mut running = Running {
            campaign: self,
            connector: &connector,
            revision,
            arena,
            toolbox: &toolbox,
            ledger: Ledger::default(),
            feedback: Feedback::default(),
            sums: Sums {
                seed: self.options.seed,
                constraints: toolbox.constraints().len(),
                uncalled: toolbox.tools.iter().filter(|tool| !tool.callable).count(),
                ..Sums::default()
            },
            covered: BTreeSet::new(),
            deaths: BTreeMap::new(),
            slow: BTreeSet::new(),
            own_mistakes: Vec::new(),
            judging: None,
            waiting: Vec::new(),
            suspects: BTreeMap::new(),
            began,
            cancel,
            on_event,
            ended: None,
        };
        running.go().await;
        let mut result = running.finish(&capabilities, server).await;
        result.run.tools = tools;
        Ok(result)
    }

    /// The tools of a target that a campaign would call. Must run inside a `LocalSet`.
    ///
    /// # Errors
    /// When no session can be opened.
    pub async fn tools(&self, target: &Target) -> Result<Vec<String>, StartError> {
        let connector = Connector::prepare(target.clone(), self.options.connector.clone()).await?;
        let policy = (self.options.call.clone(), self.options.allowed_tools.clone());
        let mut opened = self.open(&connector, &policy).await?;
        opened.arena.discard().await;
        let none = BTreeMap::new();
        let toolbox = Toolbox::new(opened.inventory, opened.capabilities, &[], &none);
        Ok(toolbox.callable().map(|tool| tool.name.clone()).collect())
    }

    async fn open<'c>(
        &self,
        connector: &'c Connector,
        policy: &(CallPolicy, BTreeSet<String>),
    ) -> Result<Opened<'c>, StartError> {
        let candidates: Vec<Revision> = match self.options.revision {
            Some(revision) => vec![revision],
            // The newer era last: most servers speak the older one, and some end when they are asked about the newer.
            None => Revision::STATEFUL
                .into_iter()
                .rev()
                .chain([Revision::V2026_07_28])
                .collect(),
        };
        let mut refusal: Option<StartError> = None;
        for wanted in candidates {
            let mut arena = Arena::new(connector, wanted, policy.clone(), "fuzz");
            match arena.open().await {
                Ok((inventory, capabilities, server)) => {
                    let agreed = arena.revision();
                    if agreed == Some(wanted) {
                        return Ok(Opened {
                            arena,
                            revision: wanted,
                            inventory,
                            capabilities,
                            server,
                        });
                    }
                    arena.discard().await;
                    refusal.get_or_insert(StartError::Revision {
                        wanted: wanted.to_string(),
                        offered: agreed
                            .map_or_else(|| "none that Touchstone knows".to_owned(), |agreed| agreed.to_string()),
                    });
                }
                Err(ConnectError::Handshake(failure)) if failure.refused => {
                    refusal.get_or_insert(ConnectError::Handshake(failure).into());
                }
                Err(error) => return Err(refusal.unwrap_or(error.into())),
            }
        }
        Err(refusal.unwrap_or(StartError::Interrupted))
    }
}

struct Opened<'c> {
    arena: Arena<'c>,
    revision: Revision,
    inventory: crate::execute::inventory::Inventory,
    capabilities: Value,
    server: Value,
}
