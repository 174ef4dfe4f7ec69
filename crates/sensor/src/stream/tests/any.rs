//! Whatever is seen, in whatever order.

use proptest::prelude::*;

use super::*;
use crate::observation::{Change, Connect, Exec, Open};

/// Numbers of processes of which there are few, so that they meet.
fn id() -> impl Strategy<Value = ProcessId> {
    (0_u32..6, 0_u64..4).prop_map(|(pid, start)| ProcessId {
        pid,
        start: start * 7,
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..12)
}

prop_compose! {
    fn context()(
        ids in any::<(Option<u32>, Option<u32>, Option<u32>, Option<u32>)>(),
        leaders in (prop::option::of(0_u32..6), prop::option::of(0_u32..6)),
        cgroup in prop::option::of(prop_oneof![bytes(), Just(format!("/docker/{CONTAINER}").into_bytes())]),
        capabilities in any::<Option<u64>>(),
    ) -> Context {
        Context {
            uid: ids.0,
            euid: ids.1,
            gid: ids.2,
            tty: ids.3,
            session_leader: leaders.0,
            group_leader: leaders.1,
            cgroup,
            capabilities_effective: capabilities,
            ..Context::default()
        }
    }
}

prop_compose! {
    fn exec()(
        at in any::<u64>(),
        process in id(),
        parent in prop::option::of(id()),
        executable in bytes(),
        script in prop::option::of(bytes()),
        asked in prop::option::of(bytes()),
        unnamed in any::<bool>(),
        args in prop::option::of(prop::collection::vec(bytes(), 0..4)),
        lengths in any::<(u64, Option<u64>)>(),
        cwd in prop::option::of(bytes()),
        context in context(),
    ) -> Exec {
        let started = None;
        let at = SinceBoot(at);
        let (args_bytes, args_count) = lengths;
        Exec { at, process, started, parent, executable, script, asked, unnamed, args, args_bytes, args_count, cwd, context }
    }
}

fn observation() -> impl Strategy<Value = Observation> {
    let connect = (any::<u64>(), id(), bytes(), any::<(u128, u16, bool)>(), context())
        .prop_map(|(at, process, path, (ip, port, unix), context)| {
            let address = (std::net::IpAddr::V6(ip.into()), port).into();
            let transport = Transport::Udp;
            Box::new(Connect {
                at: SinceBoot(at),
                process,
                thread: path.clone(),
                peer: if unix {
                    Peer::Unix(path)
                } else {
                    Peer::Ip { transport, address }
                },
                local: Some(address),
                outcome: Outcome::Attempted,
                context,
            })
        })
        .boxed();
    prop_oneof![
        exec().prop_map(|exec| Observation::Exec(Box::new(exec))),
        (any::<u64>(), id(), id()).prop_map(|(at, child, parent)| Observation::Fork {
            at: SinceBoot(at),
            child,
            parent
        }),
        (any::<u64>(), id(), any::<i32>()).prop_map(|(at, process, status)| Observation::Exit {
            at: SinceBoot(at),
            process,
            status
        }),
        connect.clone().prop_map(Observation::Connect),
        connect.prop_map(Observation::Outcome),
        (any::<u64>(), id(), bytes(), any::<bool>(), any::<Option<i32>>()).prop_map(
            |(at, process, path, writing, failed)| {
                let at = SinceBoot(at);
                Observation::Open(Box::new(Open {
                    at,
                    process,
                    path,
                    writing,
                    made: writing,
                    failed,
                }))
            }
        ),
        (any::<u64>(), id(), any::<u32>(), any::<u32>()).prop_map(|(at, process, euid, session)| {
            Observation::Change(Box::new(Change {
                at: SinceBoot(at),
                process,
                context: Context {
                    euid: Some(euid),
                    session_leader: Some(session),
                    ..Context::default()
                },
            }))
        }),
        any::<u64>().prop_map(|count| Observation::Lost(Lost {
            class: Class::Exec,
            cause: Cause::Gone,
            count
        })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_seen_every_program_connection_and_file_is_told(observations in prop::collection::vec(observation(), 0..40)) {
        let mut trial = Trial::with(Limits { memory: 64 << 10, ..Limits::default() }, Vec::new());
        let of = |class: Class| observations.iter().filter(|one| one.class() == class && !matches!(one, Observation::Lost(_))).count();
        let made = observations.iter().filter(|one| matches!(one, Observation::Open(open) if open.made)).count();
        let wanted = [("exec", of(Class::Exec)), ("connection_attempted", of(Class::Connect)), ("open", of(Class::Open) - made), ("creation", made)];
        observations.iter().cloned().for_each(|one| trial.stream.push(one));
        let documents = trial.documents();
        for (action, count) in wanted {
            let told = documents.iter().filter(|document| document["event"]["action"] == action).count();
            prop_assert_eq!(told, count, "{}", action);
        }
        for document in &documents {
            prop_assert!(document["@timestamp"].is_string() && document["host"]["id"] == "host-1");
        }
        prop_assert!(trial.stream.table().1 <= (64 << 10) / 4 + (8 << 10));
    }
}
