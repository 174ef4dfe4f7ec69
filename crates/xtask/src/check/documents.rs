//! README.md and ARCHITECTURE.md.

use super::Fault;
use super::repository::Repository;

/// Commands of README.md that `.ci/run` takes from there: the fenced block behind the marker.
const COMMANDS: &[&str] = &["<!-- ci: run -->", "<!-- ci: test -->"];

pub(super) fn architecture(repository: &Repository) -> Vec<Fault> {
    let Some(document) = repository.file("ARCHITECTURE.md") else {
        return vec![Fault::new("ARCHITECTURE.md", "the document is missing")];
    };
    let mut faults = Vec::new();
    for member in repository.crates() {
        if !document.text.contains(&format!("`crates/{}`", member.name)) {
            faults.push(Fault::new(
                &document.path,
                format!("`crates/{}` is not described", member.name),
            ));
        }
    }
    for word in document.text.split('`').skip(1).step_by(2) {
        let folder = word
            .strip_prefix("crates/")
            .and_then(|rest| rest.split('/').next());
        if let Some(name) = folder
            && !repository.crates().iter().any(|member| member.name == name)
        {
            faults.push(Fault::new(&document.path, format!("`{word}` does not exist")));
        }
    }
    faults
}

pub(super) fn readme(repository: &Repository) -> Vec<Fault> {
    let Some(document) = repository.file("README.md") else {
        return vec![Fault::new("README.md", "the document is missing")];
    };
    let mut faults = Vec::new();
    for marker in COMMANDS {
        match command_behind(&document.text, marker) {
            None => faults.push(Fault::new(
                &document.path,
                format!("no command stands behind `{marker}`"),
            )),
            Some(command) if !command.starts_with("cargo ") => {
                faults.push(Fault::new(
                    &document.path,
                    format!("`{command}` is no cargo command"),
                ));
            }
            Some(command) => {
                // What a command names must be there: words with a slash that are no options are paths.
                let paths = command
                    .split_whitespace()
                    .filter(|word| word.contains('/') && !word.starts_with('-'));
                for path in paths {
                    let inside = |file: &str| {
                        file == path || file.starts_with(&format!("{}/", path.trim_end_matches('/')))
                    };
                    if !repository.files().iter().any(|file| inside(&file.path)) {
                        faults.push(Fault::new(
                            &document.path,
                            format!("`{path}` of the command is not there"),
                        ));
                    }
                }
            }
        }
    }
    faults
}

/// The one-line command in the fenced block right behind a marker line.
fn command_behind<'a>(text: &'a str, marker: &str) -> Option<&'a str> {
    let mut lines = text.lines().skip_while(|line| *line != marker).skip(1);
    lines.next()?.strip_prefix("```")?;
    let command = lines.next()?.trim();
    let closed = lines.next()? == "```";
    (closed && !command.is_empty()).then_some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_the_line_of_the_block_behind_the_marker() {
        let text = "# A\n<!-- ci: test -->\n```sh\ncargo test\n```\n";
        assert_eq!(command_behind(text, "<!-- ci: test -->"), Some("cargo test"));
        assert_eq!(command_behind(text, "<!-- ci: run -->"), None);
        assert_eq!(
            command_behind("<!-- ci: run -->\n\n```\nx\n```\n", "<!-- ci: run -->"),
            None
        );
        assert_eq!(
            command_behind("<!-- ci: run -->\n```\nx\ny\n```\n", "<!-- ci: run -->"),
            None
        );
    }
}
