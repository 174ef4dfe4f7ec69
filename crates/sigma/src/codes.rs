//! The kinds of problems that a Sigma file can have.

neph_diag::codes! {
    YAML = Error "sigma-yaml": "the file is not valid YAML",
"A Sigma file is YAML 1.2, with one document or several between lines of `---`. Reading goes on with the next document, so \
that one run shows every document that is at fault.

```yaml
detection:
    selection:
        CommandLine|contains: ' -enc   # no closing quote
```";
    TOO_LARGE = Error "sigma-too-large": "the file is larger or nested deeper than is read",
"Files of up to 16 MiB are read, documents of up to 200,000 values (what aliases repeat counts each time) and 64 levels. Rules \
are far below that; a list of values that long belongs into a list file that a placeholder names.";
    KEY_MISSING = Error "sigma-key-missing": "the rule lacks a key that it must have",
"A detection rule needs `title`, `logsource` and `detection`, and in `detection` a `condition` and at least one search \
identifier. <https://sigmahq.io/sigma-specification/specification/sigma-rules-specification.html>";
    KEY_ALIKE = Warning "sigma-key-alike": "a key is unknown but looks like a known one",
"Sigma lets authors add keys of their own, so an unknown key is no error. One that differs from a known key by a letter or two \
is probably a slip of the pen, and then what it says does not happen.

```yaml
falsepositive:   # `falsepositives`
    - Backup software
```";
    KEY_TWICE = Error "sigma-key-twice": "a key stands twice in one map",
"YAML does not allow it, and readers that do keep only one of the values. In a search, write the values as a list, or with \
different modifiers, or make a list of maps.";
    VALUE_TYPE = Error "sigma-value-type": "a value is of the wrong kind",
"A list where a text is needed, a map where values are needed, and so on. The values of a field are texts, numbers, booleans, \
`null`, or a list of those.";
    VALUE = Error "sigma-value": "a value is not one of those allowed",
"`level` is `informational`, `low`, `medium`, `high` or `critical`. Modifiers limit what their values may be: `cidr` takes \
networks, `exists` takes `true` or `false`, `gt` and its like take numbers.";
    VALUE_ODD = Warning "sigma-value-odd": "a value is allowed, but probably not what is meant",
"For example an `id` that is no UUID, which another author may have chosen too, or a `status` that Sigma does not have.";
    MODIFIER_UNKNOWN = Error "sigma-modifier-unknown": "a modifier does not exist",
"The modifiers stand behind the field's name, each after a `|`:

```yaml
CommandLine|contains|all:
    - ' -enc'
    - 'hidden'
```

<https://sigmahq.io/sigma-specification/specification/sigma-appendix-modifiers.html>";
    MODIFIER_CONFLICT = Error "sigma-modifier-conflict": "modifiers do not go together",
"One item compares in one way: as a text (`contains`, `startswith`, `endswith`), as a regular expression (`re`), as a network \
(`cidr`), as a number (`gt` and its like), and so on. The flags `i`, `m` and `s` belong behind `re`; encodings apply to plain \
texts.";
    REGEX = Error "sigma-regex": "a regular expression cannot be used",
"Regular expressions search anywhere in the value, with the syntax that Sigma allows. Look-around and back references are not \
part of it: they cannot be matched in time that grows with the length of the value only.";
    CONDITION_SYNTAX = Error "sigma-condition-syntax": "a condition does not follow the grammar",
"A condition joins search identifiers with `and`, `or`, `not` and parentheses; `1 of name*`, `all of name*`, `1 of them` and \
`all of them` stand for several of them.

```yaml
condition: selection and not 1 of filter_*
```";
    CONDITION_NAME = Error "sigma-condition-name": "a condition names a search identifier that is not there",
"Every name in a condition must be a key of `detection`; a pattern with `*` must match at least one.";
    SEARCH_UNUSED = Warning "sigma-search-unused": "a search identifier is not used in the condition",
"What it looks for makes no difference to the rule. Either the condition lacks it, or it is left over.";
    AGGREGATION = Error "sigma-aggregation": "what stands behind the `|` of a condition is wrong",
"Old rules count behind their condition: `count()`, `count(field)`, `min`, `max`, `avg` or `sum` of a field, by the values of \
another one, compared with a number; or `near` names further search identifiers. `timeframe` says within which time.

```yaml
detection:
    selection: {EventID: 4625}
    timeframe: 5m
    condition: selection | count() by TargetUserName > 10
```

Correlation rules have taken the place of this form.";
    TIMEFRAME_MISSING = Warning "sigma-timeframe-missing": "a rule that counts states no time",
"Without `timeframe` an old rule counts within whatever time somebody searches. Here it counts within a day, which slides.";
    CORRELATION = Error "sigma-correlation": "a correlation rule is wrong",
"A correlation rule names other rules, and says what it asks of their matches:

```yaml
title: Many failed logons
correlation:
    type: event_count
    rules: [failed_logon]
    group-by: [TargetUserName]
    timespan: 5m
    condition: {gte: 10}
```

Types are `event_count`, `value_count`, `value_sum`, `value_avg`, `value_percentile` and `value_median` (with `field` in the \
condition), `temporal` and `temporal_ordered`. The condition of the temporal ones may be left out (all rules), a number of rules, or \
rules joined by `and`, `or` and `not`. \
<https://github.com/SigmaHQ/sigma-specification/blob/main/specification/sigma-correlation-rules-specification.md>";
    CORRELATION_ALIAS = Error "sigma-correlation-alias": "an alias has no field for one of the rules",
"An alias stands for a field that is called differently in the events of each rule, so it must name one for each.

```yaml
aliases:
    address:
        internal_error: destination.ip
        new_connection: source.ip
```";
    CORRELATION_CYCLE = Error "sigma-correlation-cycle": "correlation rules are over one another",
"A correlation may be over another one, but not over itself, also not by way of others: there would be nothing to begin with.";
    CORRELATION_PERCENTILE = Warning "sigma-correlation-percentile": "the condition does not say which percentile",
"`value_percentile` compares a percentile of the values with the bounds. Which one is said by `percentile: 95`; without it the \
median is taken.";
    REFERENCE = Error "sigma-reference": "a correlation names a rule that cannot be found or used",
"Rules are named by `id` or `name`. They may stand in the same file or in any other that is loaded together with it; one in the same \
file goes before others of its name.";
    ONLY_CORRELATED = Info "sigma-only-correlated": "the rule raises no alerts of its own",
"A rule that a correlation is over raises no alerts of its own, unless the correlation says `generate: true`.";
    FILTER_TARGET = Warning "sigma-filter-target": "a filter does not apply to a rule that it names, or to none at all",
"A filter changes rules that it names by `id` or `name`, or with `rules: any` all rules, if they are of its log source; they may stand \
in any file that is loaded. What it does not apply to alerts as if the filter were not there.";
    DUPLICATE_ID = Error "sigma-id-duplicate": "two documents of a file have the same id",
"Alerts are told apart by the id of their rule. The first document keeps the id; give the other one its own.";
    PLACEHOLDER = Warning "sigma-placeholder": "a placeholder has no list",
"`%name%` in a value with the modifier `expand` stands for the entries of the list `name`. There is no such list, so the value \
matches nothing, and the rule is degraded.";
    FIELD_UNKNOWN = Warning "sigma-field-unknown": "no mapping knows the field",
"The field is looked for under the name that the rule uses. Events in another form than the rule's author had in mind will not \
match. A mapping file can say where the field stands.";
    SOURCE_UNKNOWN = Warning "sigma-logsource-unknown": "no mapping knows the log source",
"The mappings say which events belong to a log source. Of an unknown one, only events are looked at whose `event.module` or \
`event.dataset` names it. A mapping file can say which they are.";
    MAPPING = Error "sigma-mapping": "a mapping file is wrong",
"A mapping file is a list of sources:

```yaml
- logsource: {product: acme, service: audit}
  when:                      # which events these are, as a Sigma search
    event.dataset: acme.audit
  fields:
    User: [user.name, actor] # where a field stands: any of these
  fallback: ['{}']           # where all other fields stand
```";
}
