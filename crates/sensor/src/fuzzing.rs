//! What fuzz targets try: bytes of the kernel's sockets and of the ring of programs in the kernel, read as the sensor does.

use crate::{audit, connector, ebpf};

/// Records of the ring, each with its length in two bytes before it. Gives how many observations were made of them.
pub fn records(mut bytes: &[u8]) -> usize {
    let mut reading = ebpf::Reading::new();
    let mut observations = 0;
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (record, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        observations += reading.read(record);
        bytes = behind;
    }
    observations + reading.rest()
}

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A datagram with its length before it: a header of a kind, and what follows.
    fn datagram(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(u16::try_from(16 + payload.len()).unwrap().to_le_bytes());
        bytes.extend(u32::try_from(16 + payload.len()).unwrap().to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(payload);
        bytes
    }

    /// What records of audit are made of.
    fn record() -> impl Strategy<Value = Vec<u8>> {
        let pieces = [
            "audit(1.2:3):",
            "audit(",
            "): ",
            " a0=",
            "a0[1]=",
            "a1_len=9",
            "argc=2",
            "\"x y\"",
            "\"",
            "saddr=",
            "02000050A9FEA9FE",
            "0A00",
            "01002F",
            "tty=pts9",
            "tty=ttyS70000",
            "exit=-9223372036854775808",
            "success=no",
            "item=0 name=",
            "41E4",
            " ",
            "=",
            "\0",
        ];
        let pieces = prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..12);
        let kinds = prop::sample::select(vec![1300_u16, 1302, 1306, 1307, 1309, 1320, 3, 0]);
        (kinds, pieces, any::<bool>()).prop_map(|(kind, pieces, begins)| {
            let mut text = if begins {
                "audit(1.2:3): ".to_owned()
            } else {
                String::new()
            };
            text.extend(pieces);
            datagram(kind, text.as_bytes())
        })
    }

    proptest! {
        #[test]
        fn whatever_the_kernels_sockets_give_is_read_or_passed_over(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(netlink(&bytes) <= bytes.len());
        }

        #[test]
        fn whatever_records_of_audit_say_is_read_or_passed_over(records in prop::collection::vec(record(), 0..20)) {
            let ends = records.len();
            prop_assert!(netlink(&records.concat()) <= ends);
        }
    }

    #[test]
    fn an_event_of_each_kind_is_read() {
        let mut bytes = datagram(1306, b"audit(1.2:3): saddr=02000050A9FEA9FE");
        bytes.extend(datagram(1320, b"audit(1.2:3): "));
        let mut event = vec![1, 0, 0, 0, 1, 0, 0, 0];
        event.extend([0; 12]);
        // Of a process that was made.
        event.extend([1, 0, 0, 0]);
        event.extend([0; 12 + 24]);
        bytes.extend(datagram(3, &event));
        assert_eq!(netlink(&bytes), 2);
    }
}
