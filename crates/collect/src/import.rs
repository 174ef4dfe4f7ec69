//! Puts what a person's shell printed, under any names, into the form that collectors write.

mod known;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use jiff::Timestamp;
use neph_inventory::{Call, Folder, Limits};
use serde_json::{Map, Value};

use self::known::{Known, known};
use crate::output::Output;
use crate::problem::{Problem, quoted};
use crate::run::{Place, Watch, items};
use crate::{CollectError, Report};

/// What is imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// The account, subscription, project, cluster or host of what does not tell it.
    pub account: Option<String>,
    /// The region of what does not tell it.
    pub region: Option<String>,
}

/// A file that is not in the folder now, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The file.
    pub path: PathBuf,
    /// Why; lower case, no full stop.
    pub why: String,
}

/// An answer that comes together from files.
struct Part {
    place: Place,
    call: String,
    value: Value,
    at: Timestamp,
    problem: Option<Problem>,
}

/// Reads files, tells by their content what they are and whose, and writes them where a collector would. What cannot be told is left out.
///
/// # Errors
/// When the folder cannot be filled.
pub fn import(
    options: &Options,
    output: &Output,
    watch: &dyn Watch,
) -> Result<(Report, Vec<LeftOut>), CollectError> {
    let folder = Folder::open(&options.paths, &Limits::default());
    let mut left_out: Vec<LeftOut> = folder
        .refused()
        .iter()
        .map(|refused| LeftOut {
            path: refused.path.clone(),
            why: refused.why.to_string(),
        })
        .collect();
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    for file in folder.files() {
        let mut leave = |why: String| {
            left_out.push(LeftOut {
                path: file.path.clone(),
                why,
            });
        };
        let bytes = match file.read() {
            Ok(bytes) => bytes,
            Err(refusal) => {
                leave(refusal.to_string());
                continue;
            }
        };
        let at = std::fs::metadata(&file.path)
            .and_then(|found| found.modified())
            .ok();
        let at = at
            .and_then(|time| Timestamp::try_from(time).ok())
            .unwrap_or_else(Timestamp::now);
        // Loops in a shell print one answer after the other.
        for value in serde_json::Deserializer::from_slice(without_mark(&bytes)).into_iter::<Value>() {
            let value = match value {
                Ok(value) => value,
                Err(error) => {
                    leave(format!("is not JSON: {}", quoted(&error.to_string())));
                    break;
                }
            };
            let Some(known) = known(&value, &file.stem()) else {
                leave("is nothing that a collector writes".to_owned());
                continue;
            };
            match placed(known, options, &file.scope) {
                Ok((name, place, call)) => add(
                    &mut parts,
                    name,
                    Part {
                        place,
                        call,
                        at,
                        problem: more(&value),
                        value,
                    },
                ),
                Err(why) => leave(why),
            }
        }
    }
    let mut report = Report::default();
    let count = parts.len() as u64;
    for (done, (file, part)) in (1..).zip(parts) {
        let call = Call {
            file,
            cloud: part.place.cloud,
            account: Some(part.place.account),
            region: part.place.region,
            call: part.call,
            items: items(&part.value),
            at: part.at,
            complete: part.problem.is_none(),
            problem: part.problem.map(|problem| problem.to_string()),
        };
        let mut bytes = serde_json::to_vec_pretty(&part.value).unwrap_or_default();
        bytes.push(b'\n');
        output.put(call.clone(), Some(&bytes))?;
        report.count(&call, true);
        watch.at(done, count, &call);
    }
    output.save()?;
    Ok((report, left_out))
}

/// PowerShell begins files with a mark.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Where an answer belongs: as the caller says, as itself tells, as its folders tell.
fn placed(
    known: Known,
    options: &Options,
    scope: &neph_inventory::Scope,
) -> Result<(String, Place, String), String> {
    let of_folder = Some(scope).filter(|scope| scope.cloud.is_none_or(|cloud| cloud == known.cloud));
    let account = options
        .account
        .clone()
        .or(known.account)
        .or_else(|| of_folder?.account.clone());
    let Some(account) = account else {
        return Err(format!(
            "is what `{}` prints, but does not say of which account, project or cluster; say it with `--account`",
            known.call
        ));
    };
    let region = match known.is_regional {
        false => None,
        true => match known
            .region
            .or_else(|| options.region.clone())
            .or_else(|| of_folder?.region.clone())
        {
            Some(region) => Some(region),
            None => {
                return Err(format!(
                    "is what `{}` prints, but does not say of which region; say it with `--region`",
                    known.call
                ));
            }
        },
    };
    let place = Place {
        cloud: known.cloud,
        account,
        region,
    };
    let file = place.file(&known.name, known.item.as_deref(), ".json");
    Ok((file, place, known.call))
}

/// Whether an answer says that it is not all.
fn more(value: &Value) -> Option<Problem> {
    let keys = [
        "NextToken",
        "nextToken",
        "NextMarker",
        "Marker",
        "nextPageToken",
        "nextLink",
    ];
    let has = |key: &&&str| {
        value
            .get(**key)
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    };
    keys.iter().find(has).map(|key| Problem::Pages {
        pages: 1,
        what: format!("it has a `{key}`, and what follows was not printed"),
    })
}

fn add(parts: &mut BTreeMap<String, Part>, file: String, part: Part) {
    match parts.get_mut(&file) {
        None => {
            parts.insert(file, part);
        }
        Some(own) => {
            own.at = own.at.max(part.at);
            // The page behind the marker is there now, or it is one more that is not the last.
            own.problem = own.problem.take().and(part.problem);
            join(&mut own.value, part.value);
        }
    }
}

/// Lists become one, each item once.
fn join(whole: &mut Value, more: Value) {
    match (whole, more) {
        (Value::Array(list), Value::Array(more)) => {
            let had: HashSet<String> = list.iter().map(Value::to_string).collect();
            list.extend(more.into_iter().filter(|item| !had.contains(&item.to_string())));
        }
        (Value::Object(object), Value::Object(more)) => join_objects(object, more),
        _ => {}
    }
}

fn join_objects(object: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match object.get_mut(&key) {
            Some(own @ Value::Array(_)) => join(own, value),
            Some(_) => {}
            None => {
                object.insert(key, value);
            }
        }
    }
}
