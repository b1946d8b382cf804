//! Client configurations: `mcpServers` of Claude Desktop and Cursor, `servers` of VS Code.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Map, Value};
use touchstone_core::spelling::nearest;
use touchstone_core::trace::TransportKind;
use touchstone_drive::target::{CommandTarget, Target, UrlTarget};

/// The servers of a configuration, or the one that is named.
pub(crate) fn read(file: &Path, only: Option<&str>) -> anyhow::Result<Vec<(String, Target)>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    parse(&text, only).with_context(|| file.display().to_string())
}

fn parse(text: &str, only: Option<&str>) -> anyhow::Result<Vec<(String, Target)>> {
    // VS Code allows comments in its file.
    let content: Value = serde_json::from_str(&without_comments(text)).context("this is no JSON")?;
    let servers = ["mcpServers", "servers"]
        .iter()
        .find_map(|key| content.get(key)?.as_object());
    let servers = servers.or_else(|| content.pointer("/mcp/servers")?.as_object());
    let servers = servers.ok_or_else(|| {
        anyhow!("there is neither an object \"mcpServers\" (Claude Desktop, Cursor) nor \"servers\" (VS Code)")
    })?;
    if let Some(name) = only {
        let entry = servers.get(name).ok_or_else(|| {
            let known: Vec<&str> = servers.keys().map(String::as_str).collect();
            let hint = nearest(name, known.iter().copied())
                .map(|near| format!("; did you mean {near:?}?"))
                .unwrap_or_default();
            anyhow!("there is no server {name:?}; there are {}{hint}", known.join(", "))
        })?;
        return Ok(vec![(name.to_owned(), server(name, entry)?)]);
    }
    if servers.is_empty() {
        bail!("there is no server in it");
    }
    servers
        .iter()
        .map(|(name, entry)| Ok((name.clone(), server(name, entry)?)))
        .collect()
}

fn server(name: &str, entry: &Value) -> anyhow::Result<Target> {
    let members = entry
        .as_object()
        .ok_or_else(|| anyhow!("server {name:?} is no object"))?;
    let text = |key: &str| members.get(key).and_then(Value::as_str);
    if let Some(url) = text("url").or_else(|| text("serverUrl")) {
        let url = url
            .parse()
            .with_context(|| format!("server {name:?}: {url:?} is no URL"))?;
        let transport = match text("type").or_else(|| text("transport")) {
            Some("sse") => Some(TransportKind::HttpSse),
            // VS Code tries Streamable HTTP first and falls back, as detection does.
            _ => None,
        };
        return Ok(Target::Url(UrlTarget {
            url,
            headers: pairs(members, "headers", name)?,
            transport,
        }));
    }
    let program = text("command").ok_or_else(|| anyhow!("server {name:?} has neither \"command\" nor \"url\""))?;
    let arguments = match members.get("args") {
        None => Vec::new(),
        Some(Value::Array(words)) => words
            .iter()
            .map(|word| {
                word.as_str()
                    .map(Into::into)
                    .ok_or_else(|| anyhow!("server {name:?}: args holds {word}, which is no string"))
            })
            .collect::<anyhow::Result<_>>()?,
        Some(other) => bail!("server {name:?}: args is {other}, not a list of strings"),
    };
    let mut command = CommandTarget::new(program, arguments);
    command.environment = pairs(members, "env", name)?;
    command.directory = text("cwd").map(PathBuf::from);
    Ok(Target::Command(command))
}

/// The pairs of an object of strings. Values are secrets, so complaints do not show them.
fn pairs(members: &Map<String, Value>, key: &str, server: &str) -> anyhow::Result<Vec<(String, String)>> {
    match members.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(pairs)) => pairs
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) => Ok((name.clone(), text.clone())),
                Value::Number(_) | Value::Bool(_) => Ok((name.clone(), value.to_string())),
                _ => Err(anyhow!("server {server:?}: {name:?} in {key} is no string")),
            })
            .collect(),
        Some(_) => bail!("server {server:?}: {key} is no object"),
    }
}

/// The text with `//` and `/* */` comments outside strings blanked out.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    let mut in_string = false;
    while let Some(character) = rest.next() {
        match character {
            '\\' if in_string => {
                out.push(character);
                out.extend(rest.next());
            }
            '"' => {
                in_string = !in_string;
                out.push(character);
            }
            '/' if !in_string && rest.peek() == Some(&'/') => {
                while rest.peek().is_some_and(|next| *next != '\n') {
                    rest.next();
                }
            }
            '/' if !in_string && rest.peek() == Some(&'*') => {
                rest.next();
                let mut before = ' ';
                for next in rest.by_ref() {
                    if before == '*' && next == '/' {
                        break;
                    }
                    before = next;
                }
            }
            other => out.push(other),
        }
    }
    out
}
