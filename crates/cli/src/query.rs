//! `neph query`: an ad-hoc hunt.

mod print;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use neph_diag::render::{self, FileReport};
use neph_diag::{Code, Diagnostic, Severity, SourceFile, has_errors};
use neph_engine::{
    Emit, Event, Fetch, Match, OperatorConfig, Operators, Outcome, Program, apply_limits, sort_matches,
};
use neph_eql::CompileOptions;
use neph_event::{Instant, Schema};
use neph_kql::Dialect;
use neph_plan::{Limit, Plan, Query};
use neph_runtime::input::Reader;
use neph_runtime::service::{OnceById, history};
use neph_runtime::{RunError, detect, prepare};
use neph_store::Store;

use crate::exit::{Exit, Failure};
use crate::input::{self, InputArgs};
use crate::service::Span;
use crate::terminal::Terminal;

/// Search logs with a query and print events, sequences or samples
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  neph query 'process where process.name : \"curl\"' events.ndjson\n  neph query --fields host.name,process.command_line 'any where true | tail 5' logs/\n  neph query --lang eql --mapping mapping.json --strict --size 50 --format json 'sequence by user.name [any where true] [any where true]' events.ndjson\n  neph query --lang sigma '{s: {Image|endswith: /curl}, condition: s}' events.ndjson\n  neph query --lang kql 'process.name: (curl or wget) and not user.name: root' events.ndjson\n  neph query --follow --format ndjson 'process where process.name : \"curl\" | head 10' /var/log/app/\n  neph query --store /var/lib/neph --last 7d 'process where process.name : \"curl\"'\n  neph query --eval 'substring(\"hello\", 1, 3)'\n\nExit code 2 if the query is refused."
)]
pub(crate) struct Args {
    /// The query.
    #[arg(value_name = "QUERY", required_unless_present = "eval")]
    query: Option<String>,
    /// Fold a constant expression and print its JSON value, instead of searching.
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true, conflicts_with_all = ["query", "inputs"])]
    eval: Option<String>,
    /// Most results; without it all. Pipes (`| head 5`) cut besides.
    #[arg(long, value_name = "N")]
    size: Option<u64>,
    /// Which end --size keeps; the order of results is always ascending. [default: tail, with --follow head]
    #[arg(long, value_enum)]
    fetch: Option<End>,
    /// Go on at the ends of files: they are followed as they grow, are rotated, truncated and made anew. Each result is
    /// printed as it comes, and --size and `| head` end the search when they are reached. Not for queries that need the
    /// end of their input: `| tail` and samples.
    #[arg(long, conflicts_with = "eval")]
    follow: bool,
    /// Samples for each tuple of join keys.
    #[arg(long, value_name = "N", default_value_t = 1)]
    max_samples_per_key: u32,
    /// Give the sequences of readable indices, though the query fails in others.
    #[arg(long)]
    allow_partial_sequence_results: bool,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Columns of the table, instead of the usual ones.
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',')]
    fields: Vec<String>,
    /// End at the first problem with an input, instead of going on with the rest.
    #[arg(long)]
    strict_input: bool,
    /// Search the events that a service keeps in this data folder, instead of files; --last says how far back.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["inputs", "follow", "eval"])]
    store: Option<PathBuf>,
    #[command(flatten)]
    span: Span,
    #[command(flatten)]
    language: QueryArgs,
    #[command(flatten)]
    input: InputArgs,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A table for people.
    Table,
    /// One JSON object: `{"events":[id…]}`, `{"sequences":[{"join_keys":[…],"events":[id|null…]}…]}` or
    /// `{"samples":[…]}`. Join keys are in text form.
    Json,
    /// One result a line with its documents: an event as it is, a sequence or sample as
    /// `{"join_keys":[…],"events":[…]}`.
    Ndjson,
}

/// Ends of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum End {
    Head,
    Tail,
}

/// How a query is read.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Query language")]
pub(crate) struct QueryArgs {
    /// The language of the query.
    #[arg(long, value_enum, default_value_t = Language::Eql)]
    lang: Language,
    /// A mapping file that says which fields exist and of which types; without it ECS and the vendor fields.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Refuse a query that names a field which the mapping (or, without one, the shipped schema) does not have.
    #[arg(long)]
    strict: bool,
    /// The field that orders events of one time.
    #[arg(long, value_name = "FIELD")]
    tiebreaker: Option<String>,
}

/// Query languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Language {
    /// Elastic's Event Query Language.
    Eql,
    /// Kibana Query Language.
    #[value(alias = "kuery")]
    Kql,
    /// Lucene's query strings.
    Lucene,
    /// What stands in the `detection` of a Sigma rule, or a whole rule.
    Sigma,
}

/// What came of a query.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// The plan; there is none when an error was reported.
    pub(crate) plan: Option<Plan>,
    /// Everything that is wrong or probably not meant, in the order of the text.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Language {
    /// The language as the crate of KQL has it; EQL and Sigma are none of its.
    fn dialect(self) -> Option<Dialect> {
        match self {
            Self::Eql | Self::Sigma => None,
            Self::Kql => Some(Dialect::Kql),
            Self::Lucene => Some(Dialect::Lucene),
        }
    }
}

impl QueryArgs {
    /// Whether the query must fit the types of fields: with a mapping, or with `--strict`.
    pub(crate) fn is_strict(&self) -> bool {
        self.strict || self.mapping.is_some()
    }

    /// Compiles a query.
    pub(crate) fn compile(&self, query: &str) -> Result<Compiled, Failure> {
        let mapped;
        let schema = match &self.mapping {
            None if self.strict => {
                mapped = Schema::builtin().clone().with_strict(true);
                &mapped
            }
            None => Schema::builtin(),
            Some(path) => {
                let read = std::fs::read_to_string(path);
                let text = read.map_err(|source| Failure::Read {
                    path: path.display().to_string(),
                    source,
                })?;
                let schema = Schema::from_mapping(&text)
                    .map_err(|error| Failure::Message(format!("`{}`: {error}", path.display())))?;
                mapped = schema.with_strict(self.strict);
                &mapped
            }
        };
        let now = jiff::Timestamp::now().as_nanosecond();
        let now = Instant::from_nanos(now);
        let tiebreaker_field = self.tiebreaker.as_deref();
        let (plan, diagnostics) = match self.lang.dialect() {
            None if self.lang == Language::Sigma => {
                let options = neph_sigma::Options {
                    mappings: &neph_sigma::Mappings::shipped(),
                    lists: &std::collections::BTreeMap::new(),
                };
                let compiled = neph_sigma::compile_fragment(query, &options);
                (compiled.plan, compiled.diagnostics)
            }
            None => {
                let options = CompileOptions {
                    tiebreaker_field,
                    ..CompileOptions::new(schema, now)
                };
                let compiled = neph_eql::compile(query, &options);
                (compiled.plan, compiled.diagnostics)
            }
            Some(dialect) => {
                let options = neph_kql::CompileOptions {
                    tiebreaker_field,
                    ..neph_kql::CompileOptions::new(dialect, schema, now)
                };
                let compiled = neph_kql::compile(query, &options);
                (compiled.plan, compiled.diagnostics)
            }
        };
        Ok(Compiled { plan, diagnostics })
    }

    /// Whether a query is refused for these problems. What names and types mean is said by a mapping: without one it is
    /// told what the shipped schema makes of them, but not held against the query, as Elasticsearch parses a query before
    /// it reads the mapping.
    pub(crate) fn refuses(&self, diagnostics: &[Diagnostic]) -> bool {
        let of_meaning: [&Code; 7] = [
            &neph_eql::ARGUMENT_COUNT,
            &neph_eql::ARGUMENT_TYPE,
            &neph_eql::FIELD_COMPARISON,
            &neph_eql::JOIN_KEY,
            &neph_eql::NOT_BOOLEAN,
            &neph_eql::NO_EXACT_VALUES,
            &neph_eql::UNSUPPORTED_TYPE,
        ];
        diagnostics.iter().any(|diagnostic| {
            let counts = self.is_strict() || !of_meaning.contains(&diagnostic.code);
            counts && diagnostic.severity() == Severity::Error
        })
    }
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    if let Some(expression) = &args.eval {
        return eval(expression, args.format, terminal);
    }
    let Some(query) = &args.query else {
        return Ok(Exit::Errors);
    };
    let compiled = args.language.compile(query)?;
    show(query, &compiled.diagnostics, args.format, terminal);
    let Some(plan) = compiled.plan.filter(|_| !has_errors(&compiled.diagnostics)) else {
        return Ok(Exit::Errors);
    };
    if let Some(problem) = args.follow.then(|| needs_end(args, &plan)).flatten() {
        return Err(Failure::Message(format!(
            "{problem}, and with --follow the input has no end"
        )));
    }
    let (program, errors) = Program::compile([&plan]);
    if let Some(error) = errors.first() {
        return Err(Failure::Message(error.to_string()));
    }
    let config = OperatorConfig {
        max_samples_per_key: args.max_samples_per_key,
        emit: if args.follow {
            Emit::AtOnce
        } else {
            Emit::WhenFinal
        },
        default_lateness: args.follow.then_some(LATENESS),
        ..OperatorConfig::default()
    };
    let mut operators = Operators::new(&[&plan], &config);
    let mut reader = match &args.store {
        Some(data) => stored(args, data)?,
        None => args.input.reader(args.follow)?,
    };
    let cancel = reader.cancel_flag();
    let bar = args.input.progress(terminal);
    let mut rows = Rows::new(args, &plan);
    let outcome = detect(
        &mut reader,
        &prepare(program),
        &mut operators,
        &args.input.run_options(args.strict_input, terminal)?,
        &mut |progress| bar.show(progress),
        &mut |told| {
            bar.suspend(|| rows.take(told));
            if rows.are_all() {
                cancel.store(true, Ordering::Relaxed);
            }
        },
    );
    bar.clear();
    let detection = match outcome {
        Ok(detection) => detection,
        Err(RunError::Strict(problem)) => {
            terminal.error(&problem.to_string());
            return Ok(Exit::Errors);
        }
        Err(error) => return Err(Failure::Message(error.to_string())),
    };
    if rows.is_partial && !args.allow_partial_sequence_results {
        terminal.warning("the query fails in some indices, so it has no sequences; --allow-partial-sequence-results gives those of the others");
        rows.found.clear();
    }
    if rows.taken_back > 0 {
        terminal.warning(&format!(
            "{} of the results do not hold any more: events came late",
            rows.taken_back
        ));
    }
    rows.end()?;
    input::report(&detection.summary, terminal);
    for statistics in &detection.rules {
        for (count, what) in [
            (
                statistics.evicted,
                "events of partial results were given up for want of memory",
            ),
            (
                statistics.late,
                "events came after their time had been settled for want of memory",
            ),
        ] {
            if count > 0 {
                terminal.warning(&format!("{count} {what}"));
            }
        }
    }
    Ok(Exit::Nothing)
}

/// The events that a service keeps.
fn stored(args: &Args, data: &Path) -> Result<Reader, Failure> {
    let times = args.span.range()?;
    let store = Store::open_read_only(data).map_err(|error| {
        Failure::Message(format!(
            "there is no store that can be read in `{}`: {error}",
            data.display()
        ))
    })?;
    Ok(history(&store, times, None, args.input.source()))
}

/// With --follow, how much later than others an event may come and still count.
const LATENESS: Duration = Duration::from_secs(300);

/// What of a query can only be told at the end of its input.
fn needs_end(args: &Args, plan: &Plan) -> Option<&'static str> {
    let has_tail = plan.limits.iter().any(|limit| matches!(limit, Limit::Tail(_)));
    match plan.query {
        _ if args.format == Format::Json => Some("the object of `--format json` is closed at the end"),
        _ if has_tail => Some("`| tail` keeps what comes last"),
        _ if args.fetch == Some(End::Tail) => Some("`--fetch tail` keeps what comes last"),
        Query::Events(_) | Query::Sequence(_) => None,
        _ => Some("such a query gives its results at the end"),
    }
}

/// Prints the diagnostics of a query on standard error: as JSON where the caller is a program.
fn show(query: &str, diagnostics: &[Diagnostic], format: Format, terminal: &Terminal) {
    let source = SourceFile {
        name: "<query>",
        text: query,
    };
    match format {
        Format::Json => {
            if !diagnostics.is_empty() {
                terminal.note_plain(&render::json(&[FileReport { source, diagnostics }]));
            }
        }
        Format::Table | Format::Ndjson => {
            for diagnostic in diagnostics {
                terminal.note_plain(&render::text(diagnostic, &source, terminal.colour_err));
            }
        }
    }
}

fn eval(expression: &str, format: Format, terminal: &Terminal) -> Result<Exit, Failure> {
    match neph_eql::eval_constant(expression) {
        Ok(value) => {
            print::value(value.as_ref())?;
            Ok(Exit::Nothing)
        }
        Err(diagnostics) => {
            show(expression, &diagnostics, format, terminal);
            Ok(Exit::Errors)
        }
    }
}

/// The results as they come in.
struct Rows<'a> {
    args: &'a Args,
    plan: &'a Plan,
    printer: print::Printer<'a>,
    found: Vec<Match>,
    /// Results that can be kept at most; found ones beyond twice as many are cut on the way.
    bound: Option<usize>,
    /// Whether results are printed as they come, in the order of the input, since nothing can cut them.
    streams: bool,
    /// Whether the query is a sequence that fails in some indices.
    is_partial: bool,
    /// How many results are still wanted, if they are printed as they come and not all are.
    left: Option<u64>,
    /// Results that were printed and do not hold.
    taken_back: u64,
    /// Of a store: what was seen, as clients may have sent it twice.
    once: Option<OnceById>,
    failure: Option<std::io::Error>,
}

impl<'a> Rows<'a> {
    fn new(args: &'a Args, plan: &'a Plan) -> Self {
        let first = plan.limits.first().map(|limit| match *limit {
            Limit::Head(number) | Limit::Tail(number) => number,
        });
        let bound = [args.size, first].into_iter().flatten().min();
        let heads = plan.limits.iter().map(|limit| match *limit {
            Limit::Head(number) | Limit::Tail(number) => number,
        });
        let wanted = heads.chain(args.size).min();
        let is_events = matches!(plan.query, Query::Events(_));
        Self {
            args,
            plan,
            printer: print::Printer::new(args.format, &args.fields, plan, args.follow),
            found: Vec::new(),
            bound: bound
                .and_then(|bound| usize::try_from(bound).ok())
                .filter(|_| is_events),
            streams: args.follow || (is_events && bound.is_none() && args.format != Format::Json),
            is_partial: matches!(plan.query, Query::Sequence(_)) && !plan.failing_indices.is_empty(),
            left: args.follow.then_some(wanted).flatten(),
            taken_back: 0,
            once: args.store.is_some().then(OnceById::default),
            failure: None,
        }
    }

    /// Whether no more results are wanted, or can be printed.
    fn are_all(&self) -> bool {
        self.left == Some(0) || self.failure.is_some()
    }

    fn take(&mut self, told: Outcome) {
        let mut found = match told {
            Outcome::Found(found) => found,
            Outcome::Retracted(_) => {
                self.taken_back += 1;
                return;
            }
        };
        if self.once.as_mut().is_some_and(|once| !once.is_new(&found)) {
            return;
        }
        if self.streams {
            if self.are_all() {
                return;
            }
            self.failure = self.printer.print(&found).err();
            self.left = self.left.map(|left| left.saturating_sub(1));
            return;
        }
        if self.args.format == Format::Json {
            // Only ids are printed, so documents need not be held.
            for (_, event) in &mut found.events {
                if let Some(full) = event {
                    *event = Some(Arc::new(Event::new(
                        Vec::new(),
                        Some(full.id().clone()),
                        full.origin().clone(),
                    )));
                }
            }
        }
        self.found.push(found);
        if let Some(bound) = self.bound
            && self.found.len() > bound.saturating_mul(2).saturating_add(1000)
        {
            self.cut();
        }
    }

    /// Puts the results in order and cuts them to what can still be kept.
    fn cut(&mut self) {
        if !matches!(self.plan.query, Query::Sample(_)) {
            sort_matches(&mut self.found);
        }
        // Later pipes cut what is left at the end; on the way only the first may.
        let first = self.plan.limits.get(..1).unwrap_or(&[]);
        self.found = apply_limits(std::mem::take(&mut self.found), first, self.size(), self.fetch());
    }

    fn end(mut self) -> Result<(), Failure> {
        if !self.streams {
            self.cut();
            let rest = self.plan.limits.get(1..).unwrap_or(&[]);
            if !rest.is_empty() {
                self.found = apply_limits(std::mem::take(&mut self.found), rest, u64::MAX, self.fetch());
            }
            for found in &self.found {
                self.printer.print(found)?;
            }
        }
        if let Some(failure) = self.failure {
            return Err(failure.into());
        }
        Ok(self.printer.end()?)
    }

    fn size(&self) -> u64 {
        self.args.size.unwrap_or(u64::MAX)
    }

    fn fetch(&self) -> Fetch {
        match (&self.plan.query, self.args.fetch) {
            (Query::Sample(_), _) | (_, Some(End::Head)) => Fetch::Head,
            (_, Some(End::Tail) | None) => Fetch::Tail,
        }
    }
}
