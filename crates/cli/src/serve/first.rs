//! The first start: the data folder, and a token for whoever starts the service.

use std::io::Write as _;
use std::path::Path;

use neph_store::{NewToken, Recovery, Role, Store};

use super::failed;
use super::log::Log;
use crate::exit::Failure;
use crate::service::TOKEN;
use crate::terminal::Terminal;

/// Makes the data folder, for the service's user alone.
pub(super) fn make_folder(data: &Path) -> Result<(), Failure> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(data).map_err(|source| Failure::Write {
        path: data.display().to_string(),
        source,
    })
}

/// Makes a token with all rights, unless somebody has one already; prints it, and keeps it in the data folder.
pub(super) fn token(store: &Store, data: &Path, has_admin: bool, terminal: &Terminal) -> Result<(), Failure> {
    let now = neph_api::now();
    let records = store.db.tokens().map_err(|error| failed(&error))?;
    let good = records.iter().any(|record| {
        record.role == Role::Admin
            && record.revoked.is_none()
            && record.expires.is_none_or(|expires| expires > now)
    });
    if has_admin || good {
        return Ok(());
    }
    let new = NewToken {
        name: "admin".into(),
        role: Role::Admin,
        expires: None,
    };
    let token = store.db.create_token(new, now).map_err(|error| failed(&error))?;
    let path = data.join(TOKEN);
    write_secret(&path, &token.reveal()).map_err(|source| Failure::Write {
        path: path.display().to_string(),
        source,
    })?;
    terminal.note_plain(&format!(
        "This is your token, with all rights; it is told this once, and kept in `{}`:\n\n    {}\n\n\
         `neph token create` makes others, with fewer rights.",
        path.display(),
        token.reveal()
    ));
    Ok(())
}

/// Writes a file that only its owner reads, whatever was there before.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(format!("{text}\n").as_bytes())?;
    file.sync_all()
}

/// Says what a crash left behind.
pub(super) fn tell_recovery(log: &Log, recovery: &Recovery) {
    let text = format!("{:?}", recovery.log);
    log.debug("the event log was read", &[("recovery", &text)]);
}
