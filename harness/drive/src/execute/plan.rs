//! Which cases run in a revision, and why others do not.

use touchstone_core::case::{Case, CaseFile, Credential, Handshake, Need, Suite};
use touchstone_core::revision::{Era, Revision};
use touchstone_core::spec::requirement::Catalog;
use touchstone_core::trace::TransportKind;

use super::engine::Known;
use super::fixture::Fixtures;
use super::inventory::Inventory;
use super::protection::Protection;
use crate::credentials::Credentials;
use crate::transport::HttpAddress;

/// Which cases are wanted: all, or those whose id matches one of the globs.
#[derive(Debug, Clone, Default)]
pub struct CaseFilter {
    globs: Vec<String>,
    partition: Option<Partition>,
}

/// One of several parts that cases are shared out to, by their names: a case that is added moves no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    part: u32,
    of: u32,
}

impl Partition {
    /// Whether what bears this name belongs to the part.
    pub(crate) fn holds(self, id: &str) -> bool {
        // FNV-1a: the same on every machine, as the parts run on several.
        let hash = id.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        hash % self.of + 1 == self.part
    }

    /// Whether what bears this number belongs to the part.
    pub(crate) fn holds_number(self, number: u64) -> bool {
        number % u64::from(self.of) + 1 == u64::from(self.part)
    }
}

impl std::fmt::Display for Partition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.part, self.of)
    }
}

impl std::str::FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text
            .split_once('/')
            .and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((part, of)) if part >= 1 && part <= of => Ok(Self { part, of }),
            _ => Err(format!("{text:?} is no part such as 1/3 or 3/3")),
        }
    }
}

/// A case that runs.
#[derive(Clone, Copy)]
pub struct Planned<'a> {
    /// The file it stands in.
    pub file: &'a CaseFile,
    /// The case.
    pub case: &'a Case,
}

/// A case that does not run.
#[derive(Clone)]
pub struct Skipped<'a> {
    /// The case.
    pub planned: Planned<'a>,
    /// Why.
    pub reason: String,
}

/// What runs in one revision.
#[derive(Default)]
pub struct Plan<'a> {
    /// Cases to run.
    pub run: Vec<Planned<'a>>,
    /// Cases passed over.
    pub skipped: Vec<Skipped<'a>>,
}

impl CaseFilter {
    /// Keeps cases whose id matches one of `globs` (`*` stands for anything); all when there is none.
    #[must_use]
    pub fn new(globs: Vec<String>) -> Self {
        Self { globs, partition: None }
    }

    /// Keeps only the cases of one part.
    #[must_use]
    pub fn part(self, partition: Option<Partition>) -> Self {
        Self { partition, ..self }
    }

    /// Whether every case is wanted.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.globs.is_empty() && self.partition.is_none()
    }

    /// Whether the case is wanted.
    #[must_use]
    pub fn matches(&self, id: &str) -> bool {
        let named = self.globs.is_empty() || self.globs.iter().any(|glob| glob_matches(glob, id));
        named && self.partition.is_none_or(|partition| partition.holds(id))
    }
}

impl Planned<'_> {
    /// `area/name`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.file.area, self.case.name)
    }
}

/// What the server turned out to be, for the needs of cases.
pub(super) struct Surroundings<'a> {
    pub transport: TransportKind,
    pub capabilities: &'a serde_json::Value,
    pub inventory: &'a Inventory,
    /// Whether the harness started the server itself.
    pub spawned: bool,
    /// Whether the URL names its host by a name.
    pub named_host: bool,
    /// What the server demands.
    pub protection: &'a Protection,
    /// What the tester gave.
    pub credentials: &'a Credentials,
    /// What serves as a fixture.
    pub fixtures: &'a Fixtures,
    /// The versions that the server lists.
    pub versions: &'a [String],
    /// What the search for revisions has shown.
    pub known: Known,
    /// Where the server listens, over HTTP.
    pub address: Option<HttpAddress>,
}

impl<'a> Plan<'a> {
    /// The cases of a revision, sorted into those that can run and those that cannot.
    pub(super) fn make(
        suite: &'a Suite,
        catalog: &'a Catalog,
        revision: Revision,
        filter: &CaseFilter,
        surroundings: &Surroundings<'_>,
    ) -> Self {
        let mut plan = Self::default();
        for (id, file, case) in suite.of(revision, catalog) {
            if !filter.matches(&id) {
                continue;
            }
            let planned = Planned { file, case };
            let needs = case.needs.iter().filter_map(|need| need.parse::<Need>().ok());
            let locked = surroundings
                .protection
                .locked
                .clone()
                .filter(|_| !works_locked_out(case));
            match locked.or_else(|| needs.into_iter().find_map(|need| unmet(&need, surroundings))) {
                None => plan.run.push(planned),
                Some(reason) => plan.skipped.push(Skipped { planned, reason }),
            }
        }
        plan
    }
}

/// Why a need is not met, as far as this can be told before the case runs.
pub(super) fn unmet(need: &Need, surroundings: &Surroundings<'_>) -> Option<String> {
    match need {
        Need::Found(what) if what == "legacy-version" => legacy_version(surroundings.versions)
            .is_none()
            .then(|| "the server lists no version that begins with a handshake".to_owned()),
        Need::Found(what) if what == "header-param" => unmet(&Need::Fixture("header-tool".to_owned()), surroundings),
        Need::Found(what) if what == "input-required" => {
            unmet(&Need::Fixture("input-required".to_owned()), surroundings)
        }
        Need::Found(what) if what == "change-capability" => {
            let declared = CHANGES.iter().any(|path| declares(surroundings.capabilities, path));
            (!declared).then(|| "the server declares no capability for changes".to_owned())
        }
        Need::Found(what) => match surroundings.inventory.found(what) {
            Some(false) if what == "safe-tool" || what == "required-arg" => {
                Some("no such tool may be called: annotate it readOnlyHint, or run with --call all".to_owned())
            }
            Some(false) => Some(format!("the server offers no {}", what.replace('-', " "))),
            _ => None,
        },
        Need::Fixture(what) if surroundings.inventory.fixture(what) == Some(true) => None,
        Need::Fixture(what) => surroundings.fixtures.missing(what),
        Need::Capability(path) if surroundings.inventory.is_hollow(path.split('.').next().unwrap_or(path)) => Some(
            format!("blocked: `{path}` is declared, but its list is an unknown method"),
        ),
        Need::Circumstance(what) => unmet_circumstance(what, surroundings),
        other => other.unmet(surroundings.transport, surroundings.capabilities),
    }
}

/// The capabilities that announce changes.
const CHANGES: [&str; 4] = [
    "tools.listChanged",
    "prompts.listChanged",
    "resources.listChanged",
    "resources.subscribe",
];

fn declares(capabilities: &serde_json::Value, path: &str) -> bool {
    Need::Capability(path.to_owned())
        .unmet(TransportKind::Stdio, capabilities)
        .is_none()
}

/// The newest version of the handshake era among those that a server lists.
pub(super) fn legacy_version(versions: &[String]) -> Option<Revision> {
    let known = versions.iter().filter_map(|version| version.parse().ok());
    known
        .filter(|revision: &Revision| revision.era() == Era::Stateful)
        .max()
}

/// Whether a case can run although the server lets nobody in.
fn works_locked_out(case: &Case) -> bool {
    const NEEDS: [&str; 3] = ["auth", "oauth", "own-authentication"];
    case.handshake == Handshake::Manual && case.needs.iter().any(|need| NEEDS.contains(&need.as_str()))
}

fn unmet_circumstance(what: &str, surroundings: &Surroundings<'_>) -> Option<String> {
    let Protection {
        demanded,
        oauth,
        locked,
        ..
    } = surroundings.protection;
    let address = surroundings.address.as_ref();
    let token = |kind| surroundings.credentials.token(kind).err();
    match what {
        "spawned" => (!surroundings.spawned).then(|| "Touchstone did not start the server".to_owned()),
        "loopback" => {
            let listens = address.is_some_and(HttpAddress::is_loopback);
            (!listens).then(|| "the server does not listen on a loopback address".to_owned())
        }
        "session" => {
            let given = address.is_some_and(|address| address.session.is_some());
            (!given).then(|| "the server gave no session id".to_owned())
        }
        "dual-era" if surroundings.known.handshake_revision.is_some() => None,
        "dual-era" => Some("the server speaks only one era".to_owned()),
        "modern-only" if surroundings.known.modern_only => None,
        "modern-only" => Some("the server speaks the era of handshakes as well".to_owned()),
        // Whether the server takes subscriptions shows when it is asked for one: declared changes say that it does.
        "subscriptions" => unmet(&Need::Found("change-capability".to_owned()), surroundings),
        "ext:tasks" => lacks_extension("io.modelcontextprotocol/tasks", surroundings),
        "ext:ui" => lacks_extension("io.modelcontextprotocol/ui", surroundings),
        "ext:any" => {
            let extensions = surroundings.capabilities.get("extensions");
            let some = extensions.and_then(serde_json::Value::as_object).is_some_and(|all| !all.is_empty());
            (!some).then(|| "the server advertises no extension".to_owned())
        }
        // A server may put ids on some streams only, so the case itself finds out.
        "sse-resumable" => None,
        "auth" | "oauth" | "own-authentication" if !demanded => Some("the server demands no authorization".to_owned()),
        "auth" => None,
        "oauth" => (!oauth).then(|| "the server asks for no bearer token: it has an authentication of its own".to_owned()),
        "own-authentication" => oauth.then(|| "the server asks for a bearer token".to_owned()),
        "named-host" if surroundings.named_host => None,
        "named-host" => Some("the host of the URL is an address, which has no letters".to_owned()),
        "token" => locked.clone().or_else(|| token(Credential::Valid)),
        "token:expired" => token(Credential::Expired),
        "token:other-audience" => token(Credential::OtherAudience),
        "token:other-issuer" => token(Credential::OtherIssuer),
        "token:low-scope" => token(Credential::LowScope),
        "two-principals" => token(Credential::SecondPrincipal),
        "beyond-low-scope" if surroundings.credentials.beyond_low_scope.is_some() => None,
        "beyond-low-scope" => Some(
            "no tool is known that the token of low scope may not call; beyond-low-scope in touchstone.toml can name one".to_owned(),
        ),
        other => Some(format!("needs {other}")),
    }
}

fn lacks_extension(name: &str, surroundings: &Surroundings<'_>) -> Option<String> {
    let extensions = surroundings.capabilities.get("extensions");
    let advertised = extensions.and_then(|extensions| extensions.get(name)).is_some();
    (!advertised).then(|| format!("the server does not advertise the extension {name}"))
}

/// Whether a text matches a pattern in which `*` stands for any number of characters.
fn glob_matches(glob: &str, text: &str) -> bool {
    match glob.split_once('*') {
        None => glob == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|tail| {
            (0..=tail.len())
                .filter(|cut| tail.is_char_boundary(*cut))
                .any(|cut| glob_matches(rest, &tail[cut..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_in_exactly_one_part() {
        let parts: Vec<CaseFilter> = (1..=3)
            .map(|part| CaseFilter::default().part(Some(format!("{part}/3").parse().unwrap())))
            .collect();
        for id in ["tools/unknown-tool", "ping/answered", "prompts/list", "tasks/listing"] {
            assert_eq!(parts.iter().filter(|part| part.matches(id)).count(), 1, "{id}");
        }
        for wrong in ["0/3", "4/3", "1", "a/b", "1/0"] {
            assert!(wrong.parse::<Partition>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn globs_match_whole_ids() {
        let filter = CaseFilter::new(vec!["tools/*".to_owned(), "ping/answered".to_owned()]);
        assert!(filter.matches("tools/unknown-tool") && filter.matches("ping/answered"));
        assert!(!filter.matches("ping/answered-late") && !filter.matches("prompts/list"));
        assert!(CaseFilter::default().matches("anything/at-all"));
        assert!(CaseFilter::new(vec!["*/list*".to_owned()]).matches("tools/list-twice"));
    }
}
