//! `neph rules convert`: rules out, for Elastic.

use std::io::Write;
use std::path::PathBuf;

use neph_rules::catalogue::entries;
use neph_rules::export;
use serde_json::{Value, json};

use super::pick::PickArgs;
use crate::exit::{Exit, Failure};
use crate::terminal::Terminal;

/// Write rules as Elastic reads them: Sigma as EQL where that can say the same, Elastic's own in the other format
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  neph rules convert sigma/ > rules.ndjson        # for Kibana's import\n  neph rules convert --to elastic-toml --output converted/ sigma/\n\nA rule that cannot be expressed is left out and named with the reason; exit code 2 if there is one."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pick: PickArgs,
    /// Format to write.
    #[arg(long, value_enum, default_value_t = To::Ndjson)]
    to: To,
    /// File (NDJSON) or folder (TOML, a file a rule) to write to; standard output without it.
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum To {
    /// One rule a line, as Kibana's import takes it, and a closing line with the counts.
    Ndjson,
    /// The rule files of Elastic's detection rules.
    ElasticToml,
}

pub(crate) fn run(args: &Args, terminal: &Terminal) -> Result<Exit, Failure> {
    let set = args.pick.load();
    for failure in &set.report.failures {
        terminal.error(&format!(
            "cannot read `{}`: {}",
            failure.path.display(),
            failure.reason
        ));
    }
    let filter = args.pick.filter();
    let mut written: Vec<(String, String)> = Vec::new();
    let mut left_out = 0_usize;
    for (entry, (report, rule)) in entries(&set).iter().zip(set.all()) {
        if !filter.takes(entry) {
            continue;
        }
        let converted = match rule {
            // Types that do not run here can still be carried over.
            Some(rule) => match args.to {
                To::Ndjson => {
                    export::to_api(rule, report, &set.report).map(|object| Value::Object(object).to_string())
                }
                To::ElasticToml => export::to_toml(rule, report, &set.report),
            },
            None => Err(entry
                .reasons
                .first()
                .cloned()
                .unwrap_or_else(|| "it cannot be read".into())),
        };
        let name = entry.name.as_deref().or(entry.rule_id.as_deref()).unwrap_or("?");
        match converted {
            Ok(text) => written.push((file_name(name, entry.rule_id.as_deref()), text)),
            Err(reason) => {
                left_out += 1;
                terminal.warning(&format!("`{name}` ({}) is not converted: {reason}", entry.file));
            }
        }
    }
    write(args, &written)?;
    terminal.note_plain(&format!(
        "{} converted, {left_out} not",
        crate::input::plural(written.len() as u64, "rule")
    ));
    Ok(match left_out == 0 && set.report.failures.is_empty() {
        true => Exit::Nothing,
        false => Exit::Errors,
    })
}

fn write(args: &Args, rules: &[(String, String)]) -> Result<(), Failure> {
    let failure = |path: &std::path::Path| {
        let path = path.display().to_string();
        move |source| Failure::Write { path, source }
    };
    match (args.to, &args.output) {
        (To::Ndjson, output) => {
            let mut text = String::new();
            for (_, line) in rules {
                text.push_str(line);
                text.push('\n');
            }
            let closing = json!({
                "exported_count": rules.len(),
                "exported_rules_count": rules.len(),
                "missing_rules": [],
                "missing_rules_count": 0,
                "exported_exception_list_count": 0,
                "exported_exception_list_item_count": 0,
                "missing_exception_list_item_count": 0,
                "missing_exception_list_items": [],
                "missing_exception_lists": [],
                "missing_exception_lists_count": 0,
            });
            text.push_str(&format!("{closing}\n"));
            match output {
                Some(path) => std::fs::write(path, text).map_err(failure(path))?,
                None => std::io::stdout().lock().write_all(text.as_bytes())?,
            }
        }
        (To::ElasticToml, Some(folder)) => {
            std::fs::create_dir_all(folder).map_err(failure(folder))?;
            for (name, text) in rules {
                let path = folder.join(name);
                std::fs::write(&path, text).map_err(failure(&path))?;
            }
        }
        (To::ElasticToml, None) => {
            let mut out = std::io::stdout().lock();
            for (number, (_, text)) in rules.iter().enumerate() {
                if number > 0 {
                    writeln!(out)?;
                }
                out.write_all(text.as_bytes())?;
            }
        }
    }
    Ok(())
}

/// A file name of a rule's name that no other rule has.
fn file_name(name: &str, id: Option<&str>) -> String {
    let safe = |text: &str| -> String {
        let lower = text.chars().map(|character| match character {
            letter if letter.is_ascii_alphanumeric() => letter.to_ascii_lowercase(),
            _ => '_',
        });
        lower.take(80).collect()
    };
    let tail: String = safe(id.unwrap_or("")).chars().take(8).collect();
    format!("{}_{tail}.toml", safe(name).trim_matches('_'))
}
