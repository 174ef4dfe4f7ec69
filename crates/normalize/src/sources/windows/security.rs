//! The Security log of Windows.
//! <https://learn.microsoft.com/windows-server/identity/ad-ds/plan/appendix-l--events-to-monitor>

use super::security_tables as tables;
use super::{COMMON, COMMON_DERIVED, Channel, Event, base_name, decode_long, detect_channel};
use crate::community_id;
use crate::source::{Derived, SourceInfo, Stateless, derived};
use crate::tree::Value;

pub(in crate::sources) const INFO: SourceInfo = SourceInfo {
    name: "windows_security",
    aliases: &[],
    title: "Security log of Windows",
    module: "system",
    dataset: "system.security",
    os: Some("windows"),
    mappings: &[COMMON],
    derived: &[COMMON_DERIVED, DERIVED],
    detect: |record| detect_channel(record, Channel::Security),
    start: || {
        Box::new(Stateless(|record| {
            super::normalize(record, Some(Channel::Security))
        }))
    },
};

const DERIVED: &[Derived] = &[
    derived(
        "user.*",
        &[
            "winlog.event_data.SubjectUserName",
            "winlog.event_data.TargetUserName",
        ],
    ),
    derived(
        "user.target.*",
        &["winlog.event_data.TargetUserName", "winlog.event_data.MemberName"],
    ),
    derived("user.effective.*", &["winlog.event_data.TargetUserName"]),
    derived("user.changes.name", &["winlog.event_data.NewTargetUserName"]),
    derived(
        "group.*",
        &["winlog.event_data.TargetUserName", "winlog.event_data.TargetSid"],
    ),
    derived(
        "related.user",
        &[
            "winlog.event_data.SubjectUserName",
            "winlog.event_data.TargetUserName",
        ],
    ),
    derived("related.ip", &["winlog.event_data.IpAddress"]),
    derived("service.name", &["winlog.event_data.ServiceName"]),
    derived("service.type", &["winlog.event_data.ServiceType"]),
    derived(
        "source.ip",
        &["winlog.event_data.IpAddress", "winlog.event_data.SourceAddress"],
    ),
    derived(
        "source.port",
        &["winlog.event_data.IpPort", "winlog.event_data.SourcePort"],
    ),
    derived("source.domain", &["winlog.event_data.WorkstationName"]),
    derived("destination.ip", &["winlog.event_data.DestAddress"]),
    derived("destination.port", &["winlog.event_data.DestPort"]),
    derived("network.iana_number", &["winlog.event_data.Protocol"]),
    derived("network.transport", &["winlog.event_data.Protocol"]),
    derived("network.direction", &["winlog.event_data.Direction"]),
    derived(
        "network.community_id",
        &["winlog.event_data.SourceAddress", "winlog.event_data.DestAddress"],
    ),
    derived(
        "process.pid",
        &["winlog.event_data.ProcessId", "winlog.event_data.NewProcessId"],
    ),
    derived(
        "process.executable",
        &[
            "winlog.event_data.ProcessName",
            "winlog.event_data.NewProcessName",
        ],
    ),
    derived(
        "process.name",
        &[
            "winlog.event_data.ProcessName",
            "winlog.event_data.NewProcessName",
        ],
    ),
    derived("process.command_line", &["winlog.event_data.CommandLine"]),
    derived("process.args", &["winlog.event_data.CommandLine"]),
    derived(
        "process.parent.*",
        &[
            "winlog.event_data.ParentProcessName",
            "winlog.event_data.ProcessId",
        ],
    ),
    derived(
        "file.*",
        &[
            "winlog.event_data.RelativeTargetName",
            "winlog.event_data.ShareLocalPath",
        ],
    ),
];

/// The providers whose events this module knows.
pub(super) fn knows_provider(name: &str) -> bool {
    matches!(
        name,
        "Microsoft-Windows-Security-Auditing" | "Microsoft-Windows-Eventlog"
    )
}

pub(super) fn normalize(event: &Event<'_>) {
    let document = event.document;
    let provider = event.winlog.text_at("provider_name");
    if provider.is_none_or(knows_provider) {
        classify(event);
        descriptions(event);
        failure(event);
        session(event);
        target_user(event);
        group_member(event);
        computer(event);
        if event.is(&["4634", "4647", "4964"]) {
            event.copy("TargetLogonId", "winlog.logon.id");
        }
        subject_user(event);
        target_of_action(event);
        effective_user(event);
        user_data(event);
        event.copy("SubjectLogonId", "winlog.logon.id");
        if event.code == "1102" {
            document.copy("winlog.user_data.SubjectLogonId", "winlog.logon.id");
        }
        common_fields(event);
        connection(event);
        created_process(event);
        related_users(event);
        share(event);
        if let Some(direction) = event.data.remove("DirectionDescription").and_then(Value::as_text) {
            document.put_text("network.direction", document.text(&direction.to_lowercase()));
        }
        community_id::set(document);
    }
    if let Some(mapped) = document
        .text_at("source.ip")
        .and_then(|ip| ip.strip_prefix("::ffff:"))
    {
        document.put_text("source.ip", mapped);
    }
    if let Some(ip) = document.text_at("source.ip").filter(|ip| *ip != "-") {
        document.append_new("related.ip", Value::Text(ip));
    }
    document.put_text("ecs.version", if event.forwarded { "8.0.0" } else { "8.11.0" });
    document.copy("winlog.level", "log.level");
    event.created();
}

fn classify(event: &Event<'_>) {
    if let Some((action, categories, types)) = tables::class_of(event.code) {
        event.document.put_texts("event.category", categories);
        event.document.put_texts("event.type", types);
        event.document.put_text("event.action", action);
    }
}

/// Codes of the event data in words.
fn descriptions<'a>(event: &Event<'a>) {
    let (document, data) = (event.document, event.data);
    let describe = |name: &'a str, words: Option<&'a str>| {
        if let Some(words) = words {
            data.set(name, Value::Text(words));
        }
    };
    if let Some(kind) = event.text("LogonType").and_then(tables::logon_type) {
        document.put_text("winlog.logon.type", kind);
    }
    let flags = |text: &str, table: &[(u32, &'static str)]| -> Vec<&'static str> {
        let value = decode_long(Value::Text(text)).unwrap_or(0);
        table
            .iter()
            .filter(|(flag, _)| value & i64::from(*flag) == i64::from(*flag))
            .map(|(_, name)| *name)
            .collect()
    };
    let set_list = |name: &'a str, words: &[&'a str]| {
        if !words.is_empty() {
            data.put_texts(name, words);
        }
        !words.is_empty()
    };
    if let Some(value) = event.said("NewUacValue")
        && set_list("NewUACList", &flags(value, tables::USER_ACCOUNT_CONTROL))
        && let Some(control) = event.said("UserAccountControl")
    {
        let codes: Vec<&str> = control
            .split("%%")
            .map(str::trim)
            .filter(|code| !code.is_empty())
            .collect();
        data.put_texts("UserAccountControl", &codes);
    }
    if let Some(options) = event.text("TicketOptions") {
        set_list(
            "TicketOptionsDescription",
            &flags(options, tables::TICKET_OPTIONS),
        );
    }
    describe(
        "TicketEncryptionTypeDescription",
        event
            .text("TicketEncryptionType")
            .and_then(tables::encryption_type),
    );
    if event.is(&["4768", "4769", "4770", "4771"]) {
        describe(
            "StatusDescription",
            event.text("Status").and_then(tables::kerberos_status),
        );
    }
    event.copy("ServiceName", "service.name");
    if let Some(kind) = event.text("ServiceType").and_then(tables::service_type) {
        document.put_text("service.type", kind);
    }
    if let Some((category, subcategory)) = event.text("SubcategoryGuid").and_then(tables::audit_category) {
        describe("Category", Some(category));
        describe("SubCategory", Some(subcategory));
    }
    let message = |code: &str| tables::message(code.replace("%%", "").trim());
    if let Some(reason) = event.text("FailureReason").and_then(message) {
        document.put_text("winlog.logon.failure.reason", reason);
    }
    for (name, description, separator) in [
        ("AuditPolicyChanges", "AuditPolicyChangesDescription", ','),
        ("AccessList", "AccessListDescription", ' '),
    ] {
        if let Some(list) = event.text(name) {
            set_list(
                description,
                &list.split(separator).filter_map(message).collect::<Vec<_>>(),
            );
        }
    }
    describe("DirectionDescription", event.text("Direction").and_then(message));
    describe("LayerNameDescription", event.text("LayerName").and_then(message));
    if let Some(mask) = event.text("AccessMask") {
        let mut words: Vec<&str> = Vec::new();
        for part in mask.split_whitespace() {
            for word in flags(&part.replace("%%", ""), tables::ACCESS_MASK) {
                if !words.contains(&word) {
                    words.push(word);
                }
            }
        }
        set_list("AccessMaskDescription", &words);
    }
    for (name, description) in [
        ("RemoteMachineID", "RemoteMachineDescription"),
        ("RemoteUserID", "RemoteUserDescription"),
    ] {
        describe(description, event.text(name).and_then(tables::known_sid));
    }
    for (name, field, words) in [
        (
            "TdoType",
            "winlog.trustType",
            tables::trust_type as fn(&str) -> Option<&'static str>,
        ),
        ("TdoDirection", "winlog.trustDirection", tables::trust_direction),
        ("TdoAttributes", "winlog.trustAttribute", tables::trust_attribute),
    ] {
        if let Some(words) = event.text(name).and_then(words) {
            document.put_text(field, words);
        }
    }
}

/// Why a logon failed.
fn failure(event: &Event<'_>) {
    if !event.is(&["4625", "4776"]) || event.text("Status").is_none() {
        return;
    }
    for (name, field) in [
        ("Status", "winlog.logon.failure.status"),
        ("SubStatus", "winlog.logon.failure.sub_status"),
    ] {
        if let Some(words) = event.text(name).and_then(tables::logon_status) {
            event.document.put_text(field, words);
        }
    }
}

/// Sessions that are reconnected or disconnected.
fn session(event: &Event<'_>) {
    if !event.is(&["4778", "4779"]) {
        return;
    }
    let document = event.document;
    event.copy("AccountName", "user.name");
    if let Some(name) = event.text("AccountName") {
        event.related_user(name);
    }
    event.copy("AccountDomain", "user.domain");
    if let Some(address) = client_address(event) {
        document.put_text("source.ip", address);
        document.append_new("related.ip", Value::Text(address));
    }
    event.copy("ClientName", "source.domain");
    event.copy("LogonID", "winlog.logon.id");
}

/// The address of a client; `LOCAL` stands for the machine itself.
fn client_address<'a>(event: &Event<'a>) -> Option<&'a str> {
    match event.said("ClientAddress")? {
        "Unknown" => None,
        "LOCAL" => {
            event.data.set("ClientAddress", Value::Text("127.0.0.1"));
            Some("127.0.0.1")
        }
        address => Some(address),
    }
}

/// The name before the `@`.
fn local_part(name: &str) -> &str {
    name.split_once('@').map_or(name, |(local, _)| local)
}

/// The account that logs on is the user or, where the record says who asked for it, the target.
fn target_user<'a>(event: &Event<'a>) {
    if !event.is(&[
        "4624", "4625", "4634", "4647", "4648", "4768", "4769", "4770", "4771", "4776", "4964",
    ]) {
        return;
    }
    let place = |first: &'a str, second: &'a str, value: &'a str| {
        if !event.document.put_new(first, Value::Text(value)) {
            event.document.put_text(second, value);
        }
    };
    if let Some(id) = event.text("TargetUserSid").or_else(|| event.text("TargetSid")) {
        place("user.id", "user.target.id", id);
    }
    if let Some(name) = event.text("TargetUserName").map(local_part) {
        place("user.name", "user.target.name", name);
        event.document.append_new("related.user", Value::Text(name));
    }
    if let Some(domain) = event.text("TargetDomainName") {
        place("user.domain", "user.target.domain", domain);
    }
}

/// Groups and who enters and leaves them.
fn group_member(event: &Event<'_>) {
    let of_groups = matches!(
        event.code,
        "4727" | "4728" | "4729" | "4730" | "4731" | "4732" | "4733" | "4734" | "4735" | "4737" | "4799"
    ) || matches!(event.code.parse::<u32>(), Ok(4744..=4764));
    if !of_groups {
        return;
    }
    let document = event.document;
    let without = |text: &str, prefix: &str| {
        document.text(&text.replace(prefix, "").replace(&prefix.to_lowercase(), ""))
    };
    if let Some(member) = event.text("MemberName") {
        // A comma behind a backslash belongs to the name.
        let mut escaped = false;
        let mut parts = member.split(|letter: char| {
            let separates = letter == ',' && !escaped;
            escaped = letter == '\\';
            separates
        });
        let name = without(parts.next().unwrap_or(""), "CN=");
        document.put_text("user.target.name", name);
        document.append_new("related.user", Value::Text(name));
        if let Some(domain) = parts.nth(2) {
            document.put_text("user.target.domain", without(domain, "DC="));
        }
    }
    event.copy("TargetUserSid", "group.id");
    event.copy("TargetSid", "group.id");
    event.copy("TargetUserName", "group.name");
    if let Some(domain) = event.text("TargetDomainName") {
        document.put_text("group.domain", without(domain, "DC="));
    }
    if document.at("user.target").is_some() {
        for (from, to) in [
            ("group.id", "user.target.group.id"),
            ("group.name", "user.target.group.name"),
            ("group.domain", "user.target.group.domain"),
        ] {
            document.copy(from, to);
        }
    }
}

fn computer(event: &Event<'_>) {
    if event.is(&["4741", "4742", "4743"]) {
        event.copy("TargetSid", "winlog.computerObject.id");
        event.copy("TargetUserName", "winlog.computerObject.name");
        event.copy("TargetDomainName", "winlog.computerObject.domain");
    }
}

/// The account that acted.
fn subject_user(event: &Event<'_>) {
    let acted = matches!(
        event.code,
        "4657"
            | "4662"
            | "4670"
            | "4672"
            | "4673"
            | "4674"
            | "4688"
            | "4689"
            | "4697"
            | "4698"
            | "4699"
            | "4700"
            | "4701"
            | "4702"
            | "4706"
            | "4707"
            | "4713"
            | "4716"
            | "4717"
            | "4718"
            | "4719"
            | "4720"
            | "4767"
            | "4781"
            | "4797"
            | "4798"
            | "4799"
            | "4817"
            | "4904"
            | "4905"
            | "4907"
            | "4912"
            | "4648"
            | "5136"
            | "5140"
            | "5145"
            | "5379"
            | "5380"
            | "5381"
            | "5382"
    ) || matches!(event.code.parse::<u32>(), Ok(4722..=4735 | 4737..=4764));
    if acted {
        event.copy("SubjectUserSid", "user.id");
        event.copy("SubjectUserName", "user.name");
        if let Some(name) = event.text("SubjectUserName") {
            event.document.append_new("related.user", Value::Text(name));
        }
        event.copy("SubjectDomainName", "user.domain");
    }
}

/// The account that something was done to.
fn target_of_action(event: &Event<'_>) {
    if event.is(&[
        "4670", "4720", "4722", "4723", "4724", "4725", "4726", "4738", "4740", "4767", "4797", "4798",
        "4817", "4907",
    ]) {
        account_fields(
            event,
            "TargetSid",
            ["user.target.id", "user.target.name", "user.target.domain"],
        );
    }
}

/// The account under which a process or a logon goes on.
fn effective_user(event: &Event<'_>) {
    if event.is(&["4648", "4688"]) {
        account_fields(
            event,
            "TargetUserSid",
            [
                "user.effective.id",
                "user.effective.name",
                "user.effective.domain",
            ],
        );
    }
}

fn account_fields(event: &Event<'_>, sid: &str, [id_field, name_field, domain_field]: [&'static str; 3]) {
    if let Some(id) = event.said(sid) {
        event.document.put_text(id_field, id);
    }
    if let Some(name) = event.said("TargetUserName").map(local_part) {
        event.document.put_text(name_field, name);
        event.related_user(name);
    }
    if let Some(domain) = event.said("TargetDomainName") {
        event.document.put_text(domain_field, domain);
    }
}

/// Who cleared the log.
fn user_data(event: &Event<'_>) {
    if event.code != "1102" {
        return;
    }
    let document = event.document;
    document.copy("winlog.user_data.SubjectUserSid", "user.id");
    document.copy("winlog.user_data.SubjectUserName", "user.name");
    document.copy("winlog.user_data.SubjectDomainName", "user.domain");
    if let Some(name) = document.at("winlog.user_data.SubjectUserName") {
        document.append_new("related.user", name);
    }
}

/// Process and source of events that have these under their common names.
fn common_fields(event: &Event<'_>) {
    let common = matches!(
        event.code,
        "1100"
            | "1102"
            | "1104"
            | "1105"
            | "1108"
            | "4624"
            | "4648"
            | "4625"
            | "4670"
            | "4673"
            | "4674"
            | "4689"
            | "4697"
            | "4719"
            | "4720"
            | "4740"
            | "4767"
            | "4768"
            | "4769"
            | "4770"
            | "4771"
            | "4798"
            | "4799"
            | "4817"
            | "4904"
            | "4905"
            | "4907"
            | "4912"
            | "5140"
            | "5145"
    ) || matches!(
        event.code.parse::<u32>(),
        Ok(4722..=4735 | 4737 | 4738 | 4741..=4764)
    );
    if !common {
        return;
    }
    take_long(event, "ProcessId", "process.pid");
    take(event, "ProcessName", "process.executable");
    if event.said("IpAddress").is_some() {
        take(event, "IpAddress", "source.ip");
    }
    if event.said("IpPort").is_some() {
        take_long(event, "IpPort", "source.port");
    }
    take(event, "WorkstationName", "source.domain");
    if let Some(address) = client_address(event) {
        event.document.put_text("related.ip", address);
        event.data.remove("ClientAddress");
    }
    process_name(event, "process.executable", "process.name");
}

fn take<'a>(event: &Event<'a>, name: &str, field: &'a str) {
    if event.text(name).is_some()
        && let Some(value) = event.data.remove(name)
    {
        event.document.put(field, value);
    }
}

fn take_long<'a>(event: &Event<'a>, name: &str, field: &'a str) {
    if let Some(number) = event.data.get(name).and_then(decode_long) {
        event.document.put(field, Value::Int(number));
        event.data.remove(name);
    }
}

fn process_name<'a>(event: &Event<'a>, executable: &str, name: &'a str) {
    if let Some(path) = event.document.text_at(executable) {
        event.document.put_new(name, Value::Text(base_name(path)));
    }
}

/// The Windows filtering platform.
fn connection(event: &Event<'_>) {
    if !event.is(&["5152", "5156", "5157", "5158"]) {
        return;
    }
    let document = event.document;
    for (name, field) in [("DestAddress", "destination.ip"), ("SourceAddress", "source.ip")] {
        if let Some(address) = event.said(name) {
            document.put_text(field, address);
            document.append_new("related.ip", Value::Text(address));
            event.data.remove(name);
        }
    }
    take_long(event, "DestPort", "destination.port");
    take_long(event, "SourcePort", "source.port");
    if let Some(protocol) = event.said("Protocol") {
        document.put_text("network.iana_number", protocol);
        if let Some(transport) = tables::transport(protocol) {
            document.put_new("network.transport", Value::Text(transport));
        }
    }
    if event.said("Application").is_some() {
        take(event, "Application", "process.executable");
    }
    process_name(event, "process.executable", "process.name");
}

fn created_process(event: &Event<'_>) {
    if event.code != "4688" {
        return;
    }
    let document = event.document;
    take_long(event, "NewProcessId", "process.pid");
    take(event, "NewProcessName", "process.executable");
    take(event, "ParentProcessName", "process.parent.executable");
    process_name(event, "process.executable", "process.name");
    process_name(event, "process.parent.executable", "process.parent.name");
    event.long("ProcessId", "process.parent.pid");
    if let Some(line) = event.text("CommandLine") {
        let words = quoted_words(line);
        document.put(
            "process.args_count",
            Value::Int(i64::try_from(words.len()).unwrap_or(i64::MAX)),
        );
        document.put_texts("process.args", &words);
        document.put_text("process.command_line", line);
    }
    if let Some(name) = event.said("TargetUserName") {
        event.related_user(name);
    }
}

/// Splits at white space outside of quotes; quotes stay.
fn quoted_words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut quoted = false;
    let mut start = 0;
    for (at, letter) in line.char_indices() {
        if letter == '"' {
            quoted = !quoted;
        }
        if letter.is_whitespace() && !quoted {
            words.extend(line.get(start..at));
            start = at + letter.len_utf8();
        }
    }
    words.extend(line.get(start..));
    words
}

fn related_users(event: &Event<'_>) {
    if event.is(&["4624", "4648", "4797", "5379", "5380", "5381", "5382"])
        && let Some(name) = event.said("SubjectUserName")
    {
        event.related_user(name);
    }
    if event.is(&[
        "4688", "4720", "4722", "4723", "4724", "4725", "4726", "4738", "4740", "4767", "4797", "4798",
    ]) && let Some(name) = event.said("TargetUserName")
    {
        event.related_user(name);
    }
    if event.is(&["4672", "4673", "4674", "4741", "4742", "4743"])
        && let Some(list) = event.text("PrivilegeList")
    {
        let privileges: Vec<&str> = list.split_whitespace().collect();
        event.data.put_texts("PrivilegeList", &privileges);
    }
    event.copy("OldTargetUserName", "user.target.name");
    event.copy("NewTargetUserName", "user.changes.name");
    for name in ["NewTargetUserName", "OldTargetUserName"] {
        if let Some(name) = event.said(name) {
            event.related_user(name);
        }
    }
}

/// Files on network shares.
fn share(event: &Event<'_>) {
    if !event.is(&["5140", "5145"]) {
        return;
    }
    let document = event.document;
    event.copy("RelativeTargetName", "file.name");
    event.copy("ShareLocalPath", "file.directory");
    let Some(name) = document.text_at("file.name") else {
        return;
    };
    for (directory, field) in [
        (document.text_at("file.directory"), "file.path"),
        (event.text("ShareName"), "file.target_path"),
    ] {
        if let Some(directory) = directory {
            document.put_text(field, document.text(&[directory, name].join("\\")));
        }
    }
    if let Some((_, extension)) = name.rsplit_once('.') {
        document.put_text("file.extension", extension);
    }
}
