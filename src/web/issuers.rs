//! The issuers as they answer: where each sends people to sign in, with which keys it signs, and who somebody is that comes back from it.
//! What an issuer says of itself is kept for a while; its keys are asked for again when it signs with one that is not known.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use openidconnect::{
    AdditionalClaims, AdditionalProviderMetadata, AuthType, AuthenticationFlow, AuthorizationCode,
    ClaimsVerificationError, Client, ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields, IdTokenFields,
    IdTokenVerifier, IssuerUrl, JsonWebKeySet, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier,
    ProviderMetadata, RedirectUrl, RequestTokenError, Scope, SignatureVerificationError, StandardErrorResponse,
    StandardTokenResponse, TokenResponse as _, UserInfoClaims,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreErrorResponseType,
        CoreGenderClaim, CoreGrantType, CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
        CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType, CoreRevocableToken,
        CoreRevocationErrorResponse, CoreSubjectIdentifierType, CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    attempt::Attempt,
    identity::{Claims, identity, instant, issued_not_long_ago},
    issuer_http::{IssuerHttp, Unanswered},
};
use crate::{
    house::{issuers::IssuerSettings, now_ms},
    store::Identity,
};

/// How long what an issuer says of itself is good where somebody begins to sign in.
const FRESH_MS: i64 = 60_000;
/// How often the keys of an issuer are asked for again because one is not known.
const KEYS_EVERY_MS: i64 = 30_000;
/// The algorithms by which an issuer may sign: with a key that nobody but it has.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// What an issuer says of itself beyond what the library reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct More {
    /// Whether it names itself where it sends people back (RFC 9207).
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for More {}
impl AdditionalClaims for Claims {}

type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;
type Fields = IdTokenFields<
    Claims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Tokens = StandardTokenResponse<Fields, CoreTokenType>;
type Asking = Client<
    Claims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointMaybeSet,
    openidconnect::EndpointMaybeSet,
>;

/// Why somebody has not signed in, for the log. Who tried is told no more than which of the two it is.
#[derive(Debug)]
pub(super) enum Refusal {
    /// What came back is not good.
    NotGood(String),
    /// The issuer cannot be asked.
    Down(String),
}

/// All issuers that were asked.
#[derive(Default)]
pub(super) struct Issuers(Mutex<BTreeMap<String, Arc<Issuer>>>);

/// One issuer.
pub(super) struct Issuer {
    settings: IssuerSettings,
    http: IssuerHttp,
    /// One call at a time asks the issuer, and the others have its answer.
    found: tokio::sync::Mutex<Option<Found>>,
}

/// What an issuer said of itself.
#[derive(Clone)]
struct Found {
    metadata: Metadata,
    keys: CoreJsonWebKeySet,
    at_ms: i64,
    /// When its keys were last asked for because one was not known.
    keys_again_ms: Option<i64>,
}

impl Issuers {
    /// The issuer of these settings.
    pub(super) fn of(&self, settings: &IssuerSettings) -> Result<Arc<Issuer>, Refusal> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(issuer) = known.get(&settings.name).filter(|issuer| issuer.settings == *settings) {
            return Ok(Arc::clone(issuer));
        }
        let http = IssuerHttp::of(&settings.url).map_err(|error| Refusal::Down(format!("{error:#}")))?;
        let issuer = Arc::new(Issuer { settings: settings.clone(), http, found: tokio::sync::Mutex::default() });
        known.insert(settings.name.clone(), Arc::clone(&issuer));
        Ok(issuer)
    }
}

impl Issuer {
    /// Where to send the browser that begins to sign in.
    pub(super) async fn begin(&self, attempt: &Attempt, back: &str) -> Result<String, Refusal> {
        let found = self.found(FRESH_MS).await?;
        let client = self.client(&found, back)?;
        let verifier = PkceCodeVerifier::new(attempt.verifier());
        let (state, nonce) = (attempt.state(), attempt.nonce());
        let request = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                move || CsrfToken::new(state),
                move || Nonce::new(nonce),
            )
            .add_scopes(self.settings.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        Ok(request.url().0.to_string())
    }

    /// Whether it is this issuer that sent a browser back, by what the answer says of that (RFC 9207).
    pub(super) async fn is_sender(&self, said: Option<&str>) -> Result<(), Refusal> {
        let found = self.found(i64::MAX).await?;
        let is_said = found.metadata.additional_metadata().authorization_response_iss_parameter_supported;
        match said {
            Some(said) if said == self.settings.url => Ok(()),
            None if !is_said => Ok(()),
            Some(said) => Err(Refusal::NotGood(format!("another issuer answers: `{}`", said.escape_debug()))),
            None => Err(Refusal::NotGood("the answer does not say which issuer it is of, as this one's do".to_owned())),
        }
    }

    /// Takes the token for a code. Who signed in.
    pub(super) async fn identity(&self, attempt: &Attempt, back: &str, code: &str) -> Result<Identity, Refusal> {
        let found = self.found(i64::MAX).await?;
        let client = self.client(&found, back)?;
        let asked = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|error| Refusal::Down(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier()));
        let tokens: Tokens = asked.request_async(&self.http).await.map_err(|error| match error {
            RequestTokenError::Request(error) => Refusal::Down(error.to_string()),
            // Its own words might repeat what it was sent.
            RequestTokenError::ServerResponse(error) => {
                Refusal::NotGood(format!("the issuer does not take the code: {}", error.error().as_ref()))
            }
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                Refusal::NotGood("the issuer's answer to the code cannot be read".to_owned())
            }
        })?;
        let mut claims = self.claims(&found, &tokens, attempt).await?;
        if self.lacks(&claims)
            && let Some(subject) = claims.get("sub").and_then(Value::as_str).map(str::to_owned)
        {
            for (name, value) in self.more_claims(&client, &tokens, subject).await? {
                claims.entry(name).or_insert(value);
            }
        }
        identity(&self.settings, &claims).map_err(Refusal::NotGood)
    }

    /// What the token says, once it is known to be this issuer's, for us, of now and of this sign-in.
    async fn claims(&self, found: &Found, tokens: &Tokens, attempt: &Attempt) -> Result<Map<String, Value>, Refusal> {
        let token = tokens.id_token().ok_or_else(|| Refusal::NotGood("the issuer gives no id token".to_owned()))?;
        let nonce = Nonce::new(attempt.nonce());
        let verified = match token.claims(&self.verifier(&found.keys)?, &nonce) {
            Err(error) if is_of_another_key(&error) => match self.keys_again().await? {
                Some(keys) => token.claims(&self.verifier(&keys)?, &nonce),
                None => Err(error),
            },
            verified => verified,
        };
        let verified = verified.map_err(|error| match is_of_another_key(&error) {
            true => Refusal::NotGood("no key of the issuer has signed this".to_owned()),
            false => Refusal::NotGood(format!("{:#}", anyhow::Error::new(error))),
        })?;
        let authorized = verified.authorized_party().map(|party| party.as_str().to_owned());
        if authorized.is_some_and(|party| party != self.settings.client) {
            return Err(Refusal::NotGood("the token is for another client".to_owned()));
        }
        match serde_json::to_value(verified) {
            Ok(Value::Object(claims)) => Ok(claims),
            _ => Err(Refusal::NotGood("the claims cannot be read".to_owned())),
        }
    }

    /// Whether the token does not say what has to be known; some issuers say it only when they are asked for it.
    fn lacks(&self, claims: &Map<String, Value>) -> bool {
        let IssuerSettings { person_claim, groups_claim, groups, .. } = &self.settings;
        !claims.contains_key(person_claim) || (!groups.is_empty() && !claims.contains_key(groups_claim))
    }

    async fn more_claims(
        &self,
        client: &Asking,
        tokens: &Tokens,
        subject: String,
    ) -> Result<Map<String, Value>, Refusal> {
        let subject = openidconnect::SubjectIdentifier::new(subject);
        let Ok(asked) = client.user_info(tokens.access_token().clone(), Some(subject)) else { return Ok(Map::new()) };
        let told: UserInfoClaims<Claims, CoreGenderClaim> =
            asked.request_async(&self.http).await.map_err(|error| match error {
                openidconnect::UserInfoError::Request(error) => Refusal::Down(error.to_string()),
                error => Refusal::NotGood(format!("{:#}", anyhow::Error::new(error))),
            })?;
        match serde_json::to_value(told) {
            Ok(Value::Object(claims)) => Ok(claims),
            _ => Ok(Map::new()),
        }
    }

    fn verifier(&self, keys: &CoreJsonWebKeySet) -> Result<IdTokenVerifier<'static, CoreJsonWebKey>, Refusal> {
        let verifier = IdTokenVerifier::new_public_client(
            ClientId::new(self.settings.client.clone()),
            self.issuer_url()?,
            keys.clone(),
        );
        let now_ms = now_ms();
        Ok(verifier
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || instant(now_ms))
            .set_issue_time_verifier_fn(move |issued| issued_not_long_ago(issued.timestamp_millis(), now_ms)))
    }

    fn issuer_url(&self) -> Result<IssuerUrl, Refusal> {
        IssuerUrl::new(self.settings.url.clone()).map_err(|error| Refusal::Down(error.to_string()))
    }

    fn client(&self, found: &Found, back: &str) -> Result<Asking, Refusal> {
        let secret = self.settings.client_secret().map_err(|error| Refusal::Down(format!("{error:#}")))?;
        let back = RedirectUrl::new(back.to_owned()).map_err(|error| Refusal::Down(error.to_string()))?;
        let ways = found.metadata.token_endpoint_auth_methods_supported();
        let has = |way: &CoreClientAuthMethod| ways.is_some_and(|ways| ways.contains(way));
        let in_body = has(&CoreClientAuthMethod::ClientSecretPost) && !has(&CoreClientAuthMethod::ClientSecretBasic);
        let client = Asking::from_provider_metadata(
            found.metadata.clone(),
            ClientId::new(self.settings.client.clone()),
            secret.map(ClientSecret::new),
        );
        let client = client.set_redirect_uri(back);
        Ok(if in_body { client.set_auth_type(AuthType::RequestBody) } else { client })
    }

    /// What the issuer says of itself, no older than so long.
    async fn found(&self, fresh_ms: i64) -> Result<Found, Refusal> {
        let mut found = self.found.lock().await;
        if let Some(found) =
            found.as_ref().filter(|found| (0..fresh_ms).contains(&now_ms().saturating_sub(found.at_ms)))
        {
            return Ok(found.clone());
        }
        let metadata = Metadata::discover_async(self.issuer_url()?, &self.http).await;
        let metadata = metadata.map_err(|error| Refusal::Down(format!("{:#}", anyhow::Error::new(error))))?;
        let keys_again_ms = found.as_ref().and_then(|found| found.keys_again_ms);
        let new = Found { keys: metadata.jwks().clone(), metadata, at_ms: now_ms(), keys_again_ms };
        *found = Some(new.clone());
        Ok(new)
    }

    /// The keys as the issuer has them now; nothing where they were asked for a moment ago.
    async fn keys_again(&self) -> Result<Option<CoreJsonWebKeySet>, Refusal> {
        let mut known = self.found.lock().await;
        let Some(found) = known.as_mut() else { return Ok(None) };
        let now_ms = now_ms();
        if found.keys_again_ms.is_some_and(|at_ms| (0..KEYS_EVERY_MS).contains(&(now_ms - at_ms))) {
            return Ok(None);
        }
        found.keys_again_ms = Some(now_ms);
        let keys = JsonWebKeySet::fetch_async(found.metadata.jwks_uri(), &self.http).await;
        found.keys = keys.map_err(|error: openidconnect::DiscoveryError<Unanswered>| {
            Refusal::Down(format!("{:#}", anyhow::Error::new(error)))
        })?;
        Ok(Some(found.keys.clone()))
    }
}

/// Whether no key that is known has signed this: the issuer may have another by now.
const fn is_of_another_key(error: &ClaimsVerificationError) -> bool {
    use SignatureVerificationError::{AmbiguousKeyId, CryptoError, NoMatchingKey};
    matches!(error, ClaimsVerificationError::SignatureVerification(NoMatchingKey | CryptoError(_) | AmbiguousKeyId(_)))
}
