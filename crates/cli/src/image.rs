//! `neph image`: what is in container images, how they differ from the ones that are meant, and who signed them.

mod show;

use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use neph_diag::{Diagnostic, SourceFile, has_errors, render};
use neph_images::{
    Access, Changes, Difference, Executed, Golden, Image, ImageError, Keys, Limits, Name, Options, Place,
    Platform, Progress, Reader, Sameness, Source, Verdict, alert_of_difference, beside, compare, drift,
    hostile, verify,
};

use crate::exit::{Exit, Failure};
use crate::table::harmless;
use crate::terminal::Terminal;

/// Look into container images: their files, how they differ from the golden ones, what containers became, who signed them
#[derive(Debug, clap::Args)]
#[command(after_help = "An IMAGE is
  oci:FOLDER[:TAG] or a path   an OCI layout, an archive of one, or one of `docker save`, compressed or not
  docker://REGISTRY/REPOSITORY[:TAG][@DIGEST]   in a registry; the network is used for these alone
  root:FILE                    the root of a container, as `docker export` and `podman export` write it
  FILE.json                    what `neph image manifest --format json` printed (as the golden one)

Examples:
  neph image manifest app.tar
  neph image manifest --format json docker://registry.example/shop/app:1.4 > golden/app.json
  neph image compare golden/app.json docker://registry.example/shop/app:1.4
  neph image compare --fail-on high golden.toml app.tar
  neph image verify --keys keys.toml docker://registry.example/shop/app:1.4
  docker export web > root.tar && neph image drift app.tar --root root.tar --events events.ndjson")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Manifest(ManifestArgs),
    Compare(CompareArgs),
    Verify(VerifyArgs),
    Drift(DriftArgs),
}

/// Show an image: configuration, layers, files with digests and the layers that brought them, and what is strange
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neph image manifest app.tar
  neph image manifest --files app.tar | grep rwsr
  neph image manifest --format json app.tar > golden/app.json")]
struct ManifestArgs {
    /// The image.
    #[arg(value_name = "IMAGE")]
    image: String,
    /// List all files in the table, too.
    #[arg(long)]
    files: bool,
    #[command(flatten)]
    reading: Reading,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Compare images with the golden one, or with a list of golden ones, by configuration, layer and file
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Times, order, compression, history and the cut into layers count for nothing: an image that was built again with the same content is the same.

Examples:
  neph image compare golden/app.json app.tar
  neph image compare docker://registry.example/shop/app@sha256:… docker://registry.example/shop/app:1.4
  neph image compare --fail-on high golden.toml docker://registry.example/shop/app:1.4 docker://registry.example/shop/web:2

Exit codes: 0; 1 with --fail-on when there is a difference as severe that nobody approved; 2 when an image cannot be read or the list has errors."
)]
struct CompareArgs {
    /// The golden image, what `neph image manifest --format json` printed of it, or a list of golden images (FILE.toml).
    #[arg(value_name = "GOLDEN")]
    golden: String,
    /// The images.
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    telling: Telling,
}

/// Tell whether an image is signed by somebody whose signature counts: cosign and Sigstore bundles, Notation
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Everything is judged from what lies beside the image; no server of Sigstore or of an authority is asked.
The verdict is one of verified, unsigned, untrusted, expired, altered.

Examples:
  neph image verify --key cosign.pub docker://registry.example/shop/app:1.4
  neph image verify --keys keys.toml --fail-on any oci:layout:1.4

Exit codes: 0; 1 with --fail-on; 2 when the image or the signatures cannot be read or the set of keys has errors."
)]
struct VerifyArgs {
    /// The images.
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// The set of keys and authorities whose signatures count (TOML).
    #[arg(long, value_name = "FILE", required_unless_present = "key")]
    keys: Option<PathBuf>,
    /// One public key (PEM), in place of a set.
    #[arg(long, value_name = "FILE", conflicts_with = "keys")]
    key: Option<PathBuf>,
    /// End with exit code 1 unless every image is verified, or when one was altered.
    #[arg(long, value_enum, value_name = "WHICH")]
    fail_on: Option<FailVerify>,
    /// The time at which keys and certificates have to hold (RFC 3339). [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    #[command(flatten)]
    reading: Reading,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Tell what a running container has become: files that changed, and programs that ran and that its image does not hold
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  docker export web > root.tar; neph image drift app.tar --root root.tar
  docker diff web > web.diff; neph image drift app.tar --changes web.diff
  neph image drift app.tar --events events.ndjson --container 4f5a1d2c3b4e

Exit codes: 0; 1 with --fail-on when there is a finding as severe; 2 when something cannot be read.")]
struct DriftArgs {
    /// The image that the container was started from.
    #[arg(value_name = "IMAGE")]
    image: String,
    /// The root of the container, as `docker export` writes it.
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// What `docker diff`, `podman diff` or the API printed.
    #[arg(long, value_name = "FILE")]
    changes: Option<PathBuf>,
    /// Events of processes in ECS, a JSON object a line, as `neph normalize` prints them.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// The id of the container whose events count, or at least its first 12 characters; without it all with `container.id` do.
    #[arg(long, value_name = "ID", requires = "events")]
    container: Option<String>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    telling: Telling,
}

/// How images are read.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Reading")]
struct Reading {
    /// The name of the image, where what it is in does not say: REGISTRY/REPOSITORY:TAG, the tag may be left out.
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// Which of several images: OS/ARCHITECTURE[/VARIANT]. [default: linux on this machine's processor]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Who asks the registry; the password is that of NEPH_REGISTRY_PASSWORD or --password-file.
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// The file that holds the password.
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Certificates of authorities of registries (PEM), instead of those that the system trusts.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Speak to registries without TLS.
    #[arg(long)]
    plain_http: bool,
    /// Decompressed bytes that an image may have.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().total)]
    max_size: u64,
    /// Entries that the layers of an image may have.
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().entries)]
    max_entries: u64,
    /// How many times larger decompression may make a layer of more than 64 MiB.
    #[arg(long, value_name = "TIMES", default_value_t = Limits::default().ratio)]
    max_ratio: u64,
}

/// How findings are told.
#[derive(Debug, clap::Args)]
struct Telling {
    /// End with exit code 1 when there is a finding at least as severe that nobody approved.
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<Severity>,
    /// Tell findings at least as severe only; info ones say what differs and does not matter.
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = Severity::Low)]
    min_severity: Severity,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    fn level(self) -> neph_images::roles::Severity {
        use neph_images::roles::Severity as Level;
        match self {
            Self::Info => Level::Info,
            Self::Low => Level::Low,
            Self::Medium => Level::Medium,
            Self::High => Level::High,
            Self::Critical => Level::Critical,
        }
    }
}

/// What ends `verify` with exit code 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FailVerify {
    /// An image that is not verified.
    Any,
    /// An image whose content or signature was altered.
    Altered,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people.
    Table,
    /// One JSON object; an image of `compare` or `verify` is an object a line.
    Json,
    /// Alerts in ECS, one a line, in the form in which `neph detect --format json` writes them.
    Alerts,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    match &args.command {
        Command::Manifest(args) => manifest(args, terminal),
        Command::Compare(args) => compare_all(args, terminal),
        Command::Verify(args) => verify_all(args, terminal),
        Command::Drift(args) => drifted(args, terminal),
    }
}

fn told(error: &ImageError) -> Failure {
    Failure::Message(harmless(&error.to_string()))
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|source| Failure::Read {
        path: path.display().to_string(),
        source,
    })
}

impl Reading {
    fn reader(&self) -> Result<Reader, Failure> {
        let platform = match &self.platform {
            None => None,
            Some(text) => Some(Platform::parse(text).ok_or_else(|| {
                Failure::Message(format!("`{text}` is no platform; write it as `linux/amd64`"))
            })?),
        };
        Ok(Reader {
            options: Options {
                limits: Limits {
                    total: self.max_size,
                    entries: self.max_entries,
                    ratio: self.max_ratio,
                    ..Limits::default()
                },
                platform,
            },
            access: self.access()?,
        })
    }

    fn access(&self) -> Result<Access, Failure> {
        let credentials = match &self.username {
            None => None,
            Some(user) => {
                let password = match (&self.password_file, std::env::var("NEPH_REGISTRY_PASSWORD")) {
                    (Some(path), _) => String::from_utf8_lossy(&bytes_of(path)?)
                        .trim_end_matches(['\r', '\n'])
                        .to_owned(),
                    (None, Ok(password)) => password,
                    (None, Err(_)) => {
                        return Err(Failure::Message(
                            "a password is needed: set NEPH_REGISTRY_PASSWORD, or name its file with --password-file".into(),
                        ));
                    }
                };
                Some((user.clone(), password))
            }
        };
        Ok(Access {
            credentials,
            authorities: self.ca.as_deref().map(bytes_of).transpose()?,
            plain: self.plain_http,
        })
    }

    fn image(&self, reader: &Reader, source: &Source, terminal: &Terminal) -> Result<Image, ImageError> {
        let mut image = shown(terminal, |progress| {
            Image::read(source, &reader.options, progress)
        })?;
        if let Some(text) = &self.name {
            let name = Name::parse(text)
                .ok_or_else(|| ImageError::Missing(format!("`{text}` is no name of an image")))?;
            image.name = Name {
                tag: name.tag.or(image.name.tag.take()),
                ..name
            };
        }
        Ok(image)
    }
}

/// Shows how far reading is.
fn shown<T>(terminal: &Terminal, read: impl FnOnce(Progress<'_>) -> T) -> T {
    let bar = terminal.interactive.then(indicatif::ProgressBar::new_spinner);
    let outcome = read(&|done, of| {
        if let Some(bar) = &bar {
            bar.set_message(format!("{done} of {of} layers"));
            bar.tick();
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    outcome
}

/// An image that others are held against.
fn golden(reader: &Reader, named: &str, terminal: &Terminal) -> Result<Image, ImageError> {
    shown(terminal, |progress| reader.golden(named, progress))
}

fn manifest(args: &ManifestArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let reader = args.reading.reader()?;
    let image = reader
        .source(&args.image)
        .and_then(|source| args.reading.image(&reader, &source, terminal))
        .map_err(|error| told(&error))?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match args.format {
        Format::Json => {
            image.write_json(&mut out)?;
            writeln!(out)?;
        }
        Format::Table => show::image(&mut out, &image, args.files)?,
        Format::Alerts => {
            for problem in &image.problems {
                writeln!(
                    out,
                    "{}",
                    alert_of_difference(&image, &args.image, &hostile(problem), Timestamp::now())
                )?;
            }
        }
    }
    out.flush()?;
    Ok(Exit::Nothing)
}

/// Shows what is wrong with a file that a person wrote; `true` when it cannot be used.
fn tell(path: &Path, text: &str, diagnostics: &[Diagnostic], terminal: &Terminal) -> bool {
    let name = path.display().to_string();
    let source = SourceFile { name: &name, text };
    for diagnostic in diagnostics {
        terminal.note_plain(&render::text(diagnostic, &source, terminal.colour_err));
    }
    has_errors(diagnostics)
}

fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|source| Failure::Read {
        path: path.display().to_string(),
        source,
    })
}

enum Meant {
    List(Golden),
    Image(Box<Image>),
}

fn compare_all(args: &CompareArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let list = Path::new(&args.golden);
    let reader = args.reading.reader()?;
    let meant = if args.golden.ends_with(".toml") {
        let text = read_text(list)?;
        let (golden, diagnostics) = Golden::read(&text);
        if tell(list, &text, &diagnostics, terminal) {
            return Ok(Exit::Errors);
        }
        Meant::List(golden)
    } else {
        let image = golden(&reader, &args.golden, terminal).map_err(|error| told(&error))?;
        Meant::Image(Box::new(image))
    };
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut exit = Exit::Nothing;
    for text in &args.images {
        let image = reader
            .source(text)
            .and_then(|source| args.reading.image(&reader, &source, terminal));
        let judged = image.and_then(|image| {
            let found = match &meant {
                Meant::Image(golden) => compare(golden, &image),
                Meant::List(list_of) => list_of.judge(&image, today, &mut |named| {
                    golden(&reader, &beside(list, named), terminal)
                })?,
            };
            Ok((image, found))
        });
        match judged {
            Err(error) => {
                // The other images are compared all the same.
                terminal.error(&format!("`{text}`: {}", told(&error)));
                exit = Exit::Errors;
            }
            Ok((image, (sameness, found))) => {
                show::comparison(
                    &mut out,
                    text,
                    &image,
                    Some(sameness),
                    &args.telling.shown(&found),
                    found.len(),
                    args.telling.format,
                )?;
                exit = worse(exit, args.telling.exit(&found));
            }
        }
    }
    out.flush()?;
    Ok(exit)
}

fn worse(one: Exit, other: Exit) -> Exit {
    match (one, other) {
        (Exit::Errors, _) | (_, Exit::Errors) => Exit::Errors,
        (Exit::Alerts, _) | (_, Exit::Alerts) => Exit::Alerts,
        _ => Exit::Nothing,
    }
}

impl Telling {
    fn shown<'d>(&self, found: &'d [Difference]) -> Vec<&'d Difference> {
        // That nothing differs is said whatever is asked for.
        let is_shown =
            |one: &&Difference| one.severity >= self.min_severity.level() || one.kind == "same-content";
        found.iter().filter(is_shown).collect()
    }

    fn exit(&self, found: &[Difference]) -> Exit {
        let fails = |one: &Difference| {
            one.approved.is_none() && self.fail_on.is_some_and(|least| one.severity >= least.level())
        };
        if found.iter().any(fails) {
            Exit::Alerts
        } else {
            Exit::Nothing
        }
    }
}

fn verify_all(args: &VerifyArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let keys = match (&args.keys, &args.key) {
        (Some(path), _) => {
            let text = read_text(path)?;
            let (keys, diagnostics) = Keys::read(&text, &mut |named| {
                std::fs::read(path.parent().unwrap_or(Path::new("")).join(named))
            });
            if tell(path, &text, &diagnostics, terminal) {
                return Ok(Exit::Errors);
            }
            keys
        }
        (None, Some(path)) => Keys::of_key(&path.display().to_string(), &bytes_of(path)?)
            .map_err(|why| Failure::Message(format!("`{}`: {why}", path.display())))?,
        (None, None) => Keys::default(),
    };
    let reader = args.reading.reader()?;
    let now = args.at.unwrap_or_else(Timestamp::now);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut exit = Exit::Nothing;
    for text in &args.images {
        let source = match reader.source(text) {
            Ok(source) => source,
            Err(error) => {
                terminal.error(&format!("`{text}`: {}", told(&error)));
                exit = Exit::Errors;
                continue;
            }
        };
        let judged = args.reading.image(&reader, &source, terminal).and_then(|image| {
            let limits = &reader.options.limits;
            Ok((verify(&source, &image, &keys, now, limits)?, Some(image)))
        });
        let (verification, image) = match judged {
            Ok(judged) => judged,
            // The content is not what the manifest says, whoever signed that.
            Err(error @ ImageError::Altered { .. }) => (
                neph_images::Verification {
                    verdict: Verdict::Altered,
                    why: error.to_string(),
                    signatures: Vec::new(),
                },
                None,
            ),
            Err(error) => {
                terminal.error(&format!("`{text}`: {}", told(&error)));
                exit = Exit::Errors;
                continue;
            }
        };
        show::verification(&mut out, text, image.as_ref(), &verification, args.format)?;
        let fails = match args.fail_on {
            None => false,
            Some(FailVerify::Any) => verification.verdict != Verdict::Verified,
            Some(FailVerify::Altered) => verification.verdict == Verdict::Altered,
        };
        exit = worse(exit, if fails { Exit::Alerts } else { Exit::Nothing });
    }
    out.flush()?;
    Ok(exit)
}

fn drifted(args: &DriftArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.root.is_none() && args.changes.is_none() && args.events.is_none() {
        return Err(Failure::Message(
            "say what the container has become: --root, --changes or --events".into(),
        ));
    }
    let reader = args.reading.reader()?;
    let image = golden(&reader, &args.image, terminal).map_err(|error| told(&error))?;
    let root = match &args.root {
        None => None,
        Some(path) => {
            let source = Source::open(&Place::Root(path.clone()), &reader.options.limits)
                .map_err(|error| told(&error))?;
            let root = Image::read(&source, &reader.options, &|_, _| {}).map_err(|error| told(&error))?;
            Some(root)
        }
    };
    let changes = match &args.changes {
        None => Changes::default(),
        Some(path) => Changes::read(&bytes_of(path)?).map_err(|error| told(&error))?,
    };
    let executed = match &args.events {
        None => Executed::default(),
        Some(path) => {
            let file = std::fs::File::open(path).map_err(|source| Failure::Read {
                path: path.display().to_string(),
                source,
            })?;
            Executed::read(std::io::BufReader::new(file), args.container.as_deref())
                .map_err(|error| told(&error))?
        }
    };
    if executed.bad > 0 {
        terminal.warning(&format!(
            "{} lines of the events are no JSON objects, or too long",
            executed.bad
        ));
    }
    if args.events.is_some() && executed.programs.is_empty() {
        terminal.warning("none of the events says that a program ran in the container (`container.id`, `process.executable`)");
    }
    let found = drift(&image, root.as_ref(), &changes, &executed);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let sameness: Option<Sameness> = None;
    show::comparison(
        &mut out,
        &args.image,
        &image,
        sameness,
        &args.telling.shown(&found),
        found.len(),
        args.telling.format,
    )?;
    out.flush()?;
    Ok(args.telling.exit(&found))
}
