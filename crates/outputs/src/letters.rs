//! Dead letters as a file beside the table: one line for each alert that was given up, for people and their tools.

use std::path::{Path, PathBuf};

use neph_event::Instant;
use serde_json::{Value, json};

use crate::Message;
use crate::file::{add_lines, append_to};

/// The file of an output's dead letters.
pub(crate) fn path_of(folder: &Path, output: &str) -> PathBuf {
    let mut name = String::new();
    for (index, byte) in output.bytes().enumerate() {
        match byte {
            b'.' if index == 0 => name.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => name.push(byte.into()),
            other => name.push_str(&format!("%{other:02X}")),
        }
    }
    // Names of files are bounded.
    name.truncate(200);
    folder.join(format!("{name}.ndjson"))
}

/// Writes down what is given up.
pub(crate) fn write(
    folder: &Path,
    output: &str,
    messages: &[&Message<'_>],
    why: &str,
    now: Instant,
) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut text = Vec::new();
    for message in messages {
        let alert = &message.alert.alert;
        let document: Value = serde_json::from_slice(&alert.document).unwrap_or_default();
        let letter = json!({
            "@timestamp": now.to_string(),
            "output": output,
            "key": message.key,
            "kind": message.kind.word(),
            "alerts": message.group.map_or(1, |group| group.count),
            "ids": message.group.map_or_else(|| vec![alert.id.clone()], |group| group.ids.clone()),
            "error": why,
            "alert": document,
        });
        // Writing JSON into memory cannot fail.
        let _ = serde_json::to_writer(&mut text, &letter);
        text.push(b'\n');
    }
    add_lines(&mut append_to(&path_of(folder, output))?, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_outputs_stay_inside_the_folder() {
        let name = |output| path_of(Path::new("/d"), output).display().to_string();
        assert_eq!(name("soc-chat"), "/d/soc-chat.ndjson");
        assert_eq!(name("../../etc/passwd"), "/d/%2E.%2F..%2Fetc%2Fpasswd.ndjson");
        assert_eq!(name("чат a"), "/d/%D1%87%D0%B0%D1%82%20a.ndjson");
        assert!(name(&"x".repeat(5000)).len() < 255);
    }
}
