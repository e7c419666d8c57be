//! Asks issuers over HTTP: by TLS alone but on this machine, no redirects, and no more read or waited for than an issuer needs.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse, http};
use reqwest::redirect::Policy;

/// How long an issuer may take to answer.
const WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to be reached.
const REACHED_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer may be, in bytes: a description, keys, a token.
const MOST_BYTES: usize = 256 * 1024;

/// What asks an issuer.
#[derive(Debug)]
pub(super) struct IssuerHttp {
    client: reqwest::Client,
    /// Whether the issuer is on this machine, without TLS.
    is_plain: bool,
}

/// Why an issuer has not answered.
#[derive(Debug)]
pub(super) struct Unanswered(String);

impl fmt::Display for Unanswered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Unanswered {}

impl IssuerHttp {
    /// What asks the issuer at this address.
    pub(super) fn of(url: &str) -> anyhow::Result<Self> {
        let is_plain = url.starts_with("http://");
        let client =
            reqwest::Client::builder().redirect(Policy::none()).timeout(WITHIN).connect_timeout(REACHED_WITHIN);
        // This machine is not behind its own proxy.
        let client = if is_plain { client.no_proxy() } else { client };
        Ok(Self { client: client.build()?, is_plain })
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, Unanswered> {
        let uri = request.uri().clone();
        let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
        if scheme != "https" && !self.is_plain {
            return Err(Unanswered(format!("it names `{host}` without TLS")));
        }
        let failed =
            |error: reqwest::Error| Unanswered(format!("{host}: {:#}", anyhow::Error::new(error.without_url())));
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let mut response = self.client.execute(request).await.map_err(failed)?;
        let mut answer = http::Response::builder().status(response.status());
        if let Some(kind) = response.headers().get(http::header::CONTENT_TYPE) {
            answer = answer.header(http::header::CONTENT_TYPE, kind);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > MOST_BYTES {
                return Err(Unanswered(format!("{host}: it answers more than {MOST_BYTES} bytes")));
            }
        }
        answer.body(body).map_err(|error| Unanswered(error.to_string()))
    }
}

impl<'c> AsyncHttpClient<'c> for IssuerHttp {
    type Error = Unanswered;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Unanswered>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}
