//! An OpenID Connect issuer on a real socket, which signs with a key that it holds, and says whatever a test has it say.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) const CLIENT: &str = "tide";
pub(crate) const CLIENT_SECRET: &str = "client-secret-of-the-tests";

pub(crate) struct Issuer {
    shared: Arc<Shared>,
    serves: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    address: SocketAddr,
    /// The key that it signs with, and its id.
    key: Mutex<(String, Arc<KeyPair>)>,
    /// Code → what it is given out for.
    codes: Mutex<BTreeMap<String, (String, Value)>>,
    /// How often each path was asked.
    asked: Mutex<BTreeMap<String, usize>>,
    /// Whether it says which issuer it is where it sends people back.
    names_itself: bool,
    stopped: AtomicBool,
}

/// What the issuer is to answer, before it is signed.
pub(crate) struct Said {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    /// With what it is signed: this issuer's key unless a test takes another; without one it is not signed.
    pub(crate) signs: Signs,
    /// What is answered beside or instead of the token.
    pub(crate) answer: Value,
}

pub(crate) enum Signs {
    Key(Arc<KeyPair>),
    Secret(&'static str),
    Nothing,
}

pub(crate) fn key() -> Arc<KeyPair> {
    Arc::new(KeyPair::generate_for(&PKCS_ED25519).unwrap())
}

pub(crate) fn now_s() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// The query of a URL.
pub(crate) fn query(url: &str) -> BTreeMap<String, String> {
    let (_, query) = url.split_once('?').unwrap_or_else(|| panic!("{url}"));
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

impl Issuer {
    pub(crate) fn start(names_itself: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (codes, asked) = (Mutex::default(), Mutex::default());
        let (key, stopped) = (Mutex::new(("one".to_owned(), key())), AtomicBool::new(false));
        let shared = Arc::new(Shared { address, key, codes, asked, names_itself, stopped });
        let of_thread = shared.clone();
        let serves = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if of_thread.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (shared, stream) = (of_thread.clone(), stream.unwrap());
                std::thread::spawn(move || drop(shared.answer(stream)));
            }
        });
        Self { shared, serves: Mutex::new(Some(serves)) }
    }

    pub(crate) fn url(&self) -> String {
        self.shared.url()
    }

    /// Signs with another key from now on.
    pub(crate) fn rotate(&self, id: &str) {
        *self.shared.key.lock().unwrap() = (id.to_owned(), key());
    }

    /// How often a path was asked.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.shared.asked.lock().unwrap().get(path).copied().unwrap_or_default()
    }

    /// Nobody can reach it any more.
    pub(crate) fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.shared.address));
        if let Some(serves) = self.serves.lock().unwrap().take() {
            serves.join().unwrap();
        }
    }

    /// What a person does who was sent here: signs in as this one. The path with which the browser goes back.
    pub(crate) fn admit(&self, location: &str, subject: &str, change: impl FnOnce(&mut Said)) -> String {
        let asked = query(location);
        assert!(location.starts_with(&format!("{}/authorize?", self.url())), "{location}");
        assert_eq!((asked["response_type"].as_str(), asked["client_id"].as_str()), ("code", CLIENT), "{location}");
        assert_eq!(asked["code_challenge_method"], "S256");
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"), "{location}");
        let (id, key) = self.shared.key.lock().unwrap().clone();
        let now_s = now_s();
        let mut said = Said {
            header: json!({ "alg": "EdDSA", "typ": "JWT", "kid": id }),
            claims: json!({
                "iss": self.url(), "aud": CLIENT, "sub": subject, "iat": now_s, "exp": now_s + 60, "nonce": asked["nonce"],
                "preferred_username": subject, "email": format!("{subject}@corp.example"), "email_verified": true,
                "groups": ["everybody", "all-admins"],
            }),
            signs: Signs::Key(key),
            answer: json!({ "access_token": format!("access-{}", asked["state"]), "token_type": "Bearer", "expires_in": 60 }),
        };
        change(&mut said);
        let Said { header, claims, signs, mut answer } = said;
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&header), part(&claims));
        let signature = match signs {
            Signs::Key(key) => key.sign(text.as_bytes()).unwrap(),
            Signs::Secret(secret) => {
                use hmac::{Hmac, KeyInit as _, Mac as _};
                let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
                mac.update(text.as_bytes());
                mac.finalize().into_bytes().to_vec()
            }
            Signs::Nothing => Vec::new(),
        };
        if answer.get("id_token").is_none() {
            answer["id_token"] = format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)).into();
        }
        let code = format!("code-{}", asked["state"]);
        self.shared.codes.lock().unwrap().insert(code.clone(), (asked["code_challenge"].clone(), answer));
        let back = &asked["redirect_uri"];
        let (_, path) = back.split_once("://").and_then(|(_, rest)| rest.split_once('/')).unwrap();
        let iss = if self.shared.names_itself { format!("&iss={}", encoded(&self.url())) } else { String::new() };
        format!("/{path}?code={code}&state={}{iss}&session_state=x", asked["state"])
    }
}

pub(crate) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = BTreeMap::new();
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body)?;
        *self.asked.lock().unwrap().entry(path.clone()).or_default() += 1;
        let url = self.url();
        let (status, answer) = match path.as_str() {
            "/.well-known/openid-configuration" => (
                "200 OK",
                json!({
                    "issuer": url, "authorization_endpoint": format!("{url}/authorize"), "token_endpoint": format!("{url}/token"),
                    "jwks_uri": format!("{url}/keys"), "response_types_supported": ["code"], "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["EdDSA", "HS256", "none"],
                    "authorization_response_iss_parameter_supported": self.names_itself,
                }),
            ),
            "/keys" => {
                let (id, key) = self.key.lock().unwrap().clone();
                let x = URL_SAFE_NO_PAD.encode(key.der_bytes());
                ("200 OK", json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": id, "x": x }] }))
            }
            "/token" => self.token(&headers, &body),
            _ => ("404 Not Found", json!({})),
        };
        let answer = answer.to_string();
        let length = answer.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}"
        )
    }

    /// Gives the token for a code, once, to who began with it and has the client's secret.
    fn token(&self, headers: &BTreeMap<String, String>, body: &[u8]) -> (&'static str, Value) {
        let refused = ("400 Bad Request", json!({ "error": "invalid_grant", "error_description": "no such code" }));
        let sent: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let expected = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{CLIENT_SECRET}")));
        if headers.get("authorization") != Some(&expected) {
            return ("401 Unauthorized", json!({ "error": "invalid_client" }));
        }
        let Some((challenge, answer)) = self.codes.lock().unwrap().remove(&sent["code"]) else { return refused };
        let proved = URL_SAFE_NO_PAD.encode(Sha256::digest(&sent["code_verifier"])) == challenge;
        if proved { ("200 OK", answer) } else { refused }
    }
}
