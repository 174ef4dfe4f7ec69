//! The text that `nft list ruleset` prints, as the JSON that `nft -j` would print.
//!
//! Only what decides about packets is read; a word that is not known makes its rule one whose outcome is not known.

use serde_json::{Value, json};

/// Blocks nested deeper are none of nft's.
const DEEPEST: usize = 8;

/// The ruleset as JSON, and what could not be read.
pub(super) fn to_json(written: &str) -> (Value, Vec<String>) {
    let mut objects = Vec::new();
    let mut doubts = Vec::new();
    let (mut family, mut table) = (String::new(), String::new());
    // The blocks that are open: `table`, `chain NAME`, `set NAME`.
    let mut open: Vec<(String, String)> = Vec::new();
    let mut pending = String::new();
    for (index, line) in written.lines().enumerate() {
        let number = index + 1;
        let line = without_comment(line);
        pending.push_str(line.trim());
        pending.push(' ');
        // A set's elements may go over several lines.
        let is_element_list =
            pending.contains("elements =") || pending.contains(" map {") || pending.contains("vmap {");
        if is_element_list && pending.matches('{').count() > pending.matches('}').count() {
            continue;
        }
        let whole = std::mem::take(&mut pending);
        let statement = whole.trim();
        if statement.is_empty() {
            continue;
        }
        if statement == "}" {
            open.pop();
            continue;
        }
        if let Some(head) = statement.strip_suffix('{').filter(|_| is_block(statement)) {
            let words: Vec<&str> = head.split_whitespace().collect();
            match words.as_slice() {
                ["table", own, name] => {
                    (*own).clone_into(&mut family);
                    (*name).clone_into(&mut table);
                    objects.push(json!({"table": {"family": family, "name": table}}));
                    open.push(("table".to_owned(), String::new()));
                }
                [kind, name] => {
                    if *kind == "chain" {
                        objects.push(json!({"chain": {"family": family, "table": table, "name": name}}));
                    } else if matches!(*kind, "set" | "map") {
                        objects.push(
                            json!({"set": {"family": family, "table": table, "name": name, "elem": []}}),
                        );
                    }
                    open.push(((*kind).to_owned(), (*name).to_owned()));
                }
                _ => open.push((String::new(), String::new())),
            }
            if open.len() > DEEPEST {
                doubts.push(format!("line {number}, which is nested too deep"));
                break;
            }
            continue;
        }
        let Some((kind, name)) = open.last() else {
            continue;
        };
        match kind.as_str() {
            "chain" if statement.starts_with("type ") => {
                if let Some(chain) = objects
                    .last_mut()
                    .and_then(|last| last.get_mut("chain"))
                    .and_then(Value::as_object_mut)
                {
                    chain.extend(head_of(statement));
                }
            }
            "chain" if statement.starts_with("policy ") || statement.starts_with("comment ") => {}
            "chain" => {
                let parts: Vec<Value> = Words::of(statement).expressions();
                let rule = json!({"family": family, "table": table, "chain": name, "expr": parts, "text": statement, "line": number});
                objects.push(json!({ "rule": rule }));
            }
            "set" | "map" => {
                if let Some(set) = objects
                    .last_mut()
                    .and_then(|last| last.get_mut("set"))
                    .and_then(Value::as_object_mut)
                {
                    if let Some(list) = statement.strip_prefix("elements =") {
                        let mut words = Words::of(list);
                        let pairs = words.set();
                        set.insert(
                            "elem".to_owned(),
                            pairs.get("set").cloned().unwrap_or(Value::Null),
                        );
                    } else if let Some(flags) = statement.strip_prefix("flags ") {
                        let flags: Vec<&str> = flags.split(',').map(str::trim).collect();
                        set.insert("flags".to_owned(), json!(flags));
                    }
                }
            }
            _ => {}
        }
    }
    (json!({ "nftables": objects }), doubts)
}

fn is_block(statement: &str) -> bool {
    [
        "table ",
        "chain ",
        "set ",
        "map ",
        "flowtable ",
        "counter ",
        "ct ",
        "limit ",
        "quota ",
        "secmark ",
        "synproxy ",
    ]
    .iter()
    .any(|start| statement.starts_with(start))
}

fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'#' if !quoted => return line.get(..at).unwrap_or(line),
            _ => {}
        }
    }
    line
}

/// `type filter hook output priority filter; policy accept;`
fn head_of(statement: &str) -> Vec<(String, Value)> {
    let words: Vec<&str> = statement
        .split([' ', ';'])
        .filter(|word| !word.is_empty())
        .collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1).copied()
    };
    let mut found = Vec::new();
    for name in ["type", "hook", "policy"] {
        if let Some(value) = after(name) {
            found.push((name.to_owned(), json!(value)));
        }
    }
    if let Some(at) = words.iter().position(|word| *word == "priority") {
        let base = words.get(at + 1).copied().unwrap_or("0");
        let hook = after("hook").unwrap_or("");
        let mut priority = match base {
            "raw" => -300,
            "mangle" => -150,
            "dstnat" => -100,
            "filter" => 0,
            "security" => 50,
            "srcnat" => 100,
            other => other.parse().unwrap_or(0),
        };
        if let (Some(sign @ ("+" | "-")), Some(by)) = (words.get(at + 2).copied(), words.get(at + 3)) {
            let by: i64 = by.parse().unwrap_or(0);
            priority += if sign == "+" { by } else { -by };
        }
        let _ = hook;
        found.push(("prio".to_owned(), json!(priority)));
    }
    found
}

/// The words of a statement.
struct Words {
    list: Vec<String>,
    at: usize,
}

impl Words {
    fn of(statement: &str) -> Self {
        let mut list = Vec::new();
        let mut word = String::new();
        let mut quoted = false;
        for character in statement.chars() {
            match character {
                '"' => {
                    quoted = !quoted;
                    if !quoted {
                        list.push(std::mem::take(&mut word));
                    }
                }
                other if quoted => word.push(other),
                ' ' | '\t' | ',' | '{' | '}' | ';' => {
                    if !word.is_empty() {
                        list.push(std::mem::take(&mut word));
                    }
                    if !matches!(character, ' ' | '\t') {
                        list.push(character.to_string());
                    }
                }
                other => word.push(other),
            }
        }
        if !word.is_empty() {
            list.push(word);
        }
        Self { list, at: 0 }
    }

    fn peek(&self) -> &str {
        self.list.get(self.at).map_or("", String::as_str)
    }

    fn next(&mut self) -> String {
        let word = self.peek().to_owned();
        self.at += 1;
        word
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.list.len()
    }

    fn expressions(&mut self) -> Vec<Value> {
        let mut parts = Vec::new();
        while !self.is_at_end() {
            let word = self.next();
            match word.as_str() {
                "ip" | "ip6" | "tcp" | "udp" | "th" | "icmp" | "icmpv6" | "sctp" | "ether" | "dccp" => {
                    let field = self.next();
                    parts.push(self.comparison(json!({"payload": {"protocol": word, "field": field}})));
                }
                "meta" => {
                    let name = self.next();
                    if self.peek() == "set" {
                        self.at += 2;
                        parts.push(json!({"mangle": null}));
                    } else {
                        parts.push(self.comparison(json!({"meta": {"key": name}})));
                    }
                }
                "oifname" | "iifname" | "oif" | "iif" | "skuid" | "skgid" | "mark" | "l4proto"
                | "nfproto" => {
                    parts.push(self.comparison(json!({"meta": {"key": word}})));
                }
                "ct" => {
                    let mut name = self.next();
                    if matches!(name.as_str(), "original" | "reply") {
                        name = self.next();
                    }
                    match (name.as_str(), self.peek()) {
                        ("count", _) => {
                            self.skip(&["over"]);
                            self.at += 1;
                            parts.push(json!({"ct count": null}));
                        }
                        (_, "set") => {
                            self.at += 2;
                            parts.push(json!({"mangle": null}));
                        }
                        _ => parts.push(self.comparison(json!({"ct": {"key": name}}))),
                    }
                }
                "fib" => {
                    let mut flags = vec![self.next()];
                    while self.peek() == "." {
                        self.at += 1;
                        flags.push(self.next());
                    }
                    let result = self.next();
                    parts.push(self.comparison(json!({"fib": {"flags": flags, "result": result}})));
                }
                "counter" => {
                    // Numbers that were counted, or the name of a counter.
                    while matches!(self.peek(), "packets" | "bytes" | "name") {
                        self.at += 2;
                    }
                    parts.push(json!({"counter": null}));
                }
                "log" => {
                    while matches!(
                        self.peek(),
                        "prefix" | "level" | "group" | "snaplen" | "queue-threshold" | "flags"
                    ) {
                        self.at += 2;
                    }
                    parts.push(json!({"log": null}));
                }
                "limit" => {
                    // `limit rate over 10/second burst 5 packets`
                    while matches!(
                        self.peek(),
                        "rate" | "over" | "burst" | "packets" | "bytes" | "name"
                    ) || self.peek().contains('/')
                        || self.peek().chars().all(|character| character.is_ascii_digit())
                            && !self.is_at_end()
                    {
                        self.at += 1;
                    }
                    parts.push(json!({"limit": null}));
                }
                "comment" => self.at += 1,
                "accept" | "drop" | "return" | "continue" | "notrack" => parts.push(json!({ word: null })),
                "reject" => {
                    let mut kind = Value::Null;
                    if self.peek() == "with" {
                        kind = match self.list.get(self.at + 1).map_or("", String::as_str) {
                            "tcp" => json!({"type": "tcp reset"}),
                            name => json!({ "type": name }),
                        };
                        self.at = self.list.len();
                    }
                    parts.push(json!({ "reject": kind }));
                }
                "jump" | "goto" => {
                    let target = self.next();
                    parts.push(json!({ word: {"target": target} }));
                }
                "masquerade" | "redirect" | "tproxy" | "queue" => {
                    self.at = self.list.len();
                    parts.push(json!({ word: null }));
                }
                "snat" | "dnat" => {
                    self.skip(&["ip", "ip6", "to"]);
                    let to = self.next();
                    self.at = self.list.len();
                    parts.push(json!({ word: {"addr": to} }));
                }
                "xt" => {
                    self.at = self.list.len();
                    parts.push(json!({"xt": null}));
                }
                // Whatever this is, and whatever comes behind it.
                other => {
                    parts.push(json!({ format!("{other} …"): null }));
                    let verdict = self
                        .list
                        .iter()
                        .rev()
                        .find(|word| matches!(word.as_str(), "accept" | "drop" | "reject" | "return"));
                    if let Some(verdict) = verdict {
                        parts.push(json!({ verdict.as_str(): null }));
                    }
                    self.at = self.list.len();
                }
            }
        }
        parts
    }

    fn skip(&mut self, words: &[&str]) {
        while words.contains(&self.peek()) {
            self.at += 1;
        }
    }

    /// What stands behind a left side.
    fn comparison(&mut self, left: Value) -> Value {
        if self.peek() == "vmap" {
            self.at += 1;
            let data = match self.peek().starts_with('@') {
                true => json!(self.next()),
                false => self.set(),
            };
            return json!({"vmap": {"key": left, "data": data}});
        }
        let op = match self.peek() {
            "!=" | "==" | "<" | ">" | "<=" | ">=" | "&" | "|" | "^" => self.next(),
            // Fields that belong together: `ip daddr . tcp dport @set`.
            "." => {
                self.at = self.list.len().min(self.at + 4);
                return json!({"match": {"op": ".", "left": left, "right": null}});
            }
            _ => "==".to_owned(),
        };
        let right = match self.peek() {
            "{" => self.set(),
            _ => {
                let mut values = vec![value(&self.next())];
                // `ct state established,related`
                while self.peek() == "," {
                    self.at += 1;
                    values.push(value(&self.next()));
                }
                match values.len() {
                    1 => values.pop().unwrap_or(Value::Null),
                    _ => Value::Array(values),
                }
            }
        };
        json!({"match": {"op": op, "left": left, "right": right}})
    }

    /// `{ a, b-c, d : accept }`
    fn set(&mut self) -> Value {
        self.skip(&["{"]);
        let mut items = Vec::new();
        let mut words: Vec<String> = Vec::new();
        let take = |words: &mut Vec<String>, items: &mut Vec<Value>| {
            let Some(first) = words.first() else {
                return;
            };
            let item = match words.iter().position(|word| word == ":") {
                Some(at) => {
                    let verdict = words.get(at + 1).map_or("", String::as_str);
                    let target = words.get(at + 2).map_or("", String::as_str);
                    json!([value(first), { verdict: {"target": target} }])
                }
                None => value(first),
            };
            items.push(item);
            words.clear();
        };
        while !self.is_at_end() {
            let word = self.next();
            match word.as_str() {
                "}" => break,
                "," => take(&mut words, &mut items),
                _ => words.push(word),
            }
        }
        take(&mut words, &mut items);
        json!({ "set": items })
    }
}

/// A number, a network, a range, or a name.
fn value(word: &str) -> Value {
    if let Ok(number) = word.parse::<u64>() {
        return json!(number);
    }
    if let Some((address, length)) = word.split_once('/')
        && let Ok(length) = length.parse::<u64>()
    {
        return json!({"prefix": {"addr": address, "len": length}});
    }
    if let Some((from, to)) = word.split_once('-') {
        let is_number = from.parse::<u64>().is_ok() && to.parse::<u64>().is_ok();
        let is_address = from.parse::<std::net::IpAddr>().is_ok() && to.parse::<std::net::IpAddr>().is_ok();
        if is_number || is_address {
            return json!({"range": [value(from), value(to)]});
        }
    }
    json!(word)
}
