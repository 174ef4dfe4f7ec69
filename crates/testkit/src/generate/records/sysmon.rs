//! Events of Sysmon on Windows: <https://learn.microsoft.com/sysinternals/downloads/sysmon#events>. Their documents are
//! those of <https://www.elastic.co/docs/reference/integrations/windows>.

use super::Scene;
use super::hosts::{Form, Process, weighted};
use crate::generate::random::Random;
use crate::generate::text::Text;

mod kinds;

pub(super) use kinds::CHOICES;
use kinds::KINDS;

/// A kind of event.
struct Kind {
    weight: u32,
    /// Whether only programs that talk to the network make it.
    is_network: bool,
    code: &'static str,
    /// The category of log sources that Sigma has for it.
    source: &'static str,
    title: &'static str,
    /// `event.action`, and `event.category` and `event.type` as JSON.
    classes: [&'static str; 3],
    /// The event data by name. Numbers are numbers in the flat form.
    data: &'static [(&'static str, &'static str)],
    /// What stands in the document beside what all have.
    members: &'static str,
    /// Those of the event data that stay event data in the document.
    kept: &'static [&'static str],
}

/// Writes one event.
pub(super) fn sysmon(form: Form, scene: &mut Scene, random: &mut Random, text: &mut Text) {
    let Some(kind) = weighted(KINDS, |kind| kind.weight, random) else {
        return;
    };
    if kind.is_network {
        scene.process = Process::networked(scene, random);
    }
    let scene = &*scene;
    let mut put = |template: &str, text: &mut Text| scene.write(template, random, text, 0);
    match form {
        Form::Flat => {
            put(
                r#"{"UtcTime":"<utc>","Channel":"Microsoft-Windows-Sysmon/Operational","Provider_Name":"Microsoft-Windows-Sysmon","EventID":"#,
                text,
            );
            put(kind.code, text);
            put(
                r#","Computer":"ws-<host>.corp.example.com","EventRecordID":<serial>,"Level":4,"Task":"#,
                text,
            );
            put(kind.code, text);
            put(r#","Version":5"#, text);
            for (name, value) in kind.data.iter().filter(|(name, _)| *name != "UtcTime") {
                let quote = if is_number(name) { "" } else { "\"" };
                text.put(&[",\"", name, "\":", quote]);
                put(value, text);
                text.put(&[quote]);
            }
        }
        Form::Ecs | Form::Agent => {
            let is_ecs = form == Form::Ecs;
            let [action, category, types] = kind.classes;
            put(
                r#"{"@timestamp":"<millis>","agent":{"id":"<hostid>","name":"ws-<host>","type":"winlogbeat","version":"8.17.1"},"ecs":{"version":"8.0.0"},"event":{"#,
                text,
            );
            if is_ecs {
                text.put(&[r#""action":""#, action, r#"","category":"#, category, ","]);
            }
            text.put(&[r#""code":""#, kind.code]);
            put(r#"","created":"<millis>","#, text);
            if is_ecs {
                text.put(&[
                    r#""dataset":"windows.sysmon_operational","kind":"event","module":"windows","type":"#,
                    types,
                    ",",
                ]);
            } else {
                text.put(&[r#""kind":"event","#]);
            }
            put(
                r#""provider":"Microsoft-Windows-Sysmon"},"host":{"architecture":"x86_64","hostname":"ws-<host>","id":"<hostid>","ip":["10.40.0.<host>"],"name":"ws-<host>.corp.example.com","os":{"build":"19045.4046","family":"windows","kernel":"10.0.19041.4046","name":"Windows 10 Enterprise","platform":"windows","type":"windows","version":"10.0"}},"log":{"level":"information"},"message":""#,
                text,
            );
            text.put(&[kind.title, ":"]);
            for (name, value) in kind.data {
                text.put(&["\\n", name, ": "]);
                put(value, text);
            }
            text.put(&["\""]);
            if is_ecs {
                text.put(&[","]);
                put(kind.members, text);
                put(
                    r#","user":{"domain":"<domain>","id":"S-1-5-18","name":"<account name>"}"#,
                    text,
                );
            }
            put(
                r#","winlog":{"api":"wineventlog","channel":"Microsoft-Windows-Sysmon/Operational","computer_name":"ws-<host>.corp.example.com","event_data":{"#,
                text,
            );
            let kept = |name: &&str| !is_ecs || kind.kept.contains(name);
            for (position, (name, value)) in kind.data.iter().filter(|(name, _)| kept(name)).enumerate() {
                text.put(&[if position == 0 { "\"" } else { ",\"" }, name, "\":\""]);
                put(value, text);
                text.put(&["\""]);
            }
            text.put(&[r#"},"event_id":""#, kind.code]);
            put(
                r#"","opcode":"Info","process":{"pid":3184,"thread":{"id":<below 9000 thread>}},"provider_guid":"{5770385F-C22A-43E0-BF4C-06F5698FFBD9}","provider_name":"Microsoft-Windows-Sysmon","record_id":<serial>,"task":""#,
                text,
            );
            text.put(&[kind.title]);
            put(
                r#"","user":{"domain":"NT AUTHORITY","identifier":"S-1-5-18","name":"SYSTEM","type":"User"},"version":5}"#,
                text,
            );
        }
    }
    text.put(&[
        r#","labels":{"product":"windows","category":""#,
        kind.source,
        r#""}}"#,
    ]);
}

fn is_number(name: &str) -> bool {
    name.ends_with("Id") && name != "LogonId" || name.ends_with("Port")
}
