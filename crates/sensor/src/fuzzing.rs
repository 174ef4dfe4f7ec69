//! What fuzz targets try: bytes of the kernel's sockets, read as the sensor does.

use crate::{audit, connector};

/// Datagrams, each with its length in two bytes before it: as those of audit, and as those of the process connector. Gives how many
/// events were read.
pub fn netlink(mut bytes: &[u8]) -> usize {
    let mut joiner = audit::Reading::default();
    let mut events = 0;
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (datagram, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        events += usize::from(joiner.read(datagram)) + connector::read_events(datagram);
        bytes = behind;
    }
    events
}
