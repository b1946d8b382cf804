//! Tokens: issued and verified with a key that lives as long as the server.
//!
//! The JWTs are the `jsonwebtoken` crate's; the one algorithm that is needed (HS256, issuer and resource server being the
//! same process) is given to it from `ring`, which TLS has brought along, instead of a second set of cryptography.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, get_current_timestamp};
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::{Denial, Deviation};

/// Seconds that a token lives.
pub(crate) const LIFETIME: u64 = 24 * 60 * 60;

/// What a token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// Who issued it.
    pub(crate) iss: String,
    /// Which resource it is for.
    pub(crate) aud: String,
    /// Who it was issued to.
    pub(crate) sub: String,
    /// What it allows, separated by spaces.
    pub(crate) scope: String,
    pub(crate) iat: u64,
    pub(crate) exp: u64,
}

/// Issues and verifies the tokens of one server.
pub(crate) struct Issuer {
    origin: String,
    resource: String,
    secret: [u8; 32],
    validation: Validation,
}

impl Issuer {
    pub(super) fn new(origin: String, path: &str, deviations: &[&'static Deviation]) -> Result<Self, getrandom::Error> {
        install_provider();
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let resource = format!("{origin}{path}");
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[&resource]);
        validation.set_issuer(&[&origin]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        validation.leeway = 5;
        for deviation in deviations {
            (deviation.validation)(&mut validation);
        }
        Ok(Self {
            origin,
            resource,
            secret,
            validation,
        })
    }

    /// The issuer identifier, which is the origin of the server.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The resource identifier, which is the URL of the endpoint.
    pub(crate) fn resource(&self) -> &str {
        &self.resource
    }

    /// Where the metadata of the resource is (RFC 9728, section 3.1).
    pub(crate) fn metadata_url(&self) -> String {
        let path = &self.resource[self.origin.len()..];
        format!("{}{}{path}", self.origin, super::RESOURCE_METADATA)
    }

    /// The claims of an ordinary token.
    pub(crate) fn claims(&self, subject: &str, scope: &str) -> Claims {
        let now = get_current_timestamp();
        Claims {
            iss: self.origin.clone(),
            aud: self.resource.clone(),
            sub: subject.to_owned(),
            scope: scope.to_owned(),
            iat: now,
            exp: now + LIFETIME,
        }
    }

    /// A signed token.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, Error> {
        jsonwebtoken::encode(
            &Header::new(Algorithm::HS256),
            claims,
            &EncodingKey::from_secret(&self.secret),
        )
    }

    /// What the token says, when it is good.
    pub(crate) fn verify(&self, token: &str) -> Result<Claims, Denial> {
        let key = DecodingKey::from_secret(&self.secret);
        match jsonwebtoken::decode(token, &key, &self.validation) {
            Ok(data) => Ok(data.claims),
            Err(_) => Err(Denial::invalid(self)),
        }
    }
}

struct HmacSha256(hmac::Key);

impl Signer<Vec<u8>> for HmacSha256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl Verifier<Vec<u8>> for HmacSha256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        hmac::verify(&self.0, message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for HmacSha256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for HmacSha256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

fn install_provider() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| match algorithm {
            Algorithm::HS256 => Ok(Box::new(HmacSha256(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())))),
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        },
        verifier_factory: |algorithm, key| match algorithm {
            Algorithm::HS256 => {
                let secret = key.try_get_as_bytes()?;
                Ok(Box::new(HmacSha256(hmac::Key::new(hmac::HMAC_SHA256, secret))))
            }
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // Fails only when another part of the process has installed one, and that one can do HS256 too.
        let _ = PROVIDER.install_default();
    });
}
