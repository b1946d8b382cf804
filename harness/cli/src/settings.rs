//! `touchstone.toml`: what a run has to know about a server that no server tells: examples, tokens, fixtures.
//!
//! Errors show file, line and column, and never the line itself: it may hold a token.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};
use toml::Spanned;
use touchstone_core::case::{FixtureCatalog, Offer};
use touchstone_drive::credentials::{Credentials, Secret};
use touchstone_drive::target::{Target, UrlTarget};

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "touchstone.toml";

/// What the file says.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// Tools that may be called whatever their annotations say.
    pub allowed_tools: BTreeSet<String>,
    /// Arguments for valid calls, by tool.
    pub examples: BTreeMap<String, Value>,
    /// Tokens.
    pub credentials: Credentials,
    /// The only server that may see the tokens.
    pub server: Option<url::Url>,
    /// What stands for a kind of tool, prompt or resource.
    pub fixtures: FixtureCatalog,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    tools: Tools,
    authorization: Authorization,
    fixtures: BTreeMap<String, Offer>,
}

/// `allow`, and a table for each tool.
#[derive(Debug, Default)]
struct Tools {
    allow: BTreeSet<String>,
    tools: BTreeMap<String, Tool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tool {
    arguments: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Authorization {
    server: Option<Spanned<String>>,
    token: Option<Spanned<Token>>,
    expired: Option<Spanned<Token>>,
    other_audience: Option<Spanned<Token>>,
    other_issuer: Option<Spanned<Token>>,
    low_scope: Option<Spanned<Token>>,
    second_principal: Option<Spanned<Token>>,
    beyond_low_scope: Option<String>,
}

/// A token, or where it is found.
#[derive(Debug)]
enum Token {
    Written(Secret),
    InEnvironment(String),
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TokenVisitor;
        impl<'de> Visitor<'de> for TokenVisitor {
            type Value = Token;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a token, or { env = \"NAME\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Token, E> {
                Ok(Token::Written(Secret::new(text)))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Token, A::Error> {
                let name = match map.next_key::<String>()?.as_deref() {
                    Some("env") => map.next_value()?,
                    Some(other) => return Err(de::Error::unknown_field(other, &["env"])),
                    None => return Err(de::Error::missing_field("env")),
                };
                match map.next_key::<String>()? {
                    None => Ok(Token::InEnvironment(name)),
                    Some(other) => Err(de::Error::unknown_field(&other, &["env"])),
                }
            }
        }
        deserializer.deserialize_any(TokenVisitor)
    }
}

impl<'de> Deserialize<'de> for Tools {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ToolsVisitor;
        impl<'de> Visitor<'de> for ToolsVisitor {
            type Value = Tools;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("`allow`, and a table for each tool")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tools, A::Error> {
                let mut tools = Tools::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "allow" {
                        tools.allow = map.next_value()?;
                    } else {
                        tools.tools.insert(name, map.next_value()?);
                    }
                }
                Ok(tools)
            }
        }
        deserializer.deserialize_map(ToolsVisitor)
    }
}

impl Settings {
    /// Reads the named file, or the one in the working directory when there is one.
    pub(crate) fn find(named: Option<&Path>) -> anyhow::Result<Self> {
        let path = match named {
            Some(path) => path.to_owned(),
            None if Path::new(DEFAULT_FILE).is_file() => PathBuf::from(DEFAULT_FILE),
            None => return Ok(Self::default()),
        };
        let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let environment = |name: &str| std::env::var(name).ok();
        Self::parse(&path.display().to_string(), &text, environment)
    }

    fn parse(file: &str, text: &str, environment: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let at = |span: Option<Range<usize>>, message: &str| {
            let (line, column) = position(text, span.map_or(0, |span| span.start));
            anyhow!("{file}:{line}:{column}: {message}")
        };
        let content: File = toml::from_str(text).map_err(|error| at(error.span(), error.message()))?;
        let token = |given: Option<Spanned<Token>>| -> anyhow::Result<Option<Secret>> {
            let Some(given) = given else { return Ok(None) };
            let span = given.span();
            let secret = match given.into_inner() {
                Token::Written(secret) => secret,
                Token::InEnvironment(name) => match environment(&name) {
                    Some(value) => Secret::new(value.trim()),
                    None => return Err(at(Some(span), &format!("the environment variable {name:?} is not set"))),
                },
            };
            let sendable = |byte: u8| byte.is_ascii_graphic();
            if secret.expose().is_empty() || !secret.expose().bytes().all(sendable) {
                return Err(at(
                    Some(span),
                    "a token is not empty, and has visible ASCII characters only",
                ));
            }
            Ok(Some(secret))
        };
        let authorization = content.authorization;
        let server = authorization.server.map(|server| {
            let span = server.span();
            let parsed = server.get_ref().parse::<url::Url>();
            parsed.map_err(|error| at(Some(span), &format!("`server` is no URL: {error}")))
        });
        Ok(Self {
            allowed_tools: content.tools.allow,
            examples: content
                .tools
                .tools
                .into_iter()
                .map(|(name, tool)| (name, Value::Object(tool.arguments)))
                .collect(),
            credentials: Credentials {
                valid: token(authorization.token)?,
                expired: token(authorization.expired)?,
                other_audience: token(authorization.other_audience)?,
                other_issuer: token(authorization.other_issuer)?,
                low_scope: token(authorization.low_scope)?,
                second_principal: token(authorization.second_principal)?,
                beyond_low_scope: authorization.beyond_low_scope,
                confidences: Vec::new(),
            },
            server: server.transpose()?,
            fixtures: content.fixtures.into_iter().collect(),
        })
    }

    /// Gives the token to the targets that may see it. Without `server` that is the only one: a token must not go to several servers.
    pub(crate) fn authorize(&mut self, targets: &mut [(Option<String>, Target)]) -> anyhow::Result<()> {
        let alone = targets.len() == 1;
        let mut given = false;
        for (_, target) in targets {
            let Target::Url(url) = target else { continue };
            match &self.server {
                Some(server) if server.origin() != url.url.origin() => continue,
                None if !alone && self.credentials.valid.is_some() => {
                    return Err(anyhow!(
                        "{DEFAULT_FILE} has a token, and there are several servers: say in [authorization] which `server` it is for"
                    ));
                }
                _ => {}
            }
            given = true;
            add_token(url, &self.credentials);
        }
        if !given {
            self.credentials = Credentials::default();
        }
        Ok(())
    }
}

fn add_token(url: &mut UrlTarget, credentials: &Credentials) {
    const FIELD: &str = "Authorization";
    let set = url.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(FIELD));
    if let (Some(token), false) = (&credentials.valid, set) {
        url.headers
            .push((FIELD.to_owned(), format!("Bearer {}", token.expose())));
    }
}

/// Line and column, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}
