//! `neph config`: the configuration of the service.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use neph_config::Config;
use neph_diag::{Diagnostic, SourceFile, has_errors, render, render::FileReport};
use neph_outputs::TemplateFile;

use crate::exit::{Exit, Failure};
use crate::terminal::Terminal;

/// Where a configuration is looked for when none is named.
const USUAL: [&str; 2] = ["neph.toml", "/etc/neph/neph.toml"];

/// Check the configuration of the service, and show what it may hold
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check a configuration: every mistake at once, with its place and help
    #[command(
        after_help = "Examples:\n  neph config check                    # neph.toml here, else /etc/neph/neph.toml\n  neph config check --format json my.toml\n  generate | neph config check -"
    )]
    Check(CheckArgs),
    /// Print a configuration in which every key stands, with what it does and its default
    #[command(after_help = "Example: neph config example > neph.toml")]
    Example,
    /// Print the JSON Schema of the configuration, for editors
    #[command(after_help = "Example: neph config schema > neph.schema.json")]
    Schema,
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// The file; `-` for standard input. Without it `neph.toml` here, else `/etc/neph/neph.toml`.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// A JSON object with all diagnostics.
    Json,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    match &args.command {
        Command::Check(args) => check(args, terminal),
        Command::Example => {
            std::io::stdout()
                .lock()
                .write_all(neph_config::example().as_bytes())?;
            Ok(Exit::Nothing)
        }
        Command::Schema => {
            writeln!(std::io::stdout().lock(), "{:#}", neph_config::schema())?;
            Ok(Exit::Nothing)
        }
    }
}

/// A configuration file as it was read.
pub(crate) struct Loaded {
    /// What it says; none when it has an error.
    pub(crate) config: Option<Config>,
    /// Its name and text.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Templates with mistakes, which the configuration names.
    templates: Vec<TemplateFile>,
}

impl Loaded {
    /// Adds what is wrong with outputs.
    fn check_outputs(&mut self) {
        let Some(config) = &self.config else {
            return;
        };
        let checked = neph_outputs::check(&config.outputs, &self.text, neph_api::now());
        self.diagnostics.extend(checked.diagnostics);
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        self.templates = checked.templates;
        if self.reports().iter().any(|report| has_errors(report.diagnostics)) {
            self.config = None;
        }
    }

    /// Shows the diagnostics on standard error.
    pub(crate) fn show(&self, terminal: &Terminal) {
        for report in self.reports() {
            for diagnostic in report.diagnostics {
                terminal.note_plain(&render::text(diagnostic, &report.source, terminal.colour_err));
            }
        }
    }

    /// The configuration, and the templates with mistakes.
    fn reports(&self) -> Vec<FileReport<'_>> {
        let own = FileReport {
            source: self.source(),
            diagnostics: &self.diagnostics,
        };
        let templates = self.templates.iter().map(|file| FileReport {
            source: SourceFile {
                name: file.path.to_str().unwrap_or_default(),
                text: &file.text,
            },
            diagnostics: &file.diagnostics,
        });
        std::iter::once(own).chain(templates).collect()
    }

    fn source(&self) -> SourceFile<'_> {
        SourceFile {
            name: &self.name,
            text: &self.text,
        }
    }
}

/// The file that counts when none is named, if it is there.
pub(crate) fn usual() -> Option<PathBuf> {
    USUAL.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// Reads a configuration file.
pub(crate) fn load(path: &Path) -> Result<Loaded, Failure> {
    let name = path.display().to_string();
    let read = match name.as_str() {
        "-" => std::io::read_to_string(std::io::stdin().lock().take(1 << 26)),
        _ => std::fs::read_to_string(path),
    };
    let text = read.map_err(|source| Failure::Read {
        path: name.clone(),
        source,
    })?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::path::absolute(folder)?,
        _ => std::env::current_dir()?,
    };
    let read = neph_config::read(&text, &folder);
    #[cfg(not(feature = "object-store"))]
    let read = read.without_object_storage();
    let mut loaded = Loaded {
        config: read.config,
        name,
        text,
        diagnostics: read.diagnostics,
        templates: Vec::new(),
    };
    loaded.check_outputs();
    Ok(loaded)
}

fn check(args: &CheckArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let Some(path) = args.file.clone().or_else(usual) else {
        return Err(Failure::Message(
            "there is no configuration to check: neither `neph.toml` here nor `/etc/neph/neph.toml` is there; \
             the service runs without one, too"
                .into(),
        ));
    };
    let loaded = load(&path)?;
    let reports = loaded.reports();
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", render::json(&reports))?,
        Format::Text => {
            for report in &reports {
                write!(out, "{}", render::file_text(report, terminal.colour_out))?;
            }
            match reports.iter().all(|report| report.diagnostics.is_empty()) {
                true => writeln!(out, "`{}` is right", loaded.name)?,
                false => writeln!(out, "{}", render::summary(&reports))?,
            }
        }
    }
    Ok(match loaded.config {
        Some(_) => Exit::Nothing,
        None => Exit::Errors,
    })
}
