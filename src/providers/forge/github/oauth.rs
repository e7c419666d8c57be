//! Who somebody is at GitHub, as they show it in their browser: the web application flow of an App, with PKCE. Documented at
//! <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app>.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Method, header};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{
    Addresses,
    pages::{Asking, Unanswered},
};
use crate::providers::{
    Secret,
    forge::{Account, values::is_name},
};

/// How long a code or a token may be, in bytes.
const LONGEST: usize = 1_024;
/// How much of the name of an error is kept, in characters.
const LONGEST_ERROR: usize = 64;

/// The App that people sign in with.
#[derive(Debug, Clone)]
pub struct Client<'settings> {
    /// Where it is.
    pub addresses: &'settings Addresses,
    /// Its client id.
    pub id: &'settings str,
    /// Where people come back to.
    pub back: &'settings str,
}

impl Client<'_> {
    /// Where the browser goes to sign in. The verifier stays here; its hash goes.
    #[must_use]
    pub fn authorize(&self, state: &str, verifier: &str) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("client_id", self.id).append_pair("redirect_uri", self.back).append_pair("state", state);
        query.append_pair("code_challenge", &challenge).append_pair("code_challenge_method", "S256");
        format!("{}/login/oauth/authorize?{}", self.addresses.pages, query.finish())
    }

    /// Who has come back with a code, which is good once. The token that it gives is used for this question alone.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn account(&self, secret: &Secret, code: &str, verifier: &str) -> Result<Account, Unanswered> {
        let asking = Asking::of(self.addresses)?;
        let url = format!("{}/login/oauth/access_token", self.addresses.pages);
        let fields = [
            ("client_id", self.id),
            ("client_secret", secret.expose()),
            ("code", code),
            ("redirect_uri", self.back),
            ("code_verifier", verifier),
        ];
        let answer: Answer = asking.answer(asking.form(&url, &fields)).await?;
        let token = match answer {
            // It says so with status 200.
            Answer { error: Some(error), .. } => {
                let error: String = error.chars().take(LONGEST_ERROR).collect();
                return Err(Unanswered::Refused(
                    200,
                    format!("GitHub does not take the code: `{}`", error.escape_debug()),
                ));
            }
            Answer { access_token: Some(token), .. } if is_plain(&token) => Secret::new(token),
            Answer { .. } => return Err(Unanswered::Refused(200, "GitHub gives no token for the code".to_owned())),
        };
        let request = asking.api(Method::GET, &format!("{}/user", self.addresses.api));
        let request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        let user: User = asking.answer(request).await?;
        if user.id == 0 || !is_name(&user.login) {
            return Err(Unanswered::Refused(200, "GitHub does not say who it is".to_owned()));
        }
        Ok(Account { id: user.id, login: user.login })
    }
}

fn is_plain(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct User {
    id: u64,
    login: String,
}
