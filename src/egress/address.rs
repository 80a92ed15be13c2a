//! Which addresses a URL of a stranger may lead to. Must never know why it is followed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one of the public internet: not this machine, its network, a carrier's, a cloud's metadata service, or
/// a range without hosts.
///
/// Forms that carry another address (mapped, 6to4, Teredo) are never public, but for NAT64, through which a machine with IPv6
/// alone reaches the public IPv4: there the address inside decides.
///
/// Source: IANA special-purpose address registries for IPv4 and IPv6.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    /// Azure's metadata and DNS, on an address that looks public.
    const AZURE: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);
    let special = match address.octets() {
        // "This network", private, loopback, link-local with the metadata services.
        [0 | 10 | 127, ..] | [169, 254, ..] | [172, 16..=31, ..] | [192, 168, ..] => true,
        // Carrier-grade NAT, with Alibaba's metadata service.
        [100, 64..=127, ..] => true,
        // Protocol assignments, documentation, 6to4 relays, benchmarks.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 18..=19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        // Multicast, reserved, broadcast.
        [224..=255, ..] => true,
        _ => false,
    };
    !special && address != AZURE
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Protocol assignments with Teredo, documentation, 6to4, documentation again.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // Global unicast. All else is local, multicast, mapped or not assigned.
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}
