//! Sets of networks.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks as ranges of the 128-bit address space in which IPv4 stands IPv4-mapped, as Elasticsearch keeps addresses:
/// sorted, and no two touch, so that one search finds the only range that can hold an address.
#[derive(Debug)]
pub(crate) struct Networks {
    ranges: Vec<(u128, u128)>,
}

impl Networks {
    pub(crate) fn new(networks: &[IpNet]) -> Self {
        // `network` and `broadcast` are the first and last address, also of IPv6 networks; host bits do not count.
        let mut ranges: Vec<(u128, u128)> = networks
            .iter()
            .map(|net| (position(net.network()), position(net.broadcast())))
            .collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self { ranges: merged }
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = position(address);
        let above = self.ranges.partition_point(|(first, _)| *first <= address);
        above
            .checked_sub(1)
            .and_then(|at| self.ranges.get(at))
            .is_some_and(|(_, last)| address <= *last)
    }
}

fn position(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(networks: &[&str]) -> Networks {
        let parsed: Vec<IpNet> = networks.iter().map(|text| text.parse().unwrap()).collect();
        Networks::new(&parsed)
    }

    fn holds(networks: &Networks, address: &str) -> bool {
        networks.contains(address.parse().unwrap())
    }

    #[test]
    fn host_bits_do_not_count() {
        let networks = set(&["10.6.48.157/8"]);
        assert!(holds(&networks, "10.0.0.0") && holds(&networks, "10.255.255.255"));
        assert!(!holds(&networks, "9.255.255.255") && !holds(&networks, "11.0.0.0"));
    }

    #[test]
    fn overlapping_and_touching_networks_merge() {
        let networks = set(&[
            "10.0.1.0/24",
            "10.0.0.0/24",
            "10.0.0.7/32",
            "192.168.0.0/16",
            "2001:db8::/32",
        ]);
        assert_eq!(networks.ranges.len(), 3);
        assert!(holds(&networks, "10.0.1.255") && !holds(&networks, "10.0.2.0"));
        assert!(holds(&networks, "2001:db8::1") && !holds(&networks, "2001:db9::"));
    }

    #[test]
    fn everything_and_nothing() {
        assert!(holds(&set(&["0.0.0.0/0"]), "255.255.255.255"));
        assert!(!holds(&set(&["0.0.0.0/0"]), "::1"));
        assert!(holds(&set(&["::/0"]), "127.0.0.1"));
        assert!(!holds(&set(&[]), "::"));
    }
}
