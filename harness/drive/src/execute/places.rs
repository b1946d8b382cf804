//! Where the requests of an `http` step go, with which credentials, and what of the answer is about authorization.

use serde_json::{Value, json};
use touchstone_core::case::Credential;
use touchstone_core::case::interpolation::interpolate_text;
use touchstone_core::case::step::HttpStep;
use touchstone_core::challenge;
use touchstone_core::trace::EventKind;

use super::protection;
use super::runner::{Runner, Stop};
use crate::target::Target;
use crate::transport::{RawRequest, path_and_query};

/// The places to ask are not the server's.
pub(super) const FOREIGN: &str = "what the server names is on another origin, which is not asked";

/// Where an `http` step sends its requests.
pub(super) struct Targets {
    /// Paths with query; `None` is the endpoint.
    pub places: Vec<Option<String>>,
    /// Whether other origins were named.
    pub foreign: bool,
}

impl Targets {
    pub(super) fn endpoint() -> Self {
        Self {
            places: vec![None],
            foreign: false,
        }
    }
}

impl Runner<'_> {
    /// Where the requests of an `http` step go. Never to another origin: it has not asked to be tested.
    pub(super) fn targets(&self, request: &HttpStep) -> Result<Targets, Stop> {
        let Target::Url(target) = self.connector.target() else {
            return Ok(Targets::endpoint());
        };
        if request.path.is_empty() && request.well_known.is_empty() {
            return Ok(Targets::endpoint());
        }
        let mut urls = Vec::new();
        let mut unbound = None;
        for path in &request.path {
            match interpolate_text(path, &self.bindings) {
                Ok(path) => urls.extend(target.url.join(&path)),
                Err(problem) => unbound = Some(problem),
            }
        }
        if !request.well_known.is_empty() {
            let of = match &request.of {
                Some(text) => interpolate_text(text, &self.bindings)?.parse().ok(),
                None => Some(target.url.clone()),
            };
            let places = |of| {
                request
                    .well_known
                    .iter()
                    .flat_map(move |name| protection::well_known(of, name))
            };
            urls.extend(of.iter().flat_map(places));
        }
        // One name without a value matters only when nothing else is left to try.
        if let (true, Some(problem)) = (urls.is_empty(), unbound) {
            return Err(problem.into());
        }
        let ours = |url: &&url::Url| url.origin() == target.url.origin();
        let place = |url: &url::Url| Some(path_and_query(url).to_owned());
        Ok(Targets {
            places: urls.iter().filter(ours).map(place).collect(),
            foreign: urls.iter().any(|url| !ours(&url)),
        })
    }

    /// Puts credentials on a request, unless the step sets the field itself.
    pub(super) fn authorize(&self, kind: Credential, raw: &mut RawRequest) -> Result<(), Stop> {
        const FIELD: &str = "Authorization";
        let set = raw.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(FIELD));
        if set || kind == Credential::Valid {
            return Ok(());
        }
        if kind == Credential::None {
            raw.headers.push((FIELD.to_owned(), None));
            return Ok(());
        }
        let token = self.credentials.token(kind).map_err(Stop::Case)?;
        if kind == Credential::InQuery {
            let Target::Url(target) = self.connector.target() else {
                return Ok(());
            };
            raw.headers.push((FIELD.to_owned(), None));
            let query = target.url.query().map(|query| format!("{query}&")).unwrap_or_default();
            raw.target = Some(format!("{}?{query}access_token={token}", target.url.path()));
        } else {
            let scheme = if kind == Credential::LowerCase {
                "bearer"
            } else {
                "Bearer"
            };
            raw.headers
                .push((FIELD.to_owned(), Some(format!("{scheme} {token}").into_bytes())));
        }
        Ok(())
    }

    /// Whether a request held anything that may be meant as proof of who asks: a field that the tester gave, or a query in the URL.
    fn carries_credentials(&self, exchange: u32) -> bool {
        let Target::Url(target) = self.connector.target() else {
            return false;
        };
        let given = |name: &str| {
            name.eq_ignore_ascii_case("authorization")
                || target.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
        };
        let sent = self.session.tap().read(|trace| {
            trace.events.iter().any(|event| match &event.kind {
                EventKind::HttpRequest {
                    exchange: found,
                    headers,
                    ..
                } if *found == exchange => headers.iter().any(|(name, _)| given(name)),
                _ => false,
            })
        });
        sent || target.url.query().is_some()
    }

    /// Adds to an answer what concerns authorization.
    pub(super) fn describe_authorization(&self, value: &mut Value, exchange: u32, place: Option<String>) {
        value["http"]["session"] = json!(self.session.in_session(exchange));
        value["http"]["credentials"] = json!(self.carries_credentials(exchange));
        if let Some(place) = place {
            value["http"]["path"] = json!(place);
        }
        let challenge = self.session.tap().read(|trace| {
            let fields = trace.events.iter().find_map(|event| match &event.kind {
                EventKind::HttpResponse {
                    exchange: found,
                    headers,
                    ..
                } if *found == exchange => Some(headers),
                _ => None,
            });
            let fields = fields.into_iter().flatten();
            let fields = fields.filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
            challenge::bearer(fields.map(|(_, value)| value.as_str()))
        });
        if let Some(challenge) = challenge {
            let parameters = challenge.parameters.into_iter();
            value["http"]["challenge"] = Value::Object(parameters.map(|(name, value)| (name, json!(value))).collect());
        }
        if let Some(document) = self.session.document(exchange) {
            value["document"] = document;
        }
    }
}
