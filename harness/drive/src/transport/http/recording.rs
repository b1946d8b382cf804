//! What of a request or response may stand in a trace: everything but secrets.

use http::{HeaderMap, HeaderName};

/// Stands where a secret stood.
pub(super) const HIDDEN: &str = "***";

/// Fields whose values are credentials whoever sends them.
const SECRET_FIELDS: [&str; 5] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
];

/// Words that mark a query parameter as a credential.
const SECRET_PARAMETERS: [&str; 6] = ["key", "token", "secret", "password", "passwd", "signature"];

/// Shorter values are no secrets worth looking for, and would blot out half of the trace.
const SECRET_LENGTH: usize = 6;

/// Which header fields hold secrets, and the secrets themselves.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    fields: Vec<HeaderName>,
    values: Vec<String>,
}

impl Secrets {
    pub(super) fn new(fields: &[(HeaderName, String)]) -> Self {
        Self {
            fields: fields.iter().map(|(name, _)| name.clone()).collect(),
            values: fields
                .iter()
                .map(|(_, value)| value.clone())
                .filter(|value| value.len() >= SECRET_LENGTH)
                .collect(),
        }
    }

    /// The fields of a request as they are recorded, names spelled as they are sent.
    pub(super) fn request_fields(&self, headers: &HeaderMap, lowercase_names: bool) -> Vec<(String, String)> {
        let spell = |name: &HeaderName| {
            if lowercase_names {
                name.to_string()
            } else {
                title_case(name.as_str())
            }
        };
        let fields = headers.iter();
        fields
            .map(|(name, value)| {
                (
                    spell(name),
                    self.shown(name, value.as_bytes(), self.fields.contains(name)),
                )
            })
            .collect()
    }

    /// The fields of a response as they are recorded.
    pub(super) fn response_fields(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        headers
            .iter()
            .map(|(name, value)| (name.to_string(), self.shown(name, value.as_bytes(), false)))
            .collect()
    }

    fn shown(&self, name: &HeaderName, value: &[u8], secret: bool) -> String {
        if secret || SECRET_FIELDS.contains(&name.as_str()) {
            return HIDDEN.to_owned();
        }
        let mut text = String::from_utf8_lossy(value).into_owned();
        for secret in &self.values {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), HIDDEN);
            }
        }
        text
    }
}

/// Path and query with the values of parameters that look like credentials hidden.
pub(super) fn shown_target(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else {
        return target.to_owned();
    };
    let shown = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_secret_parameter(name) => format!("{name}={HIDDEN}"),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", shown.collect::<Vec<_>>().join("&"))
}

/// A URL as a message may show it: no user, no password, no credential in the query.
pub(in crate::transport) fn shown_url(url: &url::Url) -> String {
    let mut target = url.path().to_owned();
    if let Some(query) = url.query() {
        target.push('?');
        target.push_str(query);
    }
    let origin = url.origin();
    let start = if origin.is_tuple() {
        origin.ascii_serialization()
    } else {
        format!("{}:", url.scheme())
    };
    format!("{start}{}", shown_target(&target))
}

/// The first bytes of a body as one line of a message shows them.
pub(in crate::transport) fn beginning(bytes: &[u8], cap: usize) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(cap)]);
    let words: Vec<&str> = text.split_whitespace().collect();
    let cut = if bytes.len() > cap { "..." } else { "" };
    format!("{}{cut}", words.join(" "))
}

fn is_secret_parameter(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_PARAMETERS.iter().any(|word| name.contains(word))
}

/// `mcp-session-id` as `Mcp-Session-Id`.
fn title_case(name: &str) -> String {
    let mut titled = String::with_capacity(name.len());
    let mut start = true;
    for character in name.chars() {
        titled.push(if start {
            character.to_ascii_uppercase()
        } else {
            character
        });
        start = character == '-';
    }
    titled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_leave_the_trace_and_session_ids_stay() {
        let secrets = Secrets::new(&[(HeaderName::from_static("x-team"), "hunter22".to_owned())]);
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer abc"),
            ("x-team", "hunter22"),
            ("mcp-session-id", "s-1"),
            ("set-cookie", "a=b"),
            ("x-echo", "you sent hunter22!"),
        ] {
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        let request = secrets.request_fields(&headers, false);
        let expected = [
            ("Authorization", "***"),
            ("X-Team", "***"),
            ("Mcp-Session-Id", "s-1"),
            ("Set-Cookie", "***"),
            ("X-Echo", "you sent ***!"),
        ];
        assert_eq!(
            request,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        let response = secrets.response_fields(&headers);
        assert!(
            !response
                .iter()
                .any(|(_, value)| value.contains("hunter22") || value.contains("a=b") || value.contains("abc"))
        );
    }

    #[test]
    fn credentials_in_a_query_are_hidden_and_session_ids_stay() {
        assert_eq!(
            shown_target("/sse?session_id=7&Api_Key=x&b"),
            "/sse?session_id=7&Api_Key=***&b"
        );
        let url = "https://u:p@host/mcp?token=t".parse().unwrap();
        assert_eq!(shown_url(&url), "https://host/mcp?token=***");
    }
}
