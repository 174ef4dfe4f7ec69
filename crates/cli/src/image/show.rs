//! Images, differences and verdicts on the screen, and as JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::Timestamp;
use neph_images::roles::Severity;
use neph_images::{
    Difference, File, Image, Kind, Sameness, Verdict, Verification, alert_of_difference, alert_of_verdict,
    shown,
};
use serde_json::json;

use super::Format;
use crate::table::{harmless, table};

/// An image.
pub(super) fn image(out: &mut dyn Write, image: &Image, files: bool) -> io::Result<()> {
    let settings = &image.config.config;
    let mut about = table(&["", ""]);
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            about.add_row([name.to_owned(), harmless(&value)]);
        }
    };
    row("name", image.name.to_string());
    row(
        "manifest",
        image
            .manifest
            .map_or_else(String::new, |digest| digest.to_string()),
    );
    row(
        "index",
        image.index.map_or_else(String::new, |digest| digest.to_string()),
    );
    row(
        "id",
        image.id.map_or_else(String::new, |digest| digest.to_string()),
    );
    row("content", image.content_digest().to_string());
    row(
        "platform",
        image.config.platform.to_string().trim_matches('/').to_owned(),
    );
    row("created", image.config.created.clone().unwrap_or_default());
    row("entrypoint", settings.entrypoint.join(" "));
    row("cmd", settings.cmd.join(" "));
    row("user", settings.user.clone());
    row("directory", settings.working_dir.clone());
    row("env", settings.env.join("\n").replace('\n', "  "));
    row(
        "ports",
        settings
            .exposed_ports
            .keys()
            .cloned()
            .collect::<Vec<_>>()
            .join(" "),
    );
    let labels: Vec<String> = settings
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    row("labels", labels.join("  "));
    writeln!(out, "{about}")?;
    let mut layers = table(&["LAYER", "ARCHIVE", "BYTES", "UNPACKED", "MADE BY"]);
    for (index, layer) in image.layers.iter().enumerate() {
        layers.add_row([
            index.to_string(),
            layer.diff_id.to_string().chars().take(19).collect(),
            layer.size.to_string(),
            layer.uncompressed.to_string(),
            harmless(&layer.created_by.clone().unwrap_or_default()),
        ]);
    }
    writeln!(out, "\n{layers}")?;
    if files {
        let mut list = table(&["MODE", "OWNER", "BYTES", "SHA-256", "LAYER", "PATH"]);
        for (path, file) in image.files.iter() {
            list.add_row([
                format!("{}{}", letter(file.kind), letters(file)),
                format!("{}:{}", file.uid, file.gid),
                file.size.to_string(),
                file.sha256.map_or_else(String::new, |sha256| {
                    neph_images::hex(&sha256).chars().take(12).collect()
                }),
                file.layer.to_string(),
                harmless(&in_list(path, file)),
            ]);
        }
        writeln!(out, "\n{list}")?;
    }
    if !image.problems.is_empty() {
        let mut problems = table(&["SEVERITY", "LAYER", "PATH", "WHAT IS STRANGE"]);
        for problem in &image.problems {
            problems.add_row([
                problem.severity.name().to_owned(),
                problem.layer.to_string(),
                harmless(&problem.path),
                harmless(&problem.what),
            ]);
        }
        writeln!(out, "\n{problems}")?;
    }
    let count = |test: &dyn Fn(&File) -> bool| image.files.iter().filter(|(_, file)| test(file)).count();
    writeln!(
        out,
        "\n{} files in {} layers, {} executable, {} set-uid or set-gid, {} with capabilities, {} problems",
        count(&|file| file.kind == Kind::File),
        image.layers.len(),
        count(&File::is_executable),
        count(&File::is_set_id),
        count(&|file| !file.capabilities().is_empty()),
        image.problems.len()
    )
}

fn in_list(path: &[u8], file: &File) -> String {
    let path = shown(path);
    match file.kind {
        Kind::Symlink => format!("/{path} -> {}", shown(&file.target)),
        _ if !file.capabilities().is_empty() => format!("/{path} ({})", file.capabilities().join(" ")),
        _ => format!("/{path}"),
    }
}

fn letter(kind: Kind) -> char {
    match kind {
        Kind::File => '-',
        Kind::Directory => 'd',
        Kind::Symlink => 'l',
        Kind::CharacterDevice => 'c',
        Kind::BlockDevice => 'b',
        Kind::Fifo => 'p',
    }
}

/// Permissions as `ls` shows them.
fn letters(file: &File) -> String {
    let mut letters = String::new();
    for (shift, special, mark) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = file.mode >> shift & 7;
        letters.push(if bits & 4 != 0 { 'r' } else { '-' });
        letters.push(if bits & 2 != 0 { 'w' } else { '-' });
        letters.push(match (file.mode & special != 0, bits & 1 != 0) {
            (true, true) => mark,
            (true, false) => mark.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    letters
}

/// Text with digests cut short; JSON has them whole.
fn brief(text: &str) -> String {
    let cut = |word: &str| match word.split_once(':') {
        Some(("sha256", hex)) if hex.len() >= 64 => {
            let (head, tail) = hex.split_at_checked(64).unwrap_or((hex, ""));
            format!("sha256:{}{tail}", head.chars().take(12).collect::<String>())
        }
        _ => word.to_owned(),
    };
    text.split(' ').map(cut).collect::<Vec<_>>().join(" ")
}

/// The differences of one image, or the drift of a container.
pub(super) fn comparison(
    out: &mut dyn Write,
    asked: &str,
    image: &Image,
    sameness: Option<Sameness>,
    found: &[&Difference],
    all: usize,
    format: Format,
) -> io::Result<()> {
    if format == Format::Alerts {
        let now = Timestamp::now();
        let unapproved = found
            .iter()
            .filter(|one| one.approved.is_none() && one.severity > Severity::Info);
        for one in unapproved {
            writeln!(out, "{}", alert_of_difference(image, asked, one, now))?;
        }
        return Ok(());
    }
    if format == Format::Json {
        let mut document = json!({
            "image": asked, "name": image.name.to_string(), "digest": image.digest(), "content": image.content_digest(), "differences": found,
        });
        if let (Some(sameness), Some(object)) = (sameness, document.as_object_mut()) {
            object.insert("sameness".to_owned(), json!(sameness));
        }
        return writeln!(out, "{document}");
    }
    let about_files = found.iter().any(|one| one.kind != "same-content");
    if about_files {
        let mut rows = table(&["SEVERITY", "FINDING", "WHERE", "WHAT", "LAYER", "TECHNIQUES"]);
        for one in found {
            let mut what = one.what.clone();
            if !one.signs.is_empty() {
                what.push_str(&format!(" ({})", one.signs.join(", ")));
            }
            match (&one.golden, &one.found) {
                (Some(golden), Some(new)) if !one.kind.starts_with("file-") => {
                    what.push_str(&format!("; {} → {}", brief(golden), brief(new)))
                }
                (None, Some(new)) if one.kind == "foreign-executed" => what.push_str(&format!("; {new}")),
                _ => {}
            }
            if let Some(approved) = &one.approved {
                what.push_str(&format!("; approved by {approved}"));
            }
            rows.add_row([
                one.severity.name().to_owned(),
                one.kind.to_owned(),
                harmless(&one.path),
                harmless(&what),
                one.layer.map_or_else(String::new, |layer| layer.to_string()),
                one.techniques.join(" "),
            ]);
        }
        writeln!(out, "{rows}")?;
    }
    let mut counts: BTreeMap<Severity, usize> = BTreeMap::new();
    for one in found
        .iter()
        .filter(|one| one.approved.is_none() && one.kind != "same-content")
    {
        *counts.entry(one.severity).or_default() += 1;
    }
    let counted: Vec<String> = counts
        .iter()
        .rev()
        .map(|(severity, count)| format!("{count} {}", severity.name()))
        .collect();
    let approved = found.iter().filter(|one| one.approved.is_some()).count();
    let hidden = all - found.len();
    let verdict = match sameness {
        Some(Sameness::SameDigest) => "the digest is that of the golden image".to_owned(),
        Some(Sameness::SameContent) => "built or packed anew, the same content".to_owned(),
        _ if counted.is_empty() && hidden == 0 && approved == 0 => "nothing differs".to_owned(),
        _ if counted.is_empty() => "no difference that is shown".to_owned(),
        _ => counted.join(", "),
    };
    let mut more = String::new();
    if approved > 0 {
        more.push_str(&format!("; {approved} approved"));
    }
    if hidden > 0 {
        more.push_str(&format!("; {hidden} less severe (--min-severity)"));
    }
    writeln!(out, "{}: {verdict}{more}", harmless(asked))
}

/// What the signatures of an image are worth.
pub(super) fn verification(
    out: &mut dyn Write,
    asked: &str,
    image: Option<&Image>,
    verification: &Verification,
    format: Format,
) -> io::Result<()> {
    if format == Format::Alerts {
        if verification.verdict != Verdict::Verified {
            writeln!(
                out,
                "{}",
                alert_of_verdict(image, asked, verification, Timestamp::now())
            )?;
        }
        return Ok(());
    }
    if format == Format::Json {
        let document = json!({
            "image": asked,
            "name": image.map(|image| image.name.to_string()),
            "digest": image.and_then(Image::digest),
            "verdict": verification.verdict,
            "why": verification.why,
            "techniques": verification.verdict.techniques(),
            "signatures": verification.signatures,
        });
        return writeln!(out, "{document}");
    }
    if !verification.signatures.is_empty() {
        let mut rows = table(&["SIGNATURE", "VERDICT", "BY", "SIGNED", "WHY"]);
        for one in &verification.signatures {
            rows.add_row([
                one.form.to_owned(),
                one.verdict.name().to_owned(),
                harmless(one.by.as_deref().unwrap_or("")),
                harmless(one.signed_at.as_deref().unwrap_or("")),
                harmless(&one.why),
            ]);
        }
        writeln!(out, "{rows}")?;
    }
    let digest = image
        .and_then(Image::digest)
        .map_or_else(String::new, |digest| format!(" ({digest})"));
    writeln!(
        out,
        "{}{digest}: {}: {}",
        harmless(asked),
        verification.verdict.name(),
        harmless(&verification.why)
    )
}
