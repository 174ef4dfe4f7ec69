//! `neph baseline approve`.

use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use neph_baseline::{Entry, History, NewApproval, approve};

use super::{APPROVALS, FolderArgs, checked, day_of, keep, last_day, now};
use crate::exit::{Exit, Failure};
use crate::table::harmless;
use crate::terminal::Terminal;

/// Enter into the file of approvals what is as it should be: differences, golden images, accounts
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neph baseline approve --difference 3f2a9c01 --owner 'j.doe' --note 'migration' --expires 30d
  neph baseline approve --name 'nightly-*' --tag team=backup --class new --class gone --owner 'backup team' --expires 2027-04-01
  neph baseline approve --golden --name 'web-*' --image-owner 111122223333 --owner 'image team' --expires 180d
  neph baseline approve --known 444455556666 --owner 'partner desk' --expires 365d

In patterns `*` stands for any text and `?` for any one character. Comments in the file stay where they are.")]
pub(super) struct Approve {
    #[command(flatten)]
    folder: FolderArgs,
    /// The file. [default: approvals.toml in the folder]
    #[arg(long, value_name = "FILE")]
    approvals: Option<PathBuf>,
    /// Who answers for it; may be left out where the file names an `owner` for all.
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// The last day on which it counts: `180d`, or a day.
    #[arg(long, value_name = "DAY", value_parser = last_day)]
    expires: Date,
    /// A difference by its id, or the beginning of it, of the last comparison; may be given several times.
    #[arg(long, value_name = "ID", group = "about")]
    difference: Vec<String>,
    /// Ids of snapshots or images, as patterns.
    #[arg(long, value_name = "PATTERN", group = "about")]
    id: Vec<String>,
    /// Names, as patterns.
    #[arg(long, value_name = "PATTERN", group = "about")]
    name: Vec<String>,
    /// Kinds, such as `aws-ebs-snapshot` or `gcp-*`.
    #[arg(long, value_name = "PATTERN")]
    kind: Vec<String>,
    /// Tags with their values, as patterns.
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag, group = "about")]
    tag: Vec<(String, String)>,
    /// Accounts, as patterns.
    #[arg(long, value_name = "PATTERN")]
    account: Vec<String>,
    /// Regions, as patterns.
    #[arg(long, value_name = "PATTERN")]
    region: Vec<String>,
    /// What it was made of, as patterns.
    #[arg(long, value_name = "PATTERN", group = "about")]
    source: Vec<String>,
    /// Classes of differences: `new`, `gone`, `changed`, `copied-out`, `not-golden`, `golden-altered`.
    #[arg(long, value_name = "CLASS")]
    class: Vec<String>,
    /// What may change: `tags`, `sharing`, `size` …
    #[arg(long, value_name = "FIELD")]
    changes: Vec<String>,
    /// It is an image that machines may be made of.
    #[arg(long, requires = "about", conflicts_with_all = ["difference", "tag", "class", "changes", "account", "region"])]
    golden: bool,
    /// Of a golden image: whom it must belong to.
    #[arg(long, value_name = "PATTERN", requires = "golden")]
    image_owner: Vec<String>,
    /// Of a golden image: what its content must be, as the table of a difference names it.
    #[arg(long, value_name = "PATTERN", requires = "golden")]
    content: Vec<String>,
    /// An account of one's own organisation.
    #[arg(long, value_name = "ACCOUNT", conflicts_with_all = ["about", "kind", "golden", "known"])]
    own: Vec<String>,
    /// An account of others that one knows.
    #[arg(long, value_name = "ACCOUNT", conflicts_with_all = ["about", "kind", "golden"])]
    known: Vec<String>,
    /// Print what the file would be, and do not write it.
    #[arg(long)]
    dry_run: bool,
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is no tag such as `team=backup`"))?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) fn run(args: &Approve, terminal: &Terminal) -> Result<Exit, Failure> {
    let folder = &args.folder.folder;
    let path = args.approvals.clone().unwrap_or_else(|| folder.join(APPROVALS));
    let name = path.display().to_string();
    let before = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(Failure::Read { path: name, source }),
    };
    let differences = named(args, folder)?;
    let mut approval = NewApproval {
        owner: args.owner.clone(),
        note: args.note.clone(),
        expires: Some(args.expires),
        ..NewApproval::default()
    };
    let entry = if !(args.own.is_empty() && args.known.is_empty()) {
        let is = if args.own.is_empty() { "known" } else { "own" };
        let ids = args.own.iter().chain(&args.known).cloned().collect();
        approval.patterns = vec![("id", ids), ("is", vec![is.to_owned()])];
        Entry::Account
    } else {
        approval.patterns = vec![
            ("difference", differences),
            ("id", args.id.clone()),
            ("name", args.name.clone()),
            ("kind", args.kind.clone()),
            ("account", args.account.clone()),
            ("region", args.region.clone()),
            ("source", args.source.clone()),
            ("class", args.class.clone()),
            ("changes", args.changes.clone()),
            ("image_owner", args.image_owner.clone()),
            ("content", args.content.clone()),
        ];
        approval.tags.clone_from(&args.tag);
        if args.golden {
            Entry::Golden
        } else {
            Entry::Approved
        }
    };
    let after =
        approve(&before, entry, &approval).map_err(|error| Failure::Message(format!("`{name}` {error}")))?;
    if checked(&name, &after, day_of(now()), terminal).is_none() {
        terminal.error("nothing was written, because the file would have errors");
        return Ok(Exit::Errors);
    }
    if args.dry_run {
        write!(std::io::stdout().lock(), "{after}")?;
        return Ok(Exit::Nothing);
    }
    let whole = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    keep(whole, |_| {
        neph_baseline::replace_text(&path, &after)?;
        Ok(path.clone())
    })?;
    terminal.note_plain(&format!("written to `{}`", harmless(&name)));
    Ok(Exit::Nothing)
}

/// The whole ids of differences of which the beginning is given.
fn named(args: &Approve, folder: &Path) -> Result<Vec<String>, Failure> {
    if args.difference.is_empty() {
        return Ok(Vec::new());
    }
    let history = History::read(folder).map_err(|source| Failure::Read {
        path: folder.display().to_string(),
        source,
    })?;
    let Some(last) = history.comparisons.last() else {
        let message = format!(
            "there is no comparison in `{}` that differences could be of",
            folder.display()
        );
        return Err(Failure::Message(message));
    };
    let mut ids = Vec::new();
    for written in &args.difference {
        let fitting: Vec<&str> = last
            .differences
            .iter()
            .map(|one| one.id.as_str())
            .filter(|id| id.starts_with(written.as_str()))
            .collect();
        match fitting.as_slice() {
            [one] => ids.push((*one).to_owned()),
            [] => {
                return Err(Failure::Message(format!(
                    "the last comparison has no difference `{written}`"
                )));
            }
            several => {
                let message = format!("`{written}` begins the ids of {} differences", several.len());
                return Err(Failure::Message(message));
            }
        }
    }
    Ok(ids)
}
