//! What is given up, and what stays behind: nothing.

use std::io::Write;
use std::net::TcpListener;

use super::*;

#[test]
fn what_finds_no_room_is_counted() {
    // The smallest ring, which nobody reads while programs with long arguments run.
    let mut options = Options::default();
    options.limits.memory = 1;
    let Some(mut trial) = Trial::with(options, true, None) else {
        return;
    };
    let mut command = trial.command(&trial.acts.clone());
    let status = command.args(["flood", "2", "400", "/bin/true"]).status().unwrap();
    assert!(status.success());
    let mut seen = Vec::new();
    for _ in 0..20 {
        trial
            .reader
            .poll(Duration::from_millis(20), &mut |observation| {
                seen.push(observation)
            })
            .unwrap();
    }
    trial.reader.lost(&mut |observation| seen.push(observation));
    let lost = lost(&seen);
    let of = |class| {
        lost.iter()
            .filter(|lost| lost.class == class)
            .map(|lost| lost.count)
            .sum::<u64>()
    };
    let count = |class| {
        seen.iter()
            .filter(|seen| seen.class() == class && !matches!(seen, Observation::Lost(_)))
            .count() as u64
    };
    println!("lost: {lost:?}");
    // The act itself and those it ran; two processes that ran them, and all of them.
    assert_eq!(count(Class::Exec) + of(Class::Exec), 801);
    assert_eq!(count(Class::Fork) + of(Class::Fork), 802);
    assert_eq!(count(Class::Exit) + of(Class::Exit), 803);
    assert!(of(Class::Exec) > 0 && of(Class::Exec) < 801);
    assert!(
        of(Class::Exit) > of(Class::Exec),
        "the ends of processes are given up first"
    );
    assert!(
        lost.iter()
            .all(|lost| lost.cause == Cause::Shed || lost.cause == Cause::BufferFull)
    );
    // Once there is room again, all is told again.
    let seen = trial.act(&["nothing"]);
    assert_eq!(args(last(&seen)).last().unwrap(), "nothing");
    assert!(self::lost(&seen).is_empty());
}

#[test]
fn outcomes_for_which_the_kernel_has_no_room_are_counted() {
    let Some(mut trial) = Trial::with(Options::default(), true, Some(1)) else {
        return;
    };
    // One is accepted at once, the next waits and is remembered, the others wait, too.
    let seen = trial.act(&["crowd", "6"]);
    assert_eq!(connects(&seen).len(), 6);
    let of_it = |lost: &&Lost| (lost.class, lost.cause) == (Class::Outcome, Cause::TableFull);
    let counted: u64 = lost(&seen).iter().filter(of_it).map(|lost| lost.count).sum();
    assert_eq!(counted, 4, "{:?}", lost(&seen));
    // They are gone, and so is what was remembered of them.
    let seen = trial.act(&["udp", "127.0.0.1", "9", "10", "11"]);
    assert!(lost(&seen).is_empty() && connects(&seen).len() == 3);
}

#[test]
fn nothing_stays_in_the_kernel_and_nothing_is_told_of_the_sensor_itself() {
    let Some(trial) = Trial::new() else { return };
    let programs = || {
        let links = fs::read_dir("/proc/self/fd").unwrap().flatten();
        links
            .filter(|link| {
                let info = fs::read_to_string(format!(
                    "/proc/self/fdinfo/{}",
                    link.file_name().to_str().unwrap()
                ));
                info.is_ok_and(|info| info.contains("link_type") || info.contains("prog_id"))
            })
            .count()
    };
    assert!(programs() > 0);
    drop(trial);
    let Some(root) = group_root() else { return };
    // A sensor that looks at everything does not see what this process does.
    let mut reader = start(&Options::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut told = 0;
    drop(std::net::TcpStream::connect(address).unwrap());
    drop(fs::File::open("/etc/shadow"));
    for _ in 0..10 {
        reader
            .poll(Duration::from_millis(50), &mut |observation| {
                if let Observation::Connect(connect) = observation
                    && connect.process.pid == std::process::id()
                {
                    told += 1;
                }
            })
            .unwrap();
    }
    assert_eq!(told, 0);
    assert!(root.is_dir());
    std::io::stdout().flush().unwrap();
}
