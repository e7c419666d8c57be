//! An address of this machine alone that no other server has: browsers keep cookies apart by address and not by port, so that any
//! other server of the same address would be sent ours.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
};

use sha2::{Digest as _, Sha256};

/// The address that all servers of a machine share.
pub(super) const SHARED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The address of the server of a data folder, the same each time. Linux has all of 127.0.0.0/8; from 127.64.0.0 on nobody else
/// takes one by custom.
pub(super) fn of(data: &Path) -> SocketAddr {
    let [one, two, three, ..]: [u8; 32] = Sha256::digest(data.as_os_str().as_encoded_bytes()).into();
    // Neither the address of a network nor that of all in it, however large somebody thinks it is.
    let address = Ipv4Addr::new(127, 64 + one % 128, two, 1 + three % 254);
    SocketAddr::new(IpAddr::V4(address), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_folder_has_an_address_of_its_own() {
        let at = |folder: &str| of(Path::new(folder)).ip();
        assert_eq!(at("/var/lib/tidegate"), at("/var/lib/tidegate"));
        assert_ne!(at("/var/lib/tidegate"), at("/home/grace/data"));
        for number in 0..1_000 {
            let IpAddr::V4(address) = at(&number.to_string()) else { panic!("it is short") };
            let [first, second, _, last] = address.octets();
            assert!(first == 127 && (64..192).contains(&second) && last != 0 && last != 255, "{address}");
        }
    }
}
