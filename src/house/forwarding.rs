//! What the settings say of proxies before the server: which may say where a call comes from, and how they say it.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The addresses of proxies, each by itself or as a network: `10.0.0.0/8`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
#[schemars(with = "Vec<String>")]
pub struct Proxies(pub Vec<IpNet>);

/// The header in which proxies write where a call comes from, each behind the others'.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Forwarding {
    /// `X-Forwarded-For`, as most of them do.
    #[default]
    XForwardedFor,
    /// `Forwarded`, as RFC 7239 has it.
    Forwarded,
}

impl Proxies {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is one of theirs.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|proxies| proxies.contains(&address.to_canonical()))
    }
}

impl TryFrom<Vec<String>> for Proxies {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        let one = |text: &String| {
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            let wrong = |_| format!("`{text}` is no address of a proxy: write `127.0.0.1`, or `10.0.0.0/8`");
            text.parse().or_else(|_| address().map_err(wrong))
        };
        texts.iter().map(one).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Proxies> for Vec<String> {
    fn from(proxies: Proxies) -> Self {
        proxies.0.iter().map(ToString::to_string).collect()
    }
}
