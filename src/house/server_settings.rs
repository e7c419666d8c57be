//! What `tidegate.toml` says of how the server is asked.

use std::{
    fmt,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::bail;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    forwarding::{Forwarding, Proxies},
    issuers::{self, IssuerSettings},
};

/// How the server is asked by those who cannot open its database.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// The Unix socket on which `serve` takes commands of other users of the machine, such as `/run/tidegate/socket`; without
    /// it, none. Who they are the kernel says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// Where `serve` listens for HTTP: an address and a port, of which 0 is any that is free; or `none`. Unless it says
    /// otherwise, `loopback`: a free port of an address that only this machine reaches and, where there are several, only this
    /// server has.
    pub listen: Listen,
    /// What people type to reach it, such as `https://tidegate.example.com`; without it, the address where it listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The addresses of proxies before it, such as `127.0.0.1` or `10.0.0.0/8`: where a call comes from is what they say. Nobody
    /// else is heard on that.
    #[serde(skip_serializing_if = "Proxies::is_empty")]
    pub proxies: Proxies,
    /// The header in which they say it.
    pub forwarded_header: Forwarding,
    /// How many calls a second each person, program and address may make, of which those of ten seconds are saved up; 50 at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_second: Option<NonZeroU32>,
    /// The file of the certificate, in PEM, with those that lead to its root. An address of other machines needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// The file of the certificate's private key, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Who says who somebody is that signs in from a browser. Without any, whoever runs `serve` signs in by the link that it
    /// prints.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<IssuerSettings>,
}

/// Where `serve` listens for HTTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Listen {
    /// At a free port of a loopback address of its own.
    #[default]
    Loopback,
    /// At this address.
    At(SocketAddr),
    /// Nowhere.
    Nowhere,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::Nowhere),
            "loopback" => Ok(Self::Loopback),
            text => text.parse().map(Self::At).map_err(|_| {
                format!("`{text}` is no address to listen at: write `127.0.0.1:8080`, `[::1]:0`, or `none`")
            }),
        }
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback => formatter.write_str("loopback"),
            Self::At(address) => address.fmt(formatter),
            Self::Nowhere => formatter.write_str("none"),
        }
    }
}

impl ServerSettings {
    /// Makes the paths absolute: relative ones are from the settings' folder.
    pub(crate) fn resolve(&mut self, folder: &Path) {
        for path in [&mut self.socket, &mut self.certificate, &mut self.key].into_iter().flatten() {
            *path = folder.join(&*path);
        }
        issuers::resolve(&mut self.issuers, folder);
    }

    /// Whether what it says of HTTP can be meant.
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if let Some(url) = &self.url {
            let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            let is_host = |host: &str| {
                !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
            };
            if !host.is_some_and(is_host) {
                bail!("`url` of [server] is `{url}`: write it as `https://tidegate.example.com`, without a path");
            }
        }
        if self.certificate.is_some() != self.key.is_some() {
            bail!("`certificate` and `key` of [server] belong together: name both files, or neither");
        }
        if let Listen::At(address) = self.listen
            && !address.ip().is_loopback()
            && self.certificate.is_none()
            && self.proxies.is_empty()
        {
            bail!(
                "`listen` of [server] is {address}, which other machines can reach: name a `certificate` and its `key`, or the \
                 `proxies` that speak TLS for it, or listen at 127.0.0.1 and let a proxy on this machine do that"
            );
        }
        Ok(())
    }

    /// What is hidden from commands of repositories.
    pub(crate) fn hidden(&self) -> impl Iterator<Item = PathBuf> {
        let secrets = self.issuers.iter().filter_map(|issuer| issuer.secret.clone());
        self.socket.clone().into_iter().chain(self.key.clone()).chain(secrets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<ServerSettings, String> {
        let settings: ServerSettings = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        settings.check().map_err(|error| error.to_string())?;
        Ok(settings)
    }

    #[test]
    fn it_listens_on_this_machine_unless_told_otherwise() {
        assert_eq!(checked("").map(|it| it.listen.to_string()).as_deref(), Ok("loopback"));
        assert_eq!(checked("listen = 'none'").map(|it| it.listen), Ok(Listen::Nowhere));
        for good in [
            "listen = 'loopback'",
            "listen = '[::1]:8080'\nurl = 'https://tide.example'",
            "listen = '0.0.0.0:443'\ncertificate = 'c.pem'\nkey = 'k.pem'",
            "listen = '0.0.0.0:80'\nproxies = ['10.1.0.0/16', '127.0.0.1', 'fd00::7']\nforwarded_header = 'forwarded'",
        ] {
            checked(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_to_write() {
        for (bad, said) in [
            ("listen = '8080'", "write `127.0.0.1:8080`"),
            ("listen = 'localhost:80'", "write `127.0.0.1:8080`"),
            ("listen = '0.0.0.0:80'", "name a `certificate`"),
            ("certificate = 'c.pem'", "name both files"),
            ("url = 'tide.example'", "write it as `https://"),
            ("url = 'https://tide.example/x'", "without a path"),
            ("url = 'https://a@tide.example'", "without a path"),
            ("proxies = ['proxy.example']", "write `127.0.0.1`, or `10.0.0.0/8`"),
            ("forwarded_header = 'x-real-ip'", "unknown variant"),
            ("calls_per_second = 0", "nonzero"),
            ("port = 80", "unknown field"),
        ] {
            let error = checked(bad).expect_err(bad);
            assert!(error.contains(said), "{bad}: {error}");
        }
    }
}
