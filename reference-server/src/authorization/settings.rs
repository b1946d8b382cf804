//! A settings file for `touchstone check --settings`, with tokens of every kind for this server.

use std::io;
use std::path::Path;

use super::{BASE_SCOPE, Issuer, WRITE_SCOPE};

/// Seconds by which the expired token is too old: more than any leeway.
const EXPIRED_SINCE: u64 = 60 * 60;

/// Writes the file.
pub(crate) fn write(path: &Path, issuer: &Issuer) -> io::Result<()> {
    std::fs::write(path, text(issuer).map_err(io::Error::other)?)
}

fn text(issuer: &Issuer) -> Result<String, jsonwebtoken::errors::Error> {
    let scopes = format!("{BASE_SCOPE} {WRITE_SCOPE}");
    let valid = issuer.claims("anna", &scopes);
    let mut expired = valid.clone();
    expired.iat -= 2 * EXPIRED_SINCE;
    expired.exp = valid.iat - EXPIRED_SINCE;
    let mut other_audience = valid.clone();
    other_audience.aud = format!("{}/another-resource", issuer.origin());
    let mut other_issuer = valid.clone();
    other_issuer.iss = "https://issuer.invalid".to_owned();
    let tokens = [
        ("token", valid),
        ("expired", expired),
        ("other-audience", other_audience),
        ("other-issuer", other_issuer),
        ("low-scope", issuer.claims("anna", BASE_SCOPE)),
        ("second-principal", issuer.claims("berta", &scopes)),
    ];
    let mut text =
        "# Tokens of every kind, good as long as the server that wrote them runs.\n[authorization]\n".to_owned();
    for (kind, claims) in tokens {
        text.push_str(&format!("{kind} = \"{}\"\n", issuer.sign(&claims)?));
    }
    text.push_str("beyond-low-scope = \"create_issue\"\n");
    Ok(text)
}
