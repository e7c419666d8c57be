//! An authority for tests that issues certificates and revokes them, in a folder of `gpgsm` whose `dirmngr` has its list.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use super::gnupg::{Gnupg, is_here};

/// How `openssl ca` writes a list of what `index` says.
const LISTING: &str = "[ca]\ndefault_ca = all\n[all]\ndatabase = index\ndefault_md = sha256\ndefault_crl_days = 3000\ncrlnumber = number\n";

/// A folder with the keys of the authority and of all whom it vouches for.
pub(crate) struct Authority {
    name: &'static str,
    pub(crate) gnupg: Gnupg,
    /// The authority's own certificate.
    fingerprint: String,
    keygrip: String,
}

impl Authority {
    /// A new one, which `gpgsm` trusts and whose list of revoked certificates it asks for; nothing where a program is missing.
    pub(crate) fn new(name: &'static str) -> Option<Self> {
        let programs = [("gpgsm", "--version"), ("dirmngr", "--version"), ("openssl", "version")];
        if !programs.into_iter().all(|(program, asked)| is_here(program, asked)) {
            return None;
        }
        let gnupg = Gnupg::empty();
        gnupg.write("gpg-agent.conf", "allow-loopback-pinentry\n");
        gnupg.write("gpgsm.conf", "enable-issuer-based-crl-check\n");
        let always = "Not-Before: 2019-01-01 00:00:00\nNot-After: 2090-01-01 00:00:00\n";
        let more = format!("Key-Usage: sign, cert\nSerial: random\n{always}");
        let fingerprint = gnupg.certify(name, "authority@example.org", &more);
        let keygrip = gnupg.colons("grp:").pop().unwrap();
        gnupg.trust(&fingerprint);
        let authority = Self { name, gnupg, fingerprint, keygrip };
        authority.revoke(&[]);
        Some(authority)
    }

    /// Vouches for somebody between two days (`2020-01-01`), and returns the fingerprint.
    pub(crate) fn vouch(&self, who: (&str, &str), serial: u8, when: (&str, &str)) -> String {
        self.vouch_with(who, serial, when, "")
    }

    /// The same, for a certificate that names an address of less than 100 bytes as that of the list of revoked ones.
    pub(crate) fn vouch_listed_at(&self, who: (&str, &str), serial: u8, address: &str) -> String {
        // RFC 5280, 4.2.1.13: names of a point in a list of points, each within the length of what it holds.
        let around = |tag: u8, within: Vec<u8>| [vec![tag, u8::try_from(within.len()).unwrap()], within].concat();
        let point =
            [0xa0, 0xa0, 0x30, 0x30].into_iter().fold(around(0x86, address.into()), |der, tag| around(tag, der));
        let hex: String = point.iter().map(|byte| format!("{byte:02x}")).collect();
        self.vouch_with(who, serial, ("2020-01-01", "2089-01-01"), &format!("Extension: 2.5.29.31 n {hex}\n"))
    }

    fn vouch_with(&self, (name, email): (&str, &str), serial: u8, (from, until): (&str, &str), more: &str) -> String {
        let Self { name: issuer, gnupg, keygrip, .. } = self;
        let more = format!(
            "{more}Key-Usage: sign\nSerial: {serial:02X}\nIssuer-DN: CN={issuer}\nSigning-Key: {keygrip}\n\
             Not-Before: {from} 00:00:00\nNot-After: {until} 00:00:00\n"
        );
        gnupg.certify(name, email, &more)
    }

    /// Publishes a list of revoked certificates, by their serial numbers, in the place of the one before.
    pub(crate) fn revoke(&self, serials: &[u8]) {
        let export = ["--batch", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--armor"];
        let key =
            self.gnupg.run("gpgsm", &[&export[..], &["--export-secret-key-p8", &self.fingerprint]].concat(), "\n");
        let certificate = self.gnupg.run("gpgsm", &["--batch", "--armor", "--export", &self.fingerprint], "");
        let folder = tempfile::tempdir().unwrap();
        let in_folder = |name: &str| folder.path().join(name);
        let revoked: String = serials
            .iter()
            .map(|serial| format!("R\t400101000000Z\t200101000000Z\t{serial:02X}\tunknown\t/CN=somebody\n"))
            .collect();
        let number = ("number", "01\n".to_owned());
        let files =
            [number, ("key", key), ("certificate", certificate), ("index", revoked), ("settings", LISTING.to_owned())];
        files.iter().for_each(|(name, text)| std::fs::write(in_folder(name), text).unwrap());
        let lists = [
            "ca -config settings -gencrl -keyfile key -cert certificate -out list",
            "crl -in list -outform der -out der",
        ];
        for arguments in lists {
            let mut openssl = Command::new("openssl");
            let made = openssl.args(arguments.split(' ')).current_dir(folder.path()).output().unwrap();
            assert!(made.status.success(), "{arguments}: {}", String::from_utf8_lossy(&made.stderr));
        }
        // It keeps the list that it has until it is started anew.
        self.gnupg.run("gpgconf", &["--kill", "dirmngr"], "");
        // One that is about to end still answers, and then no more.
        let (begun, list) = (Instant::now(), in_folder("der"));
        let load = ["--batch", "--call-dirmngr", "LOADCRL", list.to_str().unwrap()];
        while let Err(said) = self.gnupg.tried("gpgsm", &load, "") {
            assert!(begun.elapsed() < Duration::from_secs(20), "{said}");
        }
    }
}
