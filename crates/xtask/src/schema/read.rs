//! Reading of the repositories.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::table::Table;

/// The integration packages whose fields are taken.
const PACKAGES: &[&str] = &[
    "apache",
    "auditd",
    "auditd_manager",
    "aws",
    "azure",
    "cloud_defend",
    "cloud_security_posture",
    "crowdstrike",
    "cyberarkpas",
    "docker",
    "endpoint",
    "falco",
    "fim",
    "fortinet_fortigate",
    "gcp",
    "github",
    "google_workspace",
    "iis",
    "kubernetes",
    "m365_defender",
    "network_traffic",
    "nginx",
    "nginx_ingress_controller",
    "o365",
    "okta",
    "panw",
    "pfsense",
    "santa",
    "sentinel_one",
    "slack",
    "suricata",
    "sysmon_linux",
    "system",
    "traefik",
    "windows",
    "winlog",
    "zeek",
    "zoom",
];

/// The Beats whose fields are taken.
const BEATS: &[&str] = &["auditbeat", "packetbeat", "winlogbeat"];

/// Types that stand in field files and that Elasticsearch has.
const TYPES: &[&str] = &[
    "binary",
    "boolean",
    "byte",
    "constant_keyword",
    "counted_keyword",
    "date",
    "date_nanos",
    "double",
    "flattened",
    "float",
    "geo_point",
    "geo_shape",
    "half_float",
    "histogram",
    "integer",
    "ip",
    "ip_range",
    "keyword",
    "long",
    "match_only_text",
    "nested",
    "object",
    "scaled_float",
    "short",
    "text",
    "unsigned_long",
    "version",
    "wildcard",
];

/// A clone, at one revision.
#[derive(Debug)]
pub(crate) struct Repository {
    path: String,
    revision: String,
    files: Vec<String>,
}

impl Repository {
    pub(crate) fn open(argument: &str) -> Result<Self, String> {
        let (path, revision) = argument.rsplit_once('@').unwrap_or((argument, "HEAD"));
        let git = |arguments: &[&str]| -> Result<String, String> {
            let output = Command::new("git").arg("-C").arg(path).args(arguments).output();
            let output = output.map_err(|error| format!("git: {error}"))?;
            if !output.status.success() {
                return Err(format!(
                    "{argument}: {}",
                    String::from_utf8_lossy(&output.stderr).trim()
                ));
            }
            String::from_utf8(output.stdout).map_err(|_| format!("{argument}: file names are not UTF-8"))
        };
        let revision = git(&["rev-parse", &format!("{revision}^{{commit}}")])?
            .trim()
            .to_owned();
        let files = git(&["ls-tree", "-r", "--name-only", &revision])?
            .lines()
            .map(str::to_owned)
            .collect();
        Ok(Self {
            path: path.to_owned(),
            revision,
            files,
        })
    }

    /// The contents of the files, in their order.
    pub(crate) fn read(&self, files: &[&str]) -> Result<Vec<Vec<u8>>, String> {
        let problem = |what: &str| format!("{}: {what}", self.path);
        let mut git = Command::new("git")
            .args(["-C", &self.path, "cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("git: {error}"))?;
        let (Some(mut input), Some(output)) = (git.stdin.take(), git.stdout.take()) else {
            return Err(problem("git has no pipes"));
        };
        let mut output = BufReader::new(output);
        let mut contents = Vec::new();
        for file in files {
            // One file at a time, so that neither side waits for the other with a full pipe.
            writeln!(input, "{}:{file}", self.revision).map_err(|error| problem(&error.to_string()))?;
            let mut header = String::new();
            output
                .read_line(&mut header)
                .map_err(|error| problem(&error.to_string()))?;
            let size = header
                .trim()
                .rsplit_once(' ')
                .and_then(|(_, size)| size.parse().ok());
            let Some(size) = size else {
                return Err(problem(&format!("{file} is missing")));
            };
            let mut content = vec![0; size];
            let mut end = [0];
            output
                .read_exact(&mut content)
                .map_err(|error| problem(&error.to_string()))?;
            output
                .read_exact(&mut end)
                .map_err(|error| problem(&error.to_string()))?;
            contents.push(content);
        }
        drop(input);
        git.wait().map_err(|error| problem(&error.to_string()))?;
        Ok(contents)
    }

    /// The files below a folder, given with a slash at its end.
    pub(crate) fn files_below(&self, folder: &str) -> Vec<&str> {
        let files = self.files.iter().map(String::as_str);
        files.filter(|file| file.starts_with(folder)).collect()
    }

    fn read_one(&self, file: &str) -> Result<Vec<u8>, String> {
        Ok(self.read(&[file])?.pop().unwrap_or_default())
    }

    fn has(&self, file: &str) -> bool {
        self.files.iter().any(|known| known == file)
    }
}

/// A field in ECS's flat list.
#[derive(Debug, Deserialize)]
struct EcsField {
    r#type: String,
    #[serde(default)]
    object_type: Option<String>,
    #[serde(default)]
    multi_fields: Vec<Spec>,
}

/// A field in a field file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    name: Option<serde_json::Value>,
    r#type: Option<String>,
    object_type: Option<String>,
    external: Option<String>,
    normalizer: Option<String>,
    fields: Option<Vec<Spec>>,
    multi_fields: Option<Vec<Spec>>,
}

/// Takes ECS, if the repository has it.
pub(super) fn ecs(repository: &Repository, table: &mut Table) -> Result<(), String> {
    const FLAT: &str = "generated/ecs/ecs_flat.yml";
    if !repository.has(FLAT) {
        return Ok(());
    }
    let version = String::from_utf8_lossy(&repository.read_one("version")?)
        .trim()
        .to_owned();
    table.set_ecs(format!("{version} {:.8}", repository.revision));
    let fields: BTreeMap<String, EcsField> = yaml(&repository.read_one(FLAT)?, FLAT)?;
    for (name, field) in fields {
        for sub in &field.multi_fields {
            if let (Some(sub_name), Some(words)) = (text(&sub.name), sub_words(sub)) {
                table.add_ecs(&format!("{name}.{sub_name}"), words);
            }
        }
        if let Some(words) = words(&field.r#type, field.object_type.as_deref(), false) {
            table.add_ecs(&name, words);
        }
    }
    Ok(())
}

/// Takes the newest version of each package.
pub(super) fn packages(repositories: &[Repository], table: &mut Table) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Manifest {
        name: String,
        version: String,
    }
    #[derive(Deserialize)]
    struct Stream {
        r#type: String,
    }
    let mut newest: BTreeMap<String, (Vec<u64>, String, &Repository, String)> = BTreeMap::new();
    for repository in repositories {
        let mut folders: Vec<&str> = repository
            .files
            .iter()
            .filter_map(|file| file.split_once("/data_stream/"))
            .map(|(folder, _)| folder)
            .filter(|folder| folder.split('/').any(|part| PACKAGES.contains(&part)))
            .collect();
        folders.dedup();
        let manifests: Vec<String> = folders
            .iter()
            .map(|folder| format!("{folder}/manifest.yml"))
            .collect();
        let manifests: Vec<&str> = manifests
            .iter()
            .map(String::as_str)
            .filter(|file| repository.has(file))
            .collect();
        for (file, content) in manifests.iter().zip(repository.read(&manifests)?) {
            let manifest: Manifest = yaml(&content, file)?;
            let numbers = manifest
                .version
                .split(['.', '-'])
                .map_while(|part| part.parse().ok())
                .collect();
            if newest.get(&manifest.name).is_none_or(|known| known.0 < numbers) {
                let folder = file.trim_end_matches("manifest.yml").to_owned();
                newest.insert(manifest.name, (numbers, manifest.version, repository, folder));
            }
        }
    }
    for (package, (_, version, repository, folder)) in newest {
        let streams = format!("{folder}data_stream/");
        let files: Vec<&str> = repository
            .files
            .iter()
            .map(String::as_str)
            .filter(|f| f.starts_with(&streams))
            .collect();
        let manifests: Vec<&str> = files
            .iter()
            .copied()
            .filter(|f| {
                f.ends_with("/manifest.yml") && f.matches('/').count() == streams.matches('/').count() + 1
            })
            .collect();
        for (manifest, content) in manifests.iter().zip(repository.read(&manifests)?) {
            let stream: Stream = yaml(&content, manifest)?;
            if stream.r#type != "logs" {
                continue;
            }
            let fields = manifest.replace("manifest.yml", "fields/");
            let name = fields
                .trim_start_matches(&streams)
                .split('/')
                .next()
                .unwrap_or_default();
            let source =
                if package == "endpoint" && !matches!(name, "alerts" | "action_responses" | "actions") {
                    format!("endpoint.events.{name}")
                } else {
                    format!("{package}.{name}")
                };
            let files: Vec<&str> = files
                .iter()
                .copied()
                .filter(|f| f.starts_with(&fields) && f.ends_with(".yml"))
                .collect();
            for (file, content) in files.iter().zip(repository.read(&files)?) {
                let specs: Option<Vec<Spec>> = yaml(&content, file)?;
                take(&specs.unwrap_or_default(), "", &source, table);
            }
            table.source(&source, &version);
        }
    }
    Ok(())
}

/// Takes the fields of Beats of the newest version that the rules keep.
pub(super) fn beats(repository: &Repository, table: &mut Table) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Folder {
        #[serde(default)]
        files: BTreeMap<String, serde_json::Value>,
        #[serde(default)]
        folders: BTreeMap<String, Folder>,
    }
    fn walk(folder: &Folder, beat: &str, table: &mut Table) {
        for content in folder.files.values() {
            let groups: Vec<Spec> = serde_json::from_value(content.clone()).unwrap_or_default();
            for group in groups {
                take(group.fields.as_deref().unwrap_or_default(), "", beat, table);
            }
        }
        folder.folders.values().for_each(|inner| walk(inner, beat, table));
    }
    let version = |file: &String| -> Option<Vec<u64>> {
        let name = file
            .strip_prefix("detection_rules/etc/beats_schemas/v")?
            .strip_suffix(".json.gz")?;
        name.split('.').map(|part| part.parse().ok()).collect()
    };
    let Some(file) = repository
        .files
        .iter()
        .filter(|file| version(file).is_some())
        .max_by_key(|file| version(file))
    else {
        return Ok(());
    };
    let mut json = String::new();
    flate2::read::GzDecoder::new(repository.read_one(file)?.as_slice())
        .read_to_string(&mut json)
        .map_err(|error| format!("{file}: {error}"))?;
    let all: BTreeMap<String, Folder> =
        serde_json::from_str(&json).map_err(|error| format!("{file}: {error}"))?;
    for (beat, folder) in &all {
        if BEATS.contains(&beat.as_str()) {
            walk(folder, beat, table);
            let number = version(file)
                .unwrap_or_default()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(".");
            table.source(beat, &number);
        }
    }
    Ok(())
}

/// Takes the fields that the rules declare beyond packages, by index pattern.
pub(super) fn rule_fields(repository: &Repository, table: &mut Table) -> Result<(), String> {
    fn walk(
        object: &serde_json::Map<String, serde_json::Value>,
        prefix: &str,
        source: &str,
        table: &mut Table,
    ) {
        for (key, value) in object {
            let name = joined(prefix, key);
            match value {
                serde_json::Value::Object(inner) => walk(inner, &name, source, table),
                serde_json::Value::String(kind) if TYPES.contains(&kind.as_str()) => {
                    table.add(&name, words(kind, None, false), source);
                }
                _ => {}
            }
        }
    }
    const FILE: &str = "detection_rules/etc/non-ecs-schema.json";
    if !repository.has(FILE) {
        return Ok(());
    }
    let all: serde_json::Value =
        serde_json::from_slice(&repository.read_one(FILE)?).map_err(|error| format!("{FILE}: {error}"))?;
    for (pattern, fields) in all.as_object().into_iter().flatten() {
        let source = pattern.trim_start_matches("logs-").trim_start_matches('.');
        let source = source.trim_end_matches('*').trim_end_matches(['-', '.', '_']);
        if let Some(fields) = fields.as_object() {
            walk(fields, "", source, table);
        }
    }
    Ok(())
}

/// Takes a list of fields under a prefix.
fn take(specs: &[Spec], prefix: &str, source: &str, table: &mut Table) {
    for spec in specs {
        let Some(own) = text(&spec.name) else { continue };
        let name = joined(prefix, own);
        let kind = spec.r#type.as_deref();
        let children = spec.fields.as_deref().unwrap_or_default();
        if !children.is_empty() {
            if kind == Some("nested") {
                table.add(&name, Some("nested".to_owned()), source);
            }
            take(children, &name, source, table);
            continue;
        }
        let (name, any_key) = match name.strip_suffix(".*") {
            Some(object) => (object.to_owned(), true),
            None => (name, false),
        };
        if own.starts_with('*') {
            // Placeholders for everything say nothing.
            continue;
        }
        if let Some((object, _)) = name.split_once(".*") {
            // A placeholder in the middle: every path under the object is a field.
            table.add(object, Some("object keys=keyword".to_owned()), source);
            continue;
        }
        if name.contains('*') || name.split('.').any(str::is_empty) {
            continue;
        }
        if spec.external.is_some() {
            table.add(&name, None, source);
            continue;
        }
        let words = match kind {
            None | Some("array") => Some("keyword".to_owned()),
            Some(kind) => words(kind, spec.object_type.as_deref(), any_key),
        };
        let Some(words) = words else { continue };
        table.add(&name, Some(words), source);
        for sub in spec.multi_fields.as_deref().unwrap_or_default() {
            if let (Some(sub_name), Some(words)) = (text(&sub.name), sub_words(sub)) {
                table.add(&format!("{name}.{sub_name}"), Some(words), source);
            }
        }
    }
}

/// The words of the table for a type; `None` for what is no type of a field.
fn words(kind: &str, object_type: Option<&str>, any_key: bool) -> Option<String> {
    if kind == "object" || any_key {
        let keys = object_type
            .or((kind != "object").then_some(kind))
            .filter(|kind| TYPES.contains(kind));
        return Some(format!("object keys={}", keys.unwrap_or("dynamic")));
    }
    TYPES.contains(&kind).then(|| kind.to_owned())
}

/// The words for a multi-field.
fn sub_words(sub: &Spec) -> Option<String> {
    let kind = sub.r#type.as_deref().filter(|kind| TYPES.contains(kind))?;
    let normalized = if sub.normalizer.is_some() {
        " normalized"
    } else {
        ""
    };
    Some(format!("sub {kind}{normalized}"))
}

fn joined(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

fn text(name: &Option<serde_json::Value>) -> Option<&str> {
    name.as_ref().and_then(serde_json::Value::as_str)
}

fn yaml<T: serde::de::DeserializeOwned>(content: &[u8], file: &str) -> Result<T, String> {
    serde_saphyr::from_slice(content).map_err(|error| format!("{file}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of a field file, without sources.
    fn rows(file: &str) -> Vec<String> {
        let mut table = Table::default();
        table.set_ecs("1".to_owned());
        table.add_ecs("host.name", "keyword".to_owned());
        let specs: Vec<Spec> = yaml(file.as_bytes(), "test").unwrap();
        take(&specs, "", "pack.stream", &mut table);
        let text = table.render().unwrap();
        let rows = text.lines().filter(|line| !line.starts_with(['#', '=', '+']));
        rows.map(|line| line.replace('\t', " ")).collect()
    }

    #[test]
    fn field_files_become_rows() {
        let file = "
- name: a
  type: group
  fields:
    - {name: b.c, type: long}
    - {name: d, type: keyword, multi_fields: [{name: text, type: text}, {name: low, type: keyword, normalizer: lowercase}]}
    - {name: labels.*, type: object, object_type: keyword}
    - {name: open, type: object}
    - {name: closed, type: object}
    - {name: closed.x, type: ip}
    - name: list.*
      type: group
      fields: [{name: x, type: keyword}]
    - {name: nest, type: nested, fields: [{name: m, type: boolean}]}
    - {name: wrong, type: strange}
    - {name: untyped}
    - {name: '*.star', type: keyword}
- {name: host.name, external: ecs}
- {name: not.ecs, external: ecs}
";
        assert_eq!(
            rows(file),
            [
                "a.b.c long 0",
                "a.closed object 0",
                "a.closed.x ip 0",
                "a.d keyword 0",
                "a.d.low sub keyword normalized 0",
                "a.d.text sub text 0",
                "a.labels object keys=keyword 0",
                "a.list object keys=keyword 0",
                "a.nest nested 0",
                "a.nest.m boolean 0",
                "a.open object keys=dynamic 0",
                "a.untyped keyword 0",
                "host.name keyword 0",
            ]
        );
    }

    #[test]
    fn ecs_and_then_the_majority_decide_the_type() {
        let mut table = Table::default();
        table.set_ecs("1".to_owned());
        table.add_ecs("x", "ip".to_owned());
        for (name, words, source) in [
            ("x", "keyword", "a"),
            ("y", "keyword", "a"),
            ("y", "long", "b"),
            ("y", "long", "c"),
            ("z", "text", "b"),
        ] {
            table.add(name, Some(words.to_owned()), source);
        }
        table.supplement("# note\nz\tlong\td,e\nx\tecs\tf\n").unwrap();
        assert!(table.supplement("z\tlong").is_err());
        let text = table.render().unwrap();
        assert!(
            text.contains("\nx\tip\t0,5\ny\tlong\t0,1,2\nz\tlong\t1,3,4\n"),
            "{text}"
        );
        assert!(Table::default().render().is_err());
    }
}
