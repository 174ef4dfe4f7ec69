//! Programs that start: who they are, as whom and where they run.

use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn who_a_program_is_and_where_it_runs() {
    let Some(mut trial) = Trial::new() else { return };
    let acts = trial.acts.clone();
    let seen = trial.act(&["nothing", "", "zwei drei"]);
    let exec = last(&seen);
    assert_eq!(args(exec), [acts.to_str().unwrap(), "nothing", "", "zwei drei"]);
    assert_eq!(text(&exec.executable), real(acts.to_str().unwrap()));
    assert_eq!(exec.args_bytes, acts.as_os_str().len() as u64 + 1 + 8 + 1 + 10);
    assert_eq!(exec.args_count, None);
    assert_eq!(
        text(exec.cwd.as_ref().unwrap()),
        real(trial.folder.path().to_str().unwrap())
    );
    assert!(!exec.unnamed && exec.script.is_none());
    assert_eq!(exec.asked.as_deref(), acts.to_str().map(str::as_bytes));
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let context = &exec.context;
    assert_eq!(
        (context.uid, context.euid, context.gid, context.egid),
        (Some(0), Some(0), Some(0), Some(0))
    );
    let field = |name: &str| {
        own.lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap()
            .trim()
    };
    let effective = u64::from_str_radix(field("CapEff:"), 16).unwrap();
    assert_eq!(context.capabilities_effective, Some(effective));
    assert_eq!(context.inner_pid, Some(exec.process.pid));
    let namespaces = context.namespaces.unwrap();
    for (name, inode) in [
        ("mnt", namespaces.mnt),
        ("pid", namespaces.pid),
        ("net", namespaces.net),
        ("user", namespaces.user),
        ("uts", namespaces.uts),
    ] {
        let link = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert_eq!(link.to_str().unwrap(), format!("{name}:[{inode}]"));
    }
    assert_eq!(
        Path::new(&text(context.cgroup.as_ref().unwrap())).file_name(),
        trial.group.file_name()
    );
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, stat) = stat.rsplit_once(") ").unwrap();
    let stat: Vec<u32> = stat
        .split(' ')
        .skip(1)
        .take(4)
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    assert_eq!(context.group_leader, Some(stat[1]));
    assert_eq!(context.session_leader, Some(stat[2]));
    assert_eq!(context.tty, Some(stat[3]));
    let ends = exit_of(&seen, exec.process);
    assert_eq!(ends, [0]);
    assert_eq!(exec.parent.unwrap().pid, std::process::id());
    let started = crate::procfs::Stat::read(std::process::id()).unwrap();
    assert_eq!(exec.parent.unwrap(), started.process, "as /proc tells it");
    assert!(lost(&seen).is_empty());
}

#[test]
fn arguments_however_many() {
    let Some(mut trial) = Trial::new() else { return };
    let seen = trial.act(&["many", "2000", "4"]);
    let exec = last(&seen);
    assert_eq!(args(exec).len(), 2001);
    assert_eq!((exec.args_bytes, exec.args_count), (5 + 2000 * 5, None));

    let seen = trial.act(&["many", "10", "104857"]);
    let exec = last(&seen);
    assert_eq!((exec.args_bytes, exec.args_count), (5 + 10 * 104_858, Some(11)));
    assert_eq!(args(exec)[0], "true");
    assert_eq!(
        exec.args.iter().flatten().map(Vec::len).sum::<usize>() + 1,
        16 << 10
    );

    let seen = trial.act(&["no-arguments"]);
    // Since Linux 5.18 an empty name is put in where a program is given no arguments.
    let exec = last(&seen);
    assert!(exec.executable.ends_with(b"/true"));
    assert!(exec.args.as_ref().unwrap().iter().all(Vec::is_empty));

    let name = std::ffi::OsString::from_vec(b"t\xffr\xfe".to_vec());
    let odd = trial.folder.path().join(&name);
    fs::copy("/bin/true", &odd).unwrap();
    let mut command = trial.command(&odd);
    command.arg(std::ffi::OsString::from_vec(b"\xc3\x28".to_vec()));
    let seen = trial.run(command);
    let exec = last(&seen);
    assert!(exec.executable.ends_with(b"/t\xffr\xfe"));
    assert_eq!(exec.args.as_ref().unwrap()[1], b"\xc3\x28");
}

#[test]
fn programs_of_other_kinds() {
    let Some(mut trial) = Trial::new() else { return };
    let script = trial.path("script.sh");
    fs::write(&script, "#!/bin/sh -e\ntrue\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let command = trial.command(Path::new("./script.sh"));
    let seen = trial.run(command);
    let exec = last(&seen);
    assert_eq!(text(exec.script.as_ref().unwrap()), real(&script));
    assert_eq!(text(&exec.executable), real("/bin/sh"));
    assert_eq!(text(exec.asked.as_ref().unwrap()), "./script.sh");
    assert_eq!(args(exec), ["/bin/sh", "-e", "./script.sh"]);

    let seen = trial.act(&["memory"]);
    let exec = last(&seen);
    assert!(exec.unnamed);
    assert_eq!(text(&exec.executable), "/memfd:hidden");
    assert_eq!(args(exec), ["from-memory"]);

    let seen = trial.act(&["thread"]);
    let exec = last(&seen);
    assert_eq!(args(exec), ["true", "by-thread"]);
    let first = execs(&seen)
        .into_iter()
        .find(|exec| args(exec).contains(&"thread".to_owned()))
        .unwrap();
    assert_eq!(
        first.process, exec.process,
        "a thread that runs a program becomes its process"
    );
    assert_eq!(exit_of(&seen, exec.process), [0]);

    let seen = trial.act(&["vfork"]);
    let exec = last(&seen);
    let first = execs(&seen)
        .into_iter()
        .find(|exec| args(exec).last().unwrap() == "vfork")
        .unwrap();
    assert_eq!(args(exec), ["true", "by-vfork"]);
    assert_eq!(exec.parent, Some(first.process));
    assert_eq!(parent_of(&seen, exec.process), Some(first.process));

    let seen = trial.act(&["twice"]);
    let exec = last(&seen);
    let first = execs(&seen)
        .into_iter()
        .find(|exec| args(exec).last().unwrap() == "twice")
        .unwrap();
    let middle = parent_of(&seen, exec.process).unwrap();
    assert_eq!(parent_of(&seen, middle), Some(first.process));
    assert_ne!(
        exec.parent,
        Some(middle),
        "who is told as parent is who is it now"
    );
    assert_eq!(exit_of(&seen, middle), [3 << 8]);

    let seen = trial.act(&["namespace"]);
    let exec = last(&seen);
    assert_eq!(args(exec), ["true", "inside"]);
    assert_eq!(exec.context.inner_pid, Some(1));
    let first = execs(&seen)[0].context.namespaces.unwrap();
    let namespaces = exec.context.namespaces.unwrap();
    assert_ne!(
        (namespaces.pid, namespaces.mnt, namespaces.uts),
        (first.pid, first.mnt, first.uts)
    );
    assert_eq!(namespaces.net, first.net);

    let seen = trial.act(&["killed"]);
    assert_eq!(exit_of(&seen, last(&seen).process), [9]);
}

#[test]
fn users_groups_and_sessions_change() {
    let Some(mut trial) = Trial::new() else { return };
    // To a group, to a user, and back, which is refused; then a session of its own, in a child, since a leader cannot begin one.
    let seen = trial.act(&["become", "65534"]);
    let told: Vec<_> = changes(&seen)
        .iter()
        .map(|change| {
            let own = change.context.session_leader == Some(change.process.pid);
            (change.context.egid, change.context.euid, own)
        })
        .collect();
    let nobody = Some(65534);
    assert_eq!(
        told,
        [
            (nobody, Some(0), false),
            (nobody, nobody, false),
            (nobody, nobody, true)
        ]
    );
    assert_eq!(changes(&seen)[1].context.capabilities_effective, Some(0));
    assert_eq!(changes(&seen)[1].process, last(&seen).process);
}
