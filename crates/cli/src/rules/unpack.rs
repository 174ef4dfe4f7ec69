//! `neph rules unpack`: the built-in rules as files.

use std::fs;
use std::path::{Path, PathBuf};

use neph_rules::{BUILTIN, builtin_files};

use crate::exit::{Exit, Failure};
use crate::input::plural;
use crate::terminal::Terminal;

/// Write the built-in rules, lists and scenarios into a folder, to read and to change them
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  neph rules unpack mine && neph detect --rules mine/rules --lists mine/lists logs/\n\nA file that is there already is not touched, and named; exit code 2 if there is one."
)]
pub(crate) struct Args {
    /// The folder; it is made where it is missing.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut written = 0;
    let mut kept = false;
    for (path, text) in builtin_files(Path::new(BUILTIN)) {
        let target = args.folder.join(path);
        if target.exists() {
            terminal.warning(&format!(
                "`{}` is there already and stays as it is",
                target.display()
            ));
            kept = true;
            continue;
        }
        write(&target, text).map_err(|source| Failure::Write {
            path: target.display().to_string(),
            source,
        })?;
        written += 1;
    }
    terminal.note_plain(&format!(
        "{} written to `{}`",
        plural(written, "file"),
        args.folder.display()
    ));
    Ok(if kept { Exit::Errors } else { Exit::Nothing })
}

fn write(target: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(target, text)
}
