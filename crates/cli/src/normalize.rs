//! `neph normalize`: vendor records as the ECS documents that rules see.

use std::io::{BufWriter, Write};

use neph_normalize::{Counts, Explanation, Outcome, Provenance};
use neph_runtime::input::{Chunk, InputProblem};

use crate::exit::{Exit, Failure};
use crate::input::InputArgs;
use crate::terminal::Terminal;

/// Turn vendor records into the ECS documents that rules see, one a line
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  neph normalize cloudtrail/ > events.ndjson\n  neph normalize --source kubernetes_audit --explain audit.log\n\nA record is a line of a log, a JSON object, or a JSON string that holds a line of a log. What no source recognises is counted on standard error with its reason."
)]
pub(crate) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Print exactly one line for each record, in order: its document, `null` if it has none, an array if it has several.
    /// Each line of a log is a record by itself then, also where several are one event.
    #[arg(long)]
    aligned: bool,
    /// Print where each field comes from, instead of the documents.
    #[arg(long, conflicts_with = "aligned")]
    explain: bool,
    /// Go on at the ends of files: they are followed as they grow, are rotated, truncated and made anew.
    #[arg(long, conflicts_with = "aligned")]
    follow: bool,
    /// Leave out `event.original`, the text of the record.
    #[arg(long)]
    no_original: bool,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut reader = if args.aligned {
        args.input.reader_of_lines()?
    } else {
        args.input.reader(args.follow)?
    };
    let normalizer = args.input.normalizer()?;
    let mut normalizer = normalizer
        .with_original(!args.no_original)
        .with_explanations(args.explain);
    if let Some(enrichment) = args.input.enrichment(terminal)? {
        normalizer = normalizer.with_enricher(enrichment.enricher());
    }
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let mut chunk = Chunk::default();
    while reader.next_chunk(&mut chunk) {
        chunk.problems().for_each(|problem| warn(problem, terminal));
        for record in chunk.records() {
            match record {
                Ok(record) => print(args, &normalizer.push(record.document), &mut out)?,
                Err((_, problem)) => {
                    warn(&problem, terminal);
                    print(args, &Outcome::default(), &mut out)?;
                }
            }
        }
        if args.follow {
            out.flush()?;
        }
    }
    let held = normalizer.finish();
    if !args.aligned {
        print(args, &held, &mut out)?;
    }
    drop(held);
    out.flush()?;
    report(normalizer.counts())?;
    Ok(Exit::Nothing)
}

fn warn(problem: &InputProblem, terminal: &Terminal) {
    terminal.warning(&problem.to_string());
}

fn print(args: &Args, outcome: &Outcome<'_>, out: &mut impl Write) -> Result<(), Failure> {
    let documents = &outcome.documents;
    if args.explain {
        for made in documents {
            writeln!(out, "{} ({})", made.source.name, made.source.title)?;
            made.explanations
                .iter()
                .try_for_each(|field| explain(field, out))?;
        }
    } else if !args.aligned {
        for made in documents {
            writeln!(out, "{}", made.document)?;
        }
    } else {
        match documents.as_slice() {
            [] => writeln!(out, "null")?,
            [single] => writeln!(out, "{}", single.document)?,
            several => {
                let texts: Vec<String> = several.iter().map(|made| made.document.to_string()).collect();
                writeln!(out, "[{}]", texts.join(","))?;
            }
        }
    }
    Ok(())
}

fn explain(field: &Explanation, out: &mut impl Write) -> Result<(), Failure> {
    let how = match field.how {
        Provenance::Kept => "is",
        Provenance::Derived => "from",
        Provenance::Constant => "constant",
    };
    writeln!(out, "  {} {how} {}", field.field, field.from.join(", "))?;
    Ok(())
}

/// Says on standard error what became of the records.
fn report(counts: &Counts) -> Result<(), Failure> {
    let mut err = std::io::stderr().lock();
    writeln!(err, "read {} records", counts.records)?;
    for (source, count) in &counts.documents {
        writeln!(err, "  {count} × {source}")?;
    }
    for (reason, count) in &counts.refused {
        writeln!(err, "  {count} × no document: {reason}")?;
    }
    if counts.not_utf8 > 0 {
        writeln!(err, "  {} × not UTF-8, odd bytes replaced", counts.not_utf8)?;
    }
    Ok(())
}
