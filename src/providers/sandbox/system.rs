//! What of the system can be read in the box: programs, libraries, and the files of `/etc` that programs cannot do without.
//! Not all of `/etc`: whoever runs as root owns the keys that lie there.

use std::path::PathBuf;

use crate::providers::search_path;

/// Where programs and libraries are. Those that are links on this machine are links in the box.
pub(super) const PROGRAMS: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];

/// What programs look for in `/etc`. Certificates without the private keys beside them.
pub(super) const ETC: &[&str] = &[
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/java",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/python3",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/terminfo",
    "/etc/timezone",
];

/// The folders of the search path that are not within the system's already.
pub(super) fn path_folders() -> Vec<PathBuf> {
    let is_system = |folder: &PathBuf| PROGRAMS.iter().any(|program| folder.starts_with(program));
    let folders = search_path::folders().into_iter();
    folders.filter(|folder| !is_system(folder) && folder.parent().is_some() && folder.is_dir()).collect()
}
