//! Files that are opened.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;

use super::*;

#[test]
fn files_that_are_looked_for() {
    let Some(mut trial) = Trial::new() else { return };
    let home = real(trial.folder.path().to_str().unwrap());
    let credentials = format!("{home}/.aws/credentials");
    fs::create_dir(format!("{home}/.aws")).unwrap();
    fs::write(&credentials, "x").unwrap();
    fs::set_permissions(&credentials, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    symlink(&credentials, format!("{home}/innocent")).unwrap();
    let within = format!("{home}/.aws");
    // As a pod has it: a link, behind which another leads to a folder with the time of writing.
    let token = format!("{home}/secrets/kubernetes.io/serviceaccount");
    fs::create_dir_all(format!("{token}/..2026_11_22")).unwrap();
    fs::write(format!("{token}/..2026_11_22/token"), "x").unwrap();
    symlink("..2026_11_22", format!("{token}/..data")).unwrap();
    symlink("..data/token", format!("{token}/token")).unwrap();

    for (act, path, failed) in [
        (&["open", &credentials][..], credentials.clone(), None),
        (&["open", "credentials", &within], credentials.clone(), None),
        (&["open", "./credentials", &within], credentials.clone(), None),
        (
            &["open", "../.aws/credentials", &within],
            credentials.clone(),
            None,
        ),
        (&["open", "innocent"], credentials.clone(), None),
        (&["write", &credentials], credentials.clone(), None),
        (&["open-as-nobody", &credentials], credentials.clone(), Some(13)),
        (&["open", "token", &token], format!("{token}/token"), None),
        (
            &["open", &format!("{token}/..data/token")],
            format!("{token}/..data/token"),
            None,
        ),
        (&["open", "/etc/shadow"], "/etc/shadow".to_owned(), None),
    ] {
        let seen = trial.act(act);
        let opens = opens(&seen);
        assert_eq!(opens.len(), 1, "{act:?}: {opens:?}");
        assert_eq!(text(&opens[0].path), path, "{act:?}");
        assert_eq!(opens[0].failed, failed, "{act:?}");
        assert_eq!(opens[0].writing, act[0] == "write");
        assert_eq!(opens[0].process, last(&seen).process);
    }
    fs::write(format!("{home}/config"), "x").unwrap();
    fs::write(format!("{home}/credentials"), "x").unwrap();
    for other in [
        "config",
        "credentials",
        "/nowhere/.aws/credentials",
        "/etc/passwd",
    ] {
        assert!(opens(&trial.act(&["open", other])).is_empty(), "{other}");
    }
}

#[test]
fn files_that_somebody_names_and_files_that_are_made() {
    let mut options = Options::default();
    for pattern in ["*/shop/secret.key", "*/cron.trial/*"] {
        options.files.add(pattern).unwrap();
    }
    options.files.leave_out("*/left/*");
    let Some(mut trial) = Trial::with(options, true, None) else {
        return;
    };
    let home = real(trial.folder.path().to_str().unwrap());
    for folder in ["shop", "cron.trial", "left/.aws"] {
        fs::create_dir_all(format!("{home}/{folder}")).unwrap();
    }
    let told = |seen: &[Observation]| -> Vec<(String, bool)> {
        opens(seen)
            .iter()
            .map(|open| (text(&open.path), open.made))
            .collect()
    };
    let key = format!("{home}/shop/secret.key");
    assert_eq!(told(&trial.act(&["make", &key])), [(key.clone(), true)]);
    assert_eq!(told(&trial.act(&["make", &key])), [(key.clone(), false)]);
    assert_eq!(told(&trial.act(&["open", &key])), [(key, false)]);
    // In such a folder what is made is told, and nothing else.
    let job = format!("{home}/cron.trial/job");
    assert_eq!(
        told(&trial.act(&["make", "cron.trial/job"])),
        [(job.clone(), true)]
    );
    assert!(told(&trial.act(&["make", &job])).is_empty());
    assert!(told(&trial.act(&["open", &job])).is_empty());
    assert!(told(&trial.act(&["make", &format!("{home}/left/.aws/credentials")])).is_empty());
}
