//! Whose executables are, on hosts and in containers that are here: Debian's own database, and roots that were made for it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use neph_sensor::{Executable, Packages, Place};

/// Asks until it is known. The first answer must come at once, whatever it is.
fn known(packages: &mut Packages, place: Place<'_>, path: &str) -> Arc<Executable> {
    let begun = Instant::now();
    loop {
        let asked = Instant::now();
        let found = packages.of(place, path.as_bytes());
        assert!(asked.elapsed() < Duration::from_millis(100), "{path}");
        if let Some(found) = found {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{path} stays unknown");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn programs_of_the_host_have_their_packages() {
    if !Path::new("/var/lib/dpkg/status").exists() {
        println!("skipped: this host has no packages of Debian");
        return;
    }
    let mut packages = Packages::start();
    let told = |packages: &mut Packages, path: &str| {
        let found = known(packages, Place::Host, path);
        let package = found.package.clone().unwrap();
        (package.map(|package| package.name), found.differs_from_package)
    };
    // Their packages bring them as `/bin/…`.
    assert_eq!(
        told(&mut packages, "/usr/bin/ls"),
        (Some("coreutils".to_owned()), Some(false))
    );
    assert_eq!(
        told(&mut packages, "/bin/cat"),
        (Some("coreutils".to_owned()), Some(false))
    );
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    std::fs::copy("/usr/bin/ls", &own).unwrap();
    assert_eq!(told(&mut packages, own.to_str().unwrap()), (None, None));
    let found = known(&mut packages, Place::Host, "/bin/cat");
    let members = serde_json::Value::Object(found.members());
    assert_eq!(members["package"]["type"], "deb");
    assert!(
        members["package"]["version"]
            .as_str()
            .unwrap()
            .starts_with(|first: char| first.is_ascii_digit())
    );
    // What is no file, or not there, is never known, and costs nothing.
    for path in ["/dev/null", "/nowhere", "/etc", "\0", ""] {
        assert!(packages.of(Place::Host, path.as_bytes()).is_none());
    }
}
