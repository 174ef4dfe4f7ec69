//! The kinds of problems that a rule file can have.

use neph_diag::{Code, Severity};

/// All codes of this crate.
pub const CODES: &[&Code] = &[
    &SYNTAX,
    &KEY_UNKNOWN,
    &KEY_MISSING,
    &KEY_NOT_HONOURED,
    &KEY_NO_EFFECT,
    &KEY_OTHER_TYPE,
    &VALUE_TYPE,
    &VALUE,
    &VALUE_ODD,
    &TYPE_UNSUPPORTED,
    &QUERY_REFUSED,
    &ID_DUPLICATE,
    &THREAT,
    &VALUE_IMPOSSIBLE,
    &FIELD_IMPOSSIBLE,
    &REGEX_IMPOSSIBLE,
    &SCHEDULE,
    &EXPORT_SHORT,
    &LIST_ENTRY,
    &LIST_NAME,
    &EXPIRED,
    &RULE_TEST,
    &EXCEPTION,
    &EXCEPTIONS_MISSING,
    &OVERLAY_UNFIT,
    &OVERLAY_TWICE,
    &TEXTS_WITHOUT_RULE,
    &MUTANT_SURVIVES,
];

/// The file cannot be read as TOML or JSON.
pub(crate) static SYNTAX: Code = Code {
    name: "rule-syntax",
    severity: Severity::Error,
    summary: "the file is not valid TOML, JSON, YAML or CSV",
    explanation: "A rule file is TOML (`*.toml`), JSON (`*.json`) or one JSON object a line (`*.ndjson`). The place where \
reading failed is shown; in TOML, reading goes on behind it, so that one run shows every such place.

```toml
name = \"no closing quote
```

In a query the literal string `'''…'''` is the best choice: nothing in it has to be escaped.",
};

/// A key that the format does not have.
pub(crate) static KEY_UNKNOWN: Code = Code {
    name: "rule-key-unknown",
    severity: Severity::Warning,
    summary: "the rule has a key that its format does not know",
    explanation: "The key is not read, so what it says does not happen. Often it is a slip of the pen:

```toml
[rule]
risk_scores = 47   # `risk_score`
```

Elastic's rule schema is described at
<https://www.elastic.co/docs/solutions/security/detect-and-alert/create-detection-rule>.",
};

/// A key that must be there is not.
pub(crate) static KEY_MISSING: Code = Code {
    name: "rule-key-missing",
    severity: Severity::Error,
    summary: "the rule lacks a key that it must have",
    explanation: "A rule needs `rule_id`, `name`, `description`, `type`, `severity`, `risk_score` and, unless it is a machine \
learning rule, `query`. In a TOML file they stand in the table `[rule]`.",
};

/// A key whose meaning is not honoured yet.
pub(crate) static KEY_NOT_HONOURED: Code = Code {
    name: "rule-key-not-honoured",
    severity: Severity::Warning,
    summary: "the rule asks for something that is not done yet",
    explanation: "The rule runs, but without what this key asks for, so it may alert more often or on more events than its \
author wanted. Such a rule is *degraded* in the load report, never silently active.",
};

/// Keys that change nothing.
pub(crate) static KEY_NO_EFFECT: Code = Code {
    name: "rule-key-no-effect",
    severity: Severity::Info,
    summary: "the rule has keys that change nothing here",
    explanation: "Some keys are Kibana's own book-keeping (when a rule was saved and by whom, which index alerts go to) or \
describe what Kibana does besides detection. They are known and read, and nothing depends on them.",
};

/// A key that belongs to rules of another type.
pub(crate) static KEY_OTHER_TYPE: Code = Code {
    name: "rule-key-of-other-type",
    severity: Severity::Warning,
    summary: "the rule has a key that only rules of another type have",
    explanation: "For example `threshold` in a rule of type `eql`. The key is not read: either it or the `type` is wrong.",
};

/// A value of the wrong kind.
pub(crate) static VALUE_TYPE: Code = Code {
    name: "rule-value-type",
    severity: Severity::Error,
    summary: "a value is of the wrong kind",
    explanation: "A number where a string is needed, a string where a list is needed, and so on.

```toml
risk_score = \"47\"   # a number: 47
tags = \"linux\"      # a list: [\"linux\"]
```",
};

/// A value that is not allowed.
pub(crate) static VALUE: Code = Code {
    name: "rule-value",
    severity: Severity::Error,
    summary: "a value is not one of those allowed",
    explanation: "`severity` is `low`, `medium`, `high` or `critical`; `risk_score` lies between 0 and 100; `interval` is a \
number and one of `s`, `m`, `h`, `d` (`5m`); `from` is date math (`now-9m`); `max_signals` is at least 1.",
};

/// A value that is allowed but unusual.
pub(crate) static VALUE_ODD: Code = Code {
    name: "rule-value-odd",
    severity: Severity::Warning,
    summary: "a value is allowed, but probably not what is meant",
    explanation: "For example a `rule_id` that is no UUID, which another author may have chosen too, or `language = \"kuery\"` \
in a rule of type `eql`.",
};

/// A rule type that does not run yet.
pub(crate) static TYPE_UNSUPPORTED: Code = Code {
    name: "rule-type-unsupported",
    severity: Severity::Error,
    summary: "rules of this type do not run yet",
    explanation: "Rules of the types `eql`, `query`, `new_terms`, `threshold` and `threat_match` run. The types `saved_query`, \
`esql` and `machine_learning` are recognised and listed in the load report, each by its name; their rules are rejected.",
};

/// The engine cannot run the query.
pub(crate) static QUERY_REFUSED: Code = Code {
    name: "rule-query-refused",
    severity: Severity::Error,
    summary: "the query is understood, but too large to be run",
    explanation: "The query follows the language, but the engine cannot run it: its conditions are nested too deep, or a \
regular expression in it grows too large. Split it into several rules, or put the alternatives into one list.",
};

/// Two rules have one id.
pub(crate) static ID_DUPLICATE: Code = Code {
    name: "rule-id-duplicate",
    severity: Severity::Error,
    summary: "another rule has the same `rule_id`",
    explanation: "Alerts are told apart by the id of their rule, so two rules must not share one. The rule that was read first \
(files in the order of their paths) stays; this one is rejected. Give it an id of its own, for example from `uuidgen`.",
};

/// The ATT&CK mapping is wrong in itself.
pub(crate) static THREAT: Code = Code {
    name: "rule-threat",
    severity: Severity::Warning,
    summary: "the ATT&CK mapping does not fit together",
    explanation: "Tactics are `TA` and four digits, techniques `T` and four digits, sub-techniques their technique's id, a dot \
and three digits; the `reference` is the page of that id. Ids and names are compared with the version of ATT&CK that is built in: \
whether it has them, whether they are still in use, and whether the technique serves the tactic it stands under. So are tags such as \
`Mitigation: M1047`, `Data Component: Snapshot Creation` and `Detection Strategy: DET0423`. The rule runs; alerts carry the mapping as \
it is written.

```toml
[[rule.threat]]
framework = \"MITRE ATT&CK\"
[rule.threat.tactic]
id = \"TA0006\"
name = \"Credential Access\"
reference = \"https://attack.mitre.org/tactics/TA0006/\"
[[rule.threat.technique]]
id = \"T1552\"
name = \"Unsecured Credentials\"
reference = \"https://attack.mitre.org/techniques/T1552/\"
```",
};

/// Interval and look-back leave a gap.
pub(crate) static SCHEDULE: Code = Code {
    name: "rule-schedule",
    severity: Severity::Warning,
    summary: "the rule looks back less than its interval",
    explanation: "Where a rule runs every 10 minutes and looks at the last 5, an engine that runs on schedule never sees half \
of the events. Here every event is seen once, whatever the schedule says, but nothing later than the watermark is waited for: \
the lateness that a rule tolerates is `from` minus `interval`.",
};

/// An export file holds fewer rules than it says.
pub(crate) static EXPORT_SHORT: Code = Code {
    name: "rule-export-short",
    severity: Severity::Warning,
    summary: "the export holds another number of rules than its last line says",
    explanation: "The last line of an export from Kibana counts what was exported. When the counts differ, the file was cut \
short or edited.",
};

/// An entry of a list that cannot be used.
pub(crate) static LIST_ENTRY: Code = Code {
    name: "list-entry",
    severity: Severity::Error,
    summary: "an entry of a list does not fit the list's type",
    explanation: "The entries of a list of type `cidr` are addresses and networks, those of type `regex` regular expressions. \
An entry that is neither is left out; the others count.

```yaml
type: cidr
entries:
  - 10.0.0.0/8
  - build-server   # a name is no address: keep it in a list of type `exact`
```",
};

/// A list that others cannot name, or that is not there.
pub(crate) static LIST_NAME: Code = Code {
    name: "list-name",
    severity: Severity::Error,
    summary: "the name of a list is taken, or is of no list",
    explanation: "Lists are told apart by their names: `name` in the file, and without it the file's name without its ending. Of \
two lists of one name the first counts (files in the order of their paths). A list that an overlay or an exception names must \
be given with `--lists`.",
};

/// The time of something is over.
pub(crate) static EXPIRED: Code = Code {
    name: "tuning-expired",
    severity: Severity::Warning,
    summary: "the time of a list, an overlay or an exception is over",
    explanation: "What has an `expires` in the past is not applied: the rules alert as if it were not there. Renew it with a later \
date, if its reason still holds, or remove it.",
};

/// A test file that cannot be run as it is written.
pub(crate) static RULE_TEST: Code = Code {
    name: "rule-test",
    severity: Severity::Error,
    summary: "a case of a test file cannot be run",
    explanation: "A test file stands beside its rule file as `NAME.test.yaml` and holds cases: events, and the alerts that are \
expected of them. A case that is not written as the form has it is not run, and counts as failed.

```yaml
cases:
  - name: curl asks the metadata service
    events:
      - at: +0s
        ecs: {event.category: process, event.type: start, process.name: curl}
    expect:
      - rule: Command Line Requests the Instance Metadata Service
```

The form is described in `docs/rule-tests.md`.",
};

/// An exception that cannot be applied.
pub(crate) static EXCEPTION: Code = Code {
    name: "exception-refused",
    severity: Severity::Error,
    summary: "an exception cannot be applied",
    explanation: "An entry of an exception needs a field and what the field is: a value, several, a pattern, a list. An exception \
that is wrong in one entry is not applied at all, because without that entry it would except more events than its author meant; \
until it is mended, the rules alert as if it were not there.",
};

/// An exception list that a rule names is not there.
pub(crate) static EXCEPTIONS_MISSING: Code = Code {
    name: "exceptions-missing",
    severity: Severity::Warning,
    summary: "a rule names an exception list that is not there, or cannot be applied whole",
    explanation: "A rule of Kibana names exception lists, which stand beside it in an export that was made with its exceptions \
(`*.ndjson`). Without the list the rule runs and alerts on events that it excepts in Kibana, so it is *degraded* in the load \
report. Give the exported list beside the rules or with `--overlay`, or state the exceptions in an overlay.",
};

/// An overlay that does not fit the rules any more.
pub(crate) static OVERLAY_UNFIT: Code = Code {
    name: "overlay-unfit",
    severity: Severity::Warning,
    summary: "an overlay does not fit the rules that are there",
    explanation: "Rules come from others and change: after an update the rule that an overlay is for may be gone, have another \
version than the overlay was checked against (`pins`), read other fields, or have fewer steps. What does not fit is not applied, \
the rest is. Look at the rule again and bring the overlay up to date.",
};

/// Two overlays set one thing.
pub(crate) static OVERLAY_TWICE: Code = Code {
    name: "overlay-twice",
    severity: Severity::Warning,
    summary: "two overlays set the same thing of a rule",
    explanation: "Overlays apply in the order of the paths of their files, so the later one holds. Exceptions add up and are never \
in each other's way.",
};

/// A field is asked for what it never has.
pub(crate) static VALUE_IMPOSSIBLE: Code = Code {
    name: "value-impossible",
    severity: Severity::Warning,
    summary: "a field is asked for a value that it never has",
    explanation: "Of some fields it is known what their values look like: a status code of HTTP is a number from 100 to 599, the \
stage of an audit event of Kubernetes is one of four words, and the name of a role in an ARN holds no colon. A condition that \
no such value meets never holds.

```yaml
detection:
  selection:
    responseStatus.code: 'ALLOW'   # a number, for example 200; the decision stands in an annotation
```

The rule runs; where the condition is needed for a match, it finds nothing.",
};

/// A field stands at a place where none is.
pub(crate) static FIELD_IMPOSSIBLE: Code = Code {
    name: "field-impossible",
    severity: Severity::Warning,
    summary: "an event has no field at this place",
    explanation: "The format of some events is closed: the top of an audit event of Kubernetes has `verb`, `objectRef`, `requestObject` \
and a few more, and nothing else. A condition on another field there never holds, usually because the field stands deeper:

```yaml
detection:
  selection:
    hostPath: '*'                               # no such field
    requestObject.spec.volumes.hostPath: '*'    # where it stands
```",
};

/// A regular expression that nothing matches.
pub(crate) static REGEX_IMPOSSIBLE: Code = Code {
    name: "regex-never-matches",
    severity: Severity::Warning,
    summary: "no text matches the regular expression",
    explanation: "The expression contradicts itself, so that it is found in no text: something must stand before the beginning \
(`a^b`) or behind the end (`a$b`), or a class has no character (`[^\\s\\S]`). Often a `^` or `$` was meant as a character: \
`\\^`, `\\$`.",
};

/// Texts of no rule.
pub(crate) static TEXTS_WITHOUT_RULE: Code = Code {
    name: "texts-without-rule",
    severity: Severity::Warning,
    summary: "texts in another language belong to no rule",
    explanation: "A file `NAME.texts.yaml` holds the texts of the rule beside it, `NAME.toml` or `NAME.yml`, in other languages. Where the \
file beside has several rules, the texts stand under `rules`, by the ids of the rules.

```yaml
rules:
  4f855297-c8e0-4097-9d97-d653f7e471c4:
    ru: {name: Снимок диска сделан общедоступным}
```

Texts whose rule is not found are shown nowhere.",
};

/// A part of a rule that no test needs.
pub(crate) static MUTANT_SURVIVES: Code = Code {
    name: "mutant-survives",
    severity: Severity::Warning,
    summary: "the tests of a rule pass without a part of it",
    explanation: "`neph rules test --mutate` takes parts out of a rule, one at a time, and runs its tests: a condition, an alternative, one of \
several values, a field of the new terms; and moves limits by one. Where all tests still pass, nobody would notice if that part were lost or \
had never worked.

Add a case that needs it: for a condition an event that satisfies all others and must raise no alert; for an alternative or a value an event \
that raises an alert by it alone; for a threshold of 5 a case with 4 events and one with 5. Or take the part out of the rule, if it does \
nothing.",
};
