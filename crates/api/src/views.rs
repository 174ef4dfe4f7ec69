//! Saved views: addresses of the console with a name, one file each in the folder `views` of the data folder, so that a team shares them
//! and can copy them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use neph_store::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::edits::replace;
use crate::problem::Problem;
use crate::route::{Answer, Call, Route, Verb, schema_of};

pub(crate) static ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/views",
        Role::Viewer,
        "views.list",
        "The saved views, by name.",
        schema_of::<Views>,
        list,
    ),
    Route::post(
        "/api/v1/views/{name}",
        Role::Analyst,
        "views.save",
        "Saves a view under a name.",
        schema_of::<View>,
        save,
    )
    .with_verb(Verb::Put)
    .with_body(schema_of::<New>),
    Route::post(
        "/api/v1/views/{name}",
        Role::Analyst,
        "views.remove",
        "Takes a view away.",
        schema_of::<View>,
        remove,
    )
    .with_verb(Verb::Delete),
];

/// Views at most.
const MOST: usize = 500;
/// Longest view, in bytes.
const LONGEST: u64 = 16 << 10;

/// What a view shows.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct New {
    /// The page: a path below `/console/`.
    path: String,
    /// Its query: filters, time range, order.
    #[serde(default)]
    query: BTreeMap<String, Vec<String>>,
}

/// A saved view.
#[derive(Debug, Serialize, JsonSchema)]
struct View {
    /// Its name.
    name: String,
    /// What it shows.
    #[serde(flatten)]
    shown: New,
}

/// The saved views.
#[derive(Debug, Serialize, JsonSchema)]
struct Views {
    /// By name.
    views: Vec<View>,
    /// Files in the folder that are no views.
    unreadable: Vec<String>,
}

fn folder(app: &App) -> PathBuf {
    app.data_folder().join("views")
}

/// The file of a name. A name is of letters and digits of any script, spaces, `-` and `_`, so that it leads nowhere else.
fn file(app: &App, name: &str) -> Result<PathBuf, Problem> {
    let plain = |letter: char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    if name.trim() != name || name.is_empty() || name.len() > 120 || !name.chars().all(plain) {
        return Err(Problem::invalid(
            "the name of a view is letters, digits, spaces, `-` and `_`, 120 bytes at most",
        ));
    }
    Ok(folder(app).join(format!("{name}.json")))
}

fn failed(error: &std::io::Error) -> Problem {
    Problem::failed(format!("the views cannot be reached: {error}"))
}

fn read(path: &Path) -> Option<View> {
    let name = path.file_stem()?.to_str()?.to_owned();
    if path.metadata().ok()?.len() > LONGEST {
        return None;
    }
    let shown: New = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    is_page(&shown.path).then_some(View { name, shown })
}

/// Whether a path is one of the console, so that a view leads nowhere else.
fn is_page(path: &str) -> bool {
    path.strip_prefix("/console/").is_some_and(|page| {
        !page.contains("//") && !page.contains("..") && page.chars().all(|letter| letter.is_ascii_graphic())
    })
}

fn list(call: &Call<'_>) -> Result<Answer, Problem> {
    let entries = match std::fs::read_dir(folder(call.app)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Answer::json(&Views {
                views: Vec::new(),
                unreadable: Vec::new(),
            });
        }
        Err(error) => return Err(failed(&error)),
    };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .take(2 * MOST)
        .collect();
    paths.sort();
    let (mut views, mut unreadable) = (Vec::new(), Vec::new());
    for path in paths {
        match read(&path) {
            Some(view) => views.push(view),
            None => unreadable.push(path.display().to_string()),
        }
    }
    Answer::json(&Views { views, unreadable })
}

fn save(call: &Call<'_>) -> Result<Answer, Problem> {
    let shown: New = call.body()?;
    let name = call.part("name");
    let path = file(call.app, name)?;
    if !is_page(&shown.path) {
        return Err(Problem::invalid("the path of a view begins with `/console/`"));
    }
    let text = serde_json::to_vec_pretty(&shown).map_err(|error| Problem::failed(error.to_string()))?;
    if text.len() as u64 > LONGEST {
        return Err(Problem::invalid(format!(
            "the view is longer than {LONGEST} bytes"
        )));
    }
    let _alone = call.app.writing();
    let folder = folder(call.app);
    std::fs::create_dir_all(&folder).map_err(|error| failed(&error))?;
    let count = std::fs::read_dir(&folder)
        .map_err(|error| failed(&error))?
        .count();
    if count >= MOST && !path.exists() {
        return Err(Problem::conflict(format!(
            "there are {MOST} views; remove one first"
        )));
    }
    replace(&path, &text).map_err(|error| failed(&error))?;
    Answer::json(&View {
        name: name.to_owned(),
        shown,
    })
}

fn remove(call: &Call<'_>) -> Result<Answer, Problem> {
    let name = call.part("name");
    let path = file(call.app, name)?;
    let _alone = call.app.writing();
    let view = read(&path).ok_or_else(|| Problem::missing("view", name))?;
    std::fs::remove_file(&path).map_err(|error| failed(&error))?;
    Answer::json(&view)
}
