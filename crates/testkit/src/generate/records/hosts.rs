//! Processes of hosts, and the forms in which collectors ship their events. One seed gives the same events in all forms.

use super::Scene;
use super::programs::{LINUX_ATTACKS, LINUX_PROGRAMS, Program, WINDOWS_ATTACKS, WINDOWS_PROGRAMS};
use crate::generate::random::Random;
use crate::generate::text::Text;

/// Of a million events so many have a process of an attack.
const ATTACKS_PER_MILLION: u64 = 500;

/// How the events of hosts are shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The ECS document that an integration makes.
    Ecs,
    /// The document of an agent, before an integration sees it: `winlog.event_data.*`.
    Agent,
    /// One flat object with the names that Sysmon gives.
    Flat,
}

/// Whose processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    Windows,
    Linux,
}

/// Accounts that run services: domain, name, identifier, integrity of their processes.
const WINDOWS_ACCOUNTS: &[[&str; 4]] = &[
    ["NT AUTHORITY", "SYSTEM", "S-1-5-18", "System"],
    ["NT AUTHORITY", "LOCAL SERVICE", "S-1-5-19", "System"],
    ["NT AUTHORITY", "NETWORK SERVICE", "S-1-5-20", "System"],
];

/// The same on Linux, where a number is the identifier.
const LINUX_ACCOUNTS: &[[&str; 4]] = &[
    ["", "root", "0", ""],
    ["", "www-data", "33", ""],
    ["", "postgres", "70", ""],
    ["", "app", "998", ""],
];

/// Programs of Windows that talk to the network.
const NETWORKED: &[&str] = &["chrome.exe", "msedge.exe", "Teams.exe", "Zoom.exe", "git.exe"];

/// A process of an event, as text that stands inside JSON strings.
#[derive(Default)]
pub(super) struct Process {
    path: String,
    line: String,
    parent_path: String,
    parent_line: String,
    about: [&'static str; 4],
    account: [&'static str; 4],
}

impl Process {
    /// The process of an event.
    pub(super) fn new(system: System, scene: &Scene, random: &mut Random) -> Self {
        let attacks = random.below(1_000_000) < ATTACKS_PER_MILLION;
        let (programs, accounts) = match (system, attacks) {
            (System::Windows, false) => (WINDOWS_PROGRAMS, WINDOWS_ACCOUNTS),
            (System::Windows, true) => (WINDOWS_ATTACKS, WINDOWS_ACCOUNTS),
            (System::Linux, false) => (LINUX_PROGRAMS, LINUX_ACCOUNTS),
            (System::Linux, true) => (LINUX_ATTACKS, LINUX_ACCOUNTS),
        };
        match weighted(programs, |program| program.weight, random) {
            Some(program) => Self::of(program, accounts, system, scene, random),
            None => Self::default(),
        }
    }

    /// A process of Windows that talks to the network.
    pub(super) fn networked(scene: &Scene, random: &mut Random) -> Self {
        let weight = |program: &Program| match NETWORKED.contains(&file_name(program.path)) {
            true => program.weight,
            false => 0,
        };
        match weighted(WINDOWS_PROGRAMS, weight, random) {
            Some(program) => Self::of(program, WINDOWS_ACCOUNTS, System::Windows, scene, random),
            None => Self::default(),
        }
    }

    fn of(
        program: &Program,
        accounts: &[[&'static str; 4]],
        system: System,
        scene: &Scene,
        random: &mut Random,
    ) -> Self {
        let line = random.pick(program.lines).copied().unwrap_or_default();
        let person = match system {
            System::Windows => [
                "CORP",
                scene.user,
                "S-1-5-21-1004336348-1177238915-682003330-1104",
                "Medium",
            ],
            System::Linux => ["", scene.user, "1000", ""],
        };
        Self {
            path: scene.render(program.path),
            line: scene.render(line),
            parent_path: scene.render(program.parent.0),
            parent_line: scene.render(program.parent.1),
            about: program.about,
            account: program
                .user
                .and_then(|user| accounts.get(user))
                .copied()
                .unwrap_or(person),
        }
    }

    /// Writes a part of the process; whether there is one of this name.
    pub(super) fn fill(&self, name: &str, text: &mut Text) -> bool {
        let [original, description, product, company] = self.about;
        let [domain, account, identifier, integrity] = self.account;
        let digest = |salt: u64, length| Random::new(seed_of(&self.path) ^ salt).hex(length);
        match name {
            "image" => text.put(&[&self.path]),
            "image name" => text.put(&[file_name(&self.path)]),
            "line" => text.put(&[&self.line]),
            "args" => arguments(&self.line, text),
            "parent image" => text.put(&[&self.parent_path]),
            "parent name" => text.put(&[file_name(&self.parent_path)]),
            "parent line" => text.put(&[&self.parent_line]),
            "parent args" => arguments(&self.parent_line, text),
            "original" => text.put(&[original]),
            "description" => text.put(&[description]),
            "product" => text.put(&[product]),
            "company" => text.put(&[company]),
            "domain" => text.put(&[domain]),
            "account name" => text.put(&[account]),
            "identifier" => text.put(&[identifier]),
            "integrity" => text.put(&[integrity]),
            "md5" => text.put(&[&digest(1, 32)]),
            "sha256" => text.put(&[&digest(2, 64)]),
            "imphash" => text.put(&[&digest(3, 32)]),
            _ => return false,
        };
        true
    }
}

/// One of the items, each as often as its weight says.
pub(super) fn weighted<'a, T>(
    items: &'a [T],
    weight: impl Fn(&T) -> u32,
    random: &mut Random,
) -> Option<&'a T> {
    let total = items.iter().map(|item| u64::from(weight(item))).sum();
    let mut left = random.below(total);
    items.iter().find(|item| {
        let weight = u64::from(weight(item));
        let found = left < weight;
        left = left.saturating_sub(weight);
        found
    })
}

/// A number for a name (FNV-1a): what is drawn from it is the same wherever the name stands.
pub(super) fn seed_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn file_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}

/// The words of a command line, as the items of a JSON array.
fn arguments<'t>(line: &str, text: &'t mut Text) -> &'t mut Text {
    let mut quoted = false;
    let mut open = false;
    let mut is_first = true;
    let mut rest = line;
    while let Some(letter) = rest.chars().next() {
        let (piece, behind) = match rest.strip_prefix("\\\"") {
            Some(behind) => {
                quoted = !quoted;
                ("", behind)
            }
            None => rest.split_at(letter.len_utf8()),
        };
        rest = behind;
        if piece == " " && !quoted {
            text.put(&[if open { "\"" } else { "" }]);
            open = false;
            continue;
        }
        if !open {
            text.put(&[if is_first { "\"" } else { ",\"" }]);
            (open, is_first) = (true, false);
        }
        text.put(&[piece]);
    }
    text.put(&[if open { "\"" } else { "" }])
}

/// The start of a process on Linux.
pub(super) fn linux_process(form: Form, scene: &Scene, random: &mut Random, text: &mut Text) {
    let template = match form {
        Form::Flat => FLAT_LINUX,
        Form::Ecs | Form::Agent => ECS_LINUX,
    };
    scene.write(template, random, text, 0);
}

const ECS_LINUX: &str = r#"{"@timestamp":"<millis>","event":{"action":"exec","category":["process"],"id":"<hex 20 event>","kind":"event","module":"endpoint","type":["start"]},"host":{"id":"<hostid>","name":"node-<host>","os":{"type":"linux"}},"process":{"args":[<args>],"command_line":"<line>","entity_id":"<hex 24 entity>","executable":"<image>","name":"<image name>","parent":{"command_line":"<parent line>","entity_id":"<hex 24 parent entity>","executable":"<parent image>","name":"<parent name>","pid":<parent>},"pid":<pid>,"working_directory":"/srv/app"},"user":{"id":"<identifier>","name":"<account name>"}}"#;

/// The names of Sysmon for Linux: <https://github.com/microsoft/SysmonForLinux>.
const FLAT_LINUX: &str = r#"{"UtcTime":"<utc>","EventID":1,"Channel":"Linux-Sysmon/Operational","ProviderName":"Linux-Sysmon","Computer":"node-<host>","RuleName":"-","ProcessGuid":"{<guid p>}","ProcessId":<pid>,"Image":"<image>","FileVersion":"-","Description":"-","Product":"-","Company":"-","OriginalFileName":"-","CommandLine":"<line>","CurrentDirectory":"/srv/app","User":"<account name>","LogonGuid":"{<guid logon>}","LogonId":<identifier>,"TerminalSessionId":3,"IntegrityLevel":"no level","Hashes":"-","ParentProcessGuid":"{<guid parent>}","ParentProcessId":<parent>,"ParentImage":"<parent image>","ParentCommandLine":"<parent line>","ParentUser":"<account name>"}"#;
