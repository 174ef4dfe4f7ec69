//! Rules, lists and overlays that change while the service runs: what another rule has seen so far is not forgotten.

use std::fs;

use neph_rules::{Library, LoadOptions};
use neph_store::{Batch, Records};

use crate::LONG;
use crate::world::{World, alerts, append, at, options, rules, tick};

fn event(second: i64, action: &str, user: &str) -> Batch {
    let mut records = Records::default();
    let text = format!(
        "{{\"@timestamp\":\"{}\",\"event\":{{\"action\":\"{action}\"}},\"user\":{{\"name\":\"{user}\"}},\"host\":{{\"name\":\"h-{user}\"}},\"ecs\":{{\"version\":\"8.0.0\"}}}}",
        at(second)
    );
    assert!(records.push(text.as_bytes()));
    Batch {
        stream: "a".into(),
        received: at(second),
        records,
    }
}

#[test]
fn every_kind_of_change_leaves_half_of_a_sequence_where_it_is() {
    let world = World::new(&rules());
    let [lists, overlays] = ["lists", "overlays"].map(|name| {
        let folder = world.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        folder
    });
    fs::write(lists.join("quiet.txt"), "u8\n").unwrap();
    fs::write(
        overlays.join("quiet.yml"),
        "name: quiet\nowner: me\nreason: a test\nselect:\n  ids: [event]\nexceptions:\n  - name: quiet\n    fields:\n      user.name: {list: quiet}\n",
    )
    .unwrap();
    let load = LoadOptions {
        lists: vec![lists.clone()],
        overlays: vec![overlays.clone()],
        ..LoadOptions::default()
    };
    let mut library = Library::new();
    let mut again = || {
        let set = library.load(&[world.rules()], &load);
        let wrong = set
            .report
            .beside
            .iter()
            .filter(|file| neph_diag::has_errors(&file.diagnostics));
        assert_eq!(wrong.count(), 0);
        (set, library.reuse())
    };
    let store = world.store();
    let service = neph_runtime::service::Service::start(store.clone(), again().0, options(2)).unwrap();
    let found = |rule: &str| alerts(&store).into_iter().filter(|one| one.0 == rule).count();
    // Time goes on in all that follows.
    let clock = std::cell::Cell::new(0);
    let next = || {
        clock.set(clock.get() + 30);
        clock.get()
    };
    // Each change comes between the two halves of a sequence.
    let around = |number: usize, change: &mut dyn FnMut()| {
        let user = format!("half{number}");
        append(&store, &[event(next(), "fail", &user)]);
        assert!(service.wait_until_processed(LONG));
        change();
        append(&store, &[event(next(), "login", &user)]);
        assert!(service.wait_until_processed(LONG));
        assert_eq!(found("sequence"), number, "the first half is not forgotten");
    };
    // What the rule `event` tells of deletions by two users, before and after.
    let deletions = || {
        let before = found("event");
        append(
            &store,
            &[event(next(), "delete", "u8"), event(next(), "delete", "u9")],
        );
        assert!(service.wait_until_processed(LONG));
        found("event") - before
    };
    around(1, &mut || {
        // The file of a rule: it had asked for another user.
        let file = world.rules().join("event.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace(" and user.name == \"u3\"", "")).unwrap();
        let (set, reuse) = again();
        assert_eq!((reuse.read, reuse.kept), (1, 5));
        let reloaded = service.reload(set).unwrap();
        assert_eq!((reloaded.rules, reloaded.unchanged), (6, 5), "{reloaded:?}");
    });
    assert_eq!(deletions(), 1, "the list leaves out one");
    around(2, &mut || {
        fs::write(lists.join("quiet.txt"), "u8\nu9\n").unwrap();
        let (set, reuse) = again();
        assert_eq!((reuse.read, reuse.kept), (0, 6));
        assert_eq!(service.reload(set).unwrap().unchanged, 6);
    });
    assert_eq!(deletions(), 0, "the list leaves out both");
    around(3, &mut || {
        // As the API writes and takes away overlays.
        fs::remove_file(overlays.join("quiet.yml")).unwrap();
        let (set, reuse) = again();
        assert_eq!((reuse.read, reuse.kept), (0, 6));
        assert_eq!(service.reload(set).unwrap().unchanged, 6);
    });
    assert_eq!(deletions(), 2, "nothing is left out");
    append(&store, &[tick(20_000)]);
    assert!(service.wait_until_processed(LONG));
    service.stop().unwrap();
}
