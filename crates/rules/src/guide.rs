//! The investigation guide of a rule, with the searches of `[transform]` put where the guide refers to them.
//!
//! A guide says `$investigate_0` or `$osquery_1`; the number counts the entries of that list. The build of
//! <https://github.com/elastic/detection-rules> turns them into buttons of Kibana; here they become text that can be
//! read and copied.

use neph_document::{Node, Table};

/// The guide with its references replaced; one that refers to no entry stays as it is.
pub(crate) fn with_searches(note: &str, transform: Option<&Table>) -> String {
    let Some(transform) = transform else {
        return note.to_owned();
    };
    let mut text = note.to_owned();
    for (list, render) in [
        ("investigate", investigate as fn(&Table) -> String),
        ("osquery", osquery),
    ] {
        let searches: Vec<String> = transform.tables(list).map(|(search, _)| render(search)).collect();
        // From the last to the first, so that `$osquery_1` does not eat the beginning of `$osquery_10`.
        for (number, search) in searches.iter().enumerate().rev() {
            text = text.replace(&format!("${list}_{number}"), search);
        }
    }
    text
}

fn osquery(search: &Table) -> String {
    format!("**{}**: `{}`", search.trimmed("label"), search.trimmed("query"))
}

fn investigate(search: &Table) -> String {
    let mut text = format!("**{}**", search.trimmed("label"));
    // A list of alternatives, each a list of conditions.
    let alternatives: Vec<String> = search
        .get("providers")
        .map_or(&[][..], Node::items)
        .iter()
        .map(|all| conditions(all.items()))
        .collect();
    if !alternatives.is_empty() {
        text.push_str(&format!(": `{}`", alternatives.join(" or ")));
    }
    if let (Some(from), Some(to)) = (search.text("relativeFrom"), search.text("relativeTo")) {
        text.push_str(&format!(" ({from} to {to})"));
    }
    let description = search.trimmed("description");
    if !description.is_empty() {
        text.push_str(&format!(" – {description}"));
    }
    text
}

fn conditions(providers: &[Node]) -> String {
    let conditions: Vec<String> = providers
        .iter()
        .filter_map(Node::as_table)
        .map(|provider| {
            let relation = if provider.boolean("excluded") == Some(true) {
                "!="
            } else {
                "=="
            };
            format!(
                "{} {relation} {}",
                provider.trimmed("field"),
                provider.trimmed("value")
            )
        })
        .collect();
    conditions.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_become_text() {
        let file = r#"
[[transform.osquery]]
label = "Users"
query = "SELECT * FROM users"
[[transform.investigate]]
label = "Same process"
description = "all of it"
relativeFrom = "now-1h"
relativeTo = "now"
providers = [[{ field = "host.id", excluded = false, queryType = "phrase", value = "{{host.id}}" },
              { field = "event.kind", excluded = true, value = "signal" }]]
"#;
        let (table, errors) = neph_document::toml::parse(file, &crate::codes::SYNTAX);
        assert!(errors.is_empty());
        let text = with_searches(
            "- $osquery_0\n- $investigate_0\n- $osquery_7",
            table.table("transform"),
        );
        assert_eq!(
            text,
            "- **Users**: `SELECT * FROM users`\n- **Same process**: `host.id == {{host.id}} and event.kind != signal` \
             (now-1h to now) – all of it\n- $osquery_7"
        );
        assert_eq!(with_searches("$osquery_0", None), "$osquery_0");
    }
}
