//! Values of networks, looked up by address: the narrowest network that holds it.

use std::net::IpAddr;

use ahash::AHashMap;
use ipnet::IpNet;

/// What belongs to networks.
#[derive(Debug)]
pub(crate) struct Networks<T> {
    by_network: AHashMap<IpNet, T>,
    /// The lengths of prefixes that there are, longest first, of IPv4 and IPv6.
    lengths: [Vec<u8>; 2],
}

impl<T> Default for Networks<T> {
    fn default() -> Self {
        Self {
            by_network: AHashMap::new(),
            lengths: [Vec::new(), Vec::new()],
        }
    }
}

impl<T: Default> Networks<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_network.is_empty()
    }

    /// The value of a network, made where there is none.
    pub(crate) fn entry(&mut self, network: IpNet) -> &mut T {
        let network = network.trunc();
        let [four, six] = &mut self.lengths;
        let lengths = if network.addr().is_ipv4() { four } else { six };
        let length = network.prefix_len();
        if let Err(place) = lengths.binary_search_by(|known| length.cmp(known)) {
            lengths.insert(place, length);
        }
        self.by_network.entry(network).or_default()
    }

    /// The value of the narrowest network that holds an address.
    pub(crate) fn get(&self, address: IpAddr) -> Option<&T> {
        let address = address.to_canonical();
        let [four, six] = &self.lengths;
        let lengths = if address.is_ipv4() { four } else { six };
        lengths.iter().find_map(|length| {
            let network = IpNet::new(address, *length).ok()?.trunc();
            self.by_network.get(&network)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Networks;

    #[test]
    fn the_narrowest_network_counts() {
        let mut networks: Networks<&str> = Networks::default();
        for (network, name) in [
            ("10.0.0.0/8", "wide"),
            ("10.1.0.0/16", "narrow"),
            ("2001:db8::/32", "six"),
        ] {
            *networks.entry(network.parse().unwrap()) = name;
        }
        let name = |address: &str| networks.get(address.parse().unwrap()).copied();
        assert_eq!(name("10.2.0.1"), Some("wide"));
        assert_eq!(name("10.1.255.255"), Some("narrow"));
        assert_eq!(name("::ffff:10.1.0.1"), Some("narrow"));
        assert_eq!(name("2001:db8:1::1"), Some("six"));
        assert_eq!(name("11.0.0.1"), None);
        assert_eq!(name("::1"), None);
    }
}
