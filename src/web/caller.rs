//! From where a call comes. Behind proxies that the settings name, it is what they say; what anybody else says of it is not heard.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::house::forwarding::{Forwarding, Proxies};

/// The address at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// How many addresses a call may have come by: more proxies than stand before anything.
const MOST_HOPS: usize = 32;

impl Peer {
    /// The address that a call comes from: of those that each proxy has written behind the others', the last that is no proxy's.
    pub(super) fn caller(self, headers: &HeaderMap, proxies: &Proxies, forwarding: Forwarding) -> IpAddr {
        let own = self.0.to_canonical();
        if !proxies.has(own) {
            return own;
        }
        let mut from = own;
        for address in said(headers, forwarding).into_iter().rev().take(MOST_HOPS) {
            // What a proxy does not say, nobody knows.
            let Some(address) = address else { break };
            from = address.to_canonical();
            if !proxies.has(from) {
                break;
            }
        }
        from
    }
}

/// The addresses that a call is said to have come by, the first first; none for one that is not said.
fn said(headers: &HeaderMap, forwarding: Forwarding) -> Vec<Option<IpAddr>> {
    let name = match forwarding {
        Forwarding::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
        Forwarding::Forwarded => HeaderName::from_static("forwarded"),
    };
    let lines = headers.get_all(name).iter().map(HeaderValue::to_str);
    let lines = lines.map(Result::unwrap_or_default);
    match forwarding {
        Forwarding::XForwardedFor => {
            lines.flat_map(|line| line.split(',')).map(|one| one.trim().parse().ok()).collect()
        }
        Forwarding::Forwarded => lines.flat_map(rfc7239).collect(),
    }
}

fn rfc7239(line: &str) -> Vec<Option<IpAddr>> {
    let hops = rfc7239::parse(line).map(|hop| hop.ok()?.forwarded_for?.ip().copied());
    hops.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(peer: &str, name: &'static str, lines: &[&'static str], forwarding: Forwarding) -> String {
        let mut headers = HeaderMap::new();
        lines.iter().for_each(|line| {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(line));
        });
        let proxies = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"].map(str::to_owned).to_vec();
        let proxies = Proxies::try_from(proxies).unwrap_or_else(|error| panic!("{error}"));
        let peer = peer.parse().map(Peer).unwrap_or_else(|_| panic!("{peer}"));
        peer.caller(&headers, &proxies, forwarding).to_string()
    }

    #[test]
    fn only_what_a_proxy_says_of_a_caller_counts() {
        let by = |peer: &str, line| from(peer, "x-forwarded-for", &[line], Forwarding::XForwardedFor);
        assert_eq!(by("192.0.2.1", "203.0.113.7"), "192.0.2.1", "anybody can write the header");
        assert_eq!(by("127.0.0.1", "203.0.113.7"), "203.0.113.7");
        assert_eq!(by("127.0.0.1", "198.51.100.1, 203.0.113.7"), "203.0.113.7", "the caller wrote the first one");
        assert_eq!(by("127.0.0.1", "203.0.113.7, 10.1.2.3"), "203.0.113.7", "through two proxies");
        assert_eq!(
            by("::ffff:127.0.0.1", "203.0.113.7"),
            "203.0.113.7",
            "an address of version 4 is one in version 6 too"
        );
        assert_eq!(by("127.0.0.1", "203.0.113.7, nonsense, 10.1.2.3"), "10.1.2.3");
        for nothing in ["", "unknown", ", ,"] {
            assert_eq!(by("127.0.0.1", nothing), "127.0.0.1", "{nothing:?}");
        }
        let lines = ["198.51.100.1", "203.0.113.7, 10.1.2.3"];
        assert_eq!(from("127.0.0.1", "x-forwarded-for", &lines, Forwarding::XForwardedFor), "203.0.113.7");
        assert_eq!(from("127.0.0.1", "forwarded", &["for=203.0.113.7"], Forwarding::XForwardedFor), "127.0.0.1");
    }

    #[test]
    fn the_header_of_rfc_7239_is_understood() {
        let by = |line| from("127.0.0.1", "forwarded", &[line], Forwarding::Forwarded);
        assert_eq!(by("for=203.0.113.7;proto=https"), "203.0.113.7");
        assert_eq!(by("for=198.51.100.1, For=\"203.0.113.7:4711\";by=10.0.0.1"), "203.0.113.7");
        assert_eq!(by("for=\"[2001:db8::17]:4711\""), "2001:db8::17");
        assert_eq!(by("for=203.0.113.7, for=\"[fd00::1]\""), "203.0.113.7");
        // A caller that leaves a quote open hides what the proxy writes behind it, and gains nothing.
        for open in ["for=\"198.51.100.1, for=203.0.113.7", "for=\"198.51.100.1;by=\"x, for=203.0.113.7"] {
            assert_ne!(by(open), "198.51.100.1", "{open}");
        }
        for nothing in ["", "for=unknown", "for=_hidden", "proto=https", ";;;=,"] {
            assert_eq!(by(nothing), "127.0.0.1", "{nothing:?}");
        }
    }
}
