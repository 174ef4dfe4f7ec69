//! Writing approvals into their file, with everything kept that people wrote there.

use std::io::Write as _;
use std::path::Path;

use jiff::civil::Date;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

use crate::file::replace;

/// An approval to be written. Empty lists are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewApproval {
    /// `approved` keys with their values: `id`, `name`, `kind`, `account`, `region`, `source`, `class`, `changes`, `difference`.
    pub patterns: Vec<(&'static str, Vec<String>)>,
    /// Tags.
    pub tags: Vec<(String, String)>,
    /// Who answers for it; may be left out where the file names an owner for all.
    pub owner: Option<String>,
    /// Why.
    pub note: Option<String>,
    /// The last day on which it counts.
    pub expires: Option<Date>,
}

/// Which kind of entry it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// `[[approved]]`
    Approved,
    /// `[[golden]]`
    Golden,
    /// `[[account]]`
    Account,
}

/// The text of the file with one more entry at its end; the rest stays as it is, comments too.
///
/// # Errors
/// When the text is not valid TOML, or the key holds something else than entries; in words.
pub fn approve(text: &str, entry: Entry, approval: &NewApproval) -> Result<String, String> {
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| error.message().to_owned())?;
    let key = match entry {
        Entry::Approved => "approved",
        Entry::Golden => "golden",
        Entry::Account => "account",
    };
    let list = document
        .entry(key)
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()))
        .as_array_of_tables_mut()
        .ok_or_else(|| format!("`{key}` is no list of tables that begin with `[[{key}]]`"))?;
    let mut table = Table::new();
    for (key, texts) in &approval.patterns {
        match texts.as_slice() {
            [] => {}
            [single] => {
                table.insert(key, Item::Value(single.as_str().into()));
            }
            several => {
                table.insert(
                    key,
                    Item::Value(Value::Array(
                        several.iter().map(String::as_str).collect::<Array>(),
                    )),
                );
            }
        }
    }
    if !approval.tags.is_empty() {
        let mut tags = InlineTable::new();
        for (key, value) in &approval.tags {
            tags.insert(key, value.as_str().into());
        }
        table.insert("tags", Item::Value(Value::InlineTable(tags)));
    }
    for (key, text) in [("owner", &approval.owner), ("note", &approval.note)] {
        if let Some(text) = text {
            table.insert(key, Item::Value(text.as_str().into()));
        }
    }
    if let Some(day) = approval.expires {
        let day: toml_edit::Datetime = day
            .to_string()
            .parse()
            .map_err(|_| format!("`{day}` is no day that can be written"))?;
        table.insert("expires", Item::Value(day.into()));
    }
    if !text.is_empty() {
        table.decor_mut().set_prefix("\n");
    }
    // Entries stand in the order of the file; this one comes last.
    table.set_position(Some(isize::MAX));
    list.push(table);
    Ok(document.to_string())
}

/// Writes the text of the file, which holds what it held before or all of this, and never a part.
///
/// # Errors
/// When the file cannot be written.
pub fn replace_text(path: &Path, text: &str) -> std::io::Result<()> {
    replace(path, &mut |file| file.write_all(text.as_bytes()))
}
