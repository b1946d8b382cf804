//! Campaigns: many generated conversations with one server, judged like any other, and what breaks it made small.
//!
//! ```text
//! Toolbox (schemas, generators) ──► schedule: phases make Cases from seed and number
//!                                        │
//!                        Arena: one session, restarted when it dies, its trace cut into windows
//!                                        │
//!          monitors ──┐                  ▼
//!          oracle  ───┴──► observations ──► ledger: one entry for each signature
//!                                        │
//!                  blame ──► shrink ──► Reproduction (minimal steps; shell, case, corpus file)
//! ```
//!
//! Every case can be made again from the seed, its phase and its number. Only what answers look like feeds back into what is sent next, so that the same
//! seed against the same server sends the same calls, however fast either side is.

mod arena;
mod campaign;
mod case;
mod chance;
mod corpus;
mod export;
mod feedback;
mod growth;
mod http;
mod judging;
mod ledger;
mod oracle;
mod phases;
mod relations;
mod replay;
mod running;
mod schedule;
mod shrink;
mod soak;
mod toolbox;

pub use campaign::{Budget, Campaign, CampaignEvent, CampaignOptions, CampaignRun, Progress, Sums};
pub use case::{Bind, Expect, FuzzCase, HttpMessage, Phase, Relation, RelationKind, Step, What};
pub use corpus::{CorpusError, StoredCase};
pub use export::{case_yaml, curl, shell};
pub use ledger::{FirstSeen, Reproduced, Reproduction};
pub use replay::{Patience, ReplayError, ReplayVerdict, Replayed, replay};
