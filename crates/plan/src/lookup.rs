//! Tables that an event's values are looked up in: thousands of indicators, found by hash and not by trying each.
//!
//! A [`LookupTable`] has columns, each compared with one field of the event, and rows, each an indicator. A row is found
//! where every column agrees: the event's field and the row's cell have a value in common, or, in a *negated* column, have
//! none. Rows are found through the first column that is not negated; the others are asked of those rows only.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as Memory};

use ipnet::IpNet;
use neph_event::ValueRef;

use crate::pattern::fold;
use crate::{Case, FieldId, functions};

/// A look-up of an event's values in a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lookup {
    /// The field of each column of the table.
    pub fields: Vec<FieldId>,
    /// The table.
    pub table: Arc<LookupTable>,
}

/// How the cells of a column compare with values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CellKind {
    /// As texts.
    Text(Case),
    /// As addresses; a cell may be a network, which holds the addresses in it.
    Address,
}

/// A column of a [`LookupTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LookupColumn {
    /// How cells compare.
    pub kind: CellKind,
    /// Whether the event must *not* have the cell's value.
    pub negated: bool,
}

/// The rows that values are looked up in. Two tables are equal only where they are one and the same.
#[derive(Debug)]
pub struct LookupTable {
    number: u64,
    columns: Vec<(LookupColumn, Cells)>,
    /// The column that rows are found through.
    first: usize,
}

/// The rows with a value, in ascending order.
type Rows = Vec<u32>;

/// The cells of a column by their values.
#[derive(Debug, Default)]
struct Cells {
    texts: HashMap<Box<str>, Rows>,
    addresses: HashMap<u128, Rows>,
    /// Networks by the length of their prefix, so that an address is looked up once for each length that there is.
    networks: Vec<(u32, HashMap<u128, Rows>)>,
}

impl LookupTable {
    /// A table without rows. `None` where every column is negated: no row could be found by its values.
    pub fn new(columns: &[LookupColumn]) -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let first = columns.iter().position(|column| !column.negated)?;
        Some(Self {
            number: NEXT.fetch_add(1, Memory::Relaxed),
            columns: columns.iter().map(|column| (*column, Cells::default())).collect(),
            first,
        })
    }

    /// Gives the cell of a row one more value; whether it is one (a text that is no address is none in a column of
    /// addresses). Rows must be filled in ascending order.
    pub fn add(&mut self, row: u32, column: usize, value: &str) -> bool {
        let Some((LookupColumn { kind, .. }, cells)) = self.columns.get_mut(column) else {
            return false;
        };
        let rows = match kind {
            CellKind::Text(case) => cells.texts.entry(fold(value, *case).into()).or_default(),
            CellKind::Address => match network(value) {
                Some((address, 128)) => cells.addresses.entry(address).or_default(),
                Some((address, length)) => {
                    let place = cells.networks.iter().position(|(known, _)| *known == length);
                    let place = place.unwrap_or_else(|| {
                        cells.networks.push((length, HashMap::new()));
                        cells.networks.len() - 1
                    });
                    let Some((_, networks)) = cells.networks.get_mut(place) else {
                        return false;
                    };
                    networks.entry(address).or_default()
                }
                None => return false,
            },
        };
        if rows.last() != Some(&row) {
            rows.push(row);
        }
        true
    }

    /// Calls `found` with the rows that agree with an event until it says `false`; with a row of several values perhaps
    /// more than once. `values` hands out the event's values of a column's field.
    pub fn find<'v, V: Iterator<Item = ValueRef<'v>>>(
        &self,
        values: impl Fn(usize) -> V,
        found: &mut impl FnMut(u32) -> bool,
    ) {
        for value in values(self.first) {
            let go_on = self.for_each_row(self.first, value, &mut |row| {
                let agrees = self.columns.iter().enumerate().all(|(position, (column, _))| {
                    position == self.first
                        || values(position).any(|value| self.has(position, value, row)) != column.negated
                });
                !agrees || found(row)
            });
            if !go_on {
                return;
            }
        }
    }

    /// Whether some row has the value in a column that is not negated.
    pub fn knows(&self, value: ValueRef<'_>) -> bool {
        let mut columns = self.columns.iter().enumerate();
        columns.any(|(position, (column, _))| {
            !column.negated && !self.for_each_row(position, value, &mut |_| false)
        })
    }

    /// Whether a row has the value in a column.
    pub fn has(&self, column: usize, value: ValueRef<'_>, row: u32) -> bool {
        let mut has = false;
        self.for_each_rows(column, value, &mut |rows| {
            has |= rows.binary_search(&row).is_ok();
            !has
        });
        has
    }

    /// Calls `visit` with the rows of a value until it says `false`; whether it never did.
    fn for_each_row(&self, column: usize, value: ValueRef<'_>, visit: &mut impl FnMut(u32) -> bool) -> bool {
        self.for_each_rows(column, value, &mut |rows| rows.iter().all(|row| visit(*row)))
    }

    fn for_each_rows(
        &self,
        column: usize,
        value: ValueRef<'_>,
        visit: &mut impl FnMut(&[u32]) -> bool,
    ) -> bool {
        let Some((LookupColumn { kind, .. }, cells)) = self.columns.get(column) else {
            return true;
        };
        match kind {
            CellKind::Text(case) => {
                let rows = match value {
                    ValueRef::String(text) if *case == Case::Sensitive => cells.texts.get(text),
                    other => cells.texts.get(&*fold(&other.to_string(), *case)),
                };
                rows.is_none_or(|rows| visit(rows))
            }
            CellKind::Address => {
                let Some(address) = functions::address_of(value).map(position_of) else {
                    return true;
                };
                let lengths = cells.networks.iter();
                let networks = lengths.filter_map(|(length, known)| known.get(&prefix(address, *length)));
                let mut all = cells.addresses.get(&address).into_iter().chain(networks);
                all.all(|rows| visit(rows))
            }
        }
    }
}

/// An address or a network as the first of its addresses and the length of its prefix, in the space of 128 bits in which
/// IPv4 stands IPv4-mapped.
fn network(text: &str) -> Option<(u128, u32)> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((position_of(address), 128));
    }
    let net = text.parse::<IpNet>().ok()?;
    let length = match net {
        IpNet::V4(net) => u32::from(net.prefix_len()) + 96,
        IpNet::V6(net) => u32::from(net.prefix_len()),
    };
    Some((prefix(position_of(net.network()), length), length))
}

fn position_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn prefix(address: u128, length: u32) -> u128 {
    match 128_u32.checked_sub(length) {
        Some(free) if free < 128 => address >> free << free,
        Some(_) => 0,
        None => address,
    }
}

impl PartialEq for LookupTable {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for LookupTable {}
impl PartialOrd for LookupTable {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for LookupTable {
    fn cmp(&self, other: &Self) -> Ordering {
        self.number.cmp(&other.number)
    }
}
impl Hash for LookupTable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: LookupColumn = LookupColumn {
        kind: CellKind::Text(Case::Sensitive),
        negated: false,
    };
    const ADDRESS: LookupColumn = LookupColumn {
        kind: CellKind::Address,
        negated: false,
    };

    fn table(columns: &[LookupColumn], rows: &[&[&str]]) -> LookupTable {
        let mut table = LookupTable::new(columns).expect("a column that is not negated");
        for (row, cells) in (0_u32..).zip(rows) {
            for (column, cell) in cells.iter().enumerate() {
                for value in cell.split('|').filter(|value| !value.is_empty()) {
                    assert!(table.add(row, column, value), "{value} is a value");
                }
            }
        }
        table
    }

    fn rows(table: &LookupTable, values: &[&[&str]]) -> Vec<u32> {
        let mut found = Vec::new();
        table.find(
            |column| values[column].iter().map(|value| ValueRef::String(value)),
            &mut |row| {
                found.push(row);
                true
            },
        );
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn one_column_finds_rows_by_any_value() {
        let table = table(&[TEXT], &[&["a|b"], &["c"], &["a"]]);
        assert_eq!(rows(&table, &[&["a"]]), [0, 2]);
        assert_eq!(rows(&table, &[&["x", "c", "b"]]), [0, 1]);
        assert!(rows(&table, &[&["A"]]).is_empty());
        assert!(rows(&table, &[&[]]).is_empty());
        assert!(table.knows(ValueRef::String("c")) && !table.knows(ValueRef::String("d")));
    }

    #[test]
    fn columns_must_agree_in_one_row() {
        let table = table(&[TEXT, TEXT], &[&["a", "1"], &["b", "2"], &["a", "3"]]);
        assert_eq!(rows(&table, &[&["a"], &["1"]]), [0]);
        assert!(rows(&table, &[&["a"], &["2"]]).is_empty());
        assert_eq!(rows(&table, &[&["a", "b"], &["2", "3"]]), [1, 2]);
        assert!(rows(&table, &[&["a"], &[]]).is_empty());
    }

    #[test]
    fn a_negated_column_forbids_the_rows_value() {
        let not = LookupColumn {
            negated: true,
            ..TEXT
        };
        let table = table(&[not, TEXT], &[&["1", "a"], &["2", "a"]]);
        assert_eq!(rows(&table, &[&["1"], &["a"]]), [1]);
        assert_eq!(rows(&table, &[&[], &["a"]]), [0, 1]);
        assert!(!table.knows(ValueRef::String("1")));
        assert!(LookupTable::new(&[not]).is_none());
    }

    #[test]
    fn addresses_lie_in_networks() {
        let table = table(
            &[ADDRESS],
            &[
                &["10.0.0.0/8"],
                &["10.1.2.3"],
                &["2001:DB8::/32"],
                &["0.0.0.0/0"],
                &["10.1.2.3/24"],
            ],
        );
        assert_eq!(rows(&table, &[&["10.1.2.3"]]), [0, 1, 3, 4]);
        assert_eq!(rows(&table, &[&["11.0.0.1"]]), [3]);
        assert_eq!(rows(&table, &[&["2001:db8::7"]]), [2]);
        assert!(rows(&table, &[&["2001:db9::7", "name"]]).is_empty());
        let mut other = LookupTable::new(&[ADDRESS]).unwrap();
        assert!(!other.add(0, 0, "not an address") && !other.add(0, 0, "10.0.0.0/33"));
    }

    #[test]
    fn case_is_the_columns() {
        let column = LookupColumn {
            kind: CellKind::Text(Case::Insensitive),
            negated: false,
        };
        let table = table(&[column], &[&["Evil.EXAMPLE"]]);
        assert_eq!(rows(&table, &[&["eviL.example"]]), [0]);
    }

    #[test]
    fn every_table_is_itself() {
        let (a, b) = (
            LookupTable::new(&[TEXT]).unwrap(),
            LookupTable::new(&[TEXT]).unwrap(),
        );
        assert_ne!(a, b);
        assert_eq!(a, a);
    }
}
