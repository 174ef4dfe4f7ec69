-- Times are nanoseconds since 1970-01-01T00:00:00Z.

CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;

CREATE TABLE alerts (
    row          INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    rule_id      TEXT NOT NULL,
    rule_name    TEXT NOT NULL,
    rule_version TEXT NOT NULL,
    severity     INTEGER NOT NULL,
    risk_score   INTEGER NOT NULL,
    reason       TEXT NOT NULL,
    time         INTEGER NOT NULL,
    first        INTEGER,
    last         INTEGER,
    count        INTEGER NOT NULL,
    updates      INTEGER NOT NULL DEFAULT 0,
    state        INTEGER NOT NULL DEFAULT 0,
    verdict      INTEGER,
    close_reason TEXT,
    assignee     TEXT,
    retracted    INTEGER,
    created      INTEGER NOT NULL,
    updated      INTEGER NOT NULL,
    closed       INTEGER
) STRICT;
CREATE INDEX alerts_by_time ON alerts (time);
CREATE INDEX alerts_by_state ON alerts (state, time);
CREATE INDEX alerts_by_severity ON alerts (severity, time);
CREATE INDEX alerts_by_risk ON alerts (risk_score, time);
CREATE INDEX alerts_by_updated ON alerts (updated);
CREATE INDEX alerts_by_rule ON alerts (rule_id, time);
CREATE INDEX alerts_by_closed ON alerts (closed) WHERE closed IS NOT NULL;

-- Compressed, and apart from what searches read.
CREATE TABLE alert_documents (
    row      INTEGER PRIMARY KEY REFERENCES alerts (row) ON DELETE CASCADE,
    document BLOB NOT NULL
) STRICT;

-- What alerts have many of. Kinds: `technique`, `tactic`, `tag` (of the rule), `label` (of analysts), or `=` and the name of
-- an entity's ECS field.
CREATE TABLE alert_values (
    row   INTEGER NOT NULL REFERENCES alerts (row) ON DELETE CASCADE,
    kind  TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (row, kind, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_values_by_value ON alert_values (kind, value, row);
CREATE INDEX alert_values_by_bare_value ON alert_values (value, row);

CREATE VIRTUAL TABLE alert_text USING fts5 (
    text,
    content = '', contentless_delete = 1,
    tokenize = "unicode61 remove_diacritics 2 tokenchars '_'"
);

-- Actions on alerts, of analysts and of the pipeline. Never changed; an action that was undone is named by the one that
-- undid it.
CREATE TABLE actions (
    action  INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    who     TEXT NOT NULL,
    what    TEXT NOT NULL,
    details TEXT NOT NULL,
    undoes  INTEGER REFERENCES actions (action)
) STRICT;
CREATE UNIQUE INDEX actions_by_undone ON actions (undoes) WHERE undoes IS NOT NULL;
CREATE INDEX actions_by_who ON actions (who, action);

-- What an action changed of one alert: its state before and after, as JSON.
CREATE TABLE history (
    row       INTEGER NOT NULL REFERENCES alerts (row) ON DELETE CASCADE,
    action    INTEGER NOT NULL REFERENCES actions (action),
    before    TEXT NOT NULL,
    after     TEXT NOT NULL,
    PRIMARY KEY (row, action)
) STRICT, WITHOUT ROWID;
CREATE INDEX history_by_action ON history (action, row);

CREATE TABLE outbox (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    output   TEXT NOT NULL,
    row      INTEGER NOT NULL REFERENCES alerts (row) ON DELETE CASCADE,
    kind     INTEGER NOT NULL,
    created  INTEGER NOT NULL,
    due      INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    error    TEXT,
    dead     INTEGER
) STRICT;
CREATE INDEX outbox_by_due ON outbox (output, due) WHERE dead IS NULL;
CREATE INDEX outbox_by_alert ON outbox (row, output);
CREATE INDEX outbox_by_dead ON outbox (output, seq) WHERE dead IS NOT NULL;

CREATE TABLE outputs (
    output    TEXT PRIMARY KEY,
    delivered INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger (
    stream       TEXT NOT NULL,
    minute       INTEGER NOT NULL,
    rule_set     TEXT NOT NULL,
    offset_from  INTEGER NOT NULL,
    offset_to    INTEGER NOT NULL,
    time_min     INTEGER,
    time_max     INTEGER,
    evaluated    INTEGER NOT NULL,
    refused      INTEGER NOT NULL,
    dropped      INTEGER NOT NULL,
    events       INTEGER NOT NULL,
    unrecognised INTEGER NOT NULL,
    late         INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    PRIMARY KEY (stream, minute, rule_set)
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_by_minute ON ledger (minute);

CREATE TABLE rule_sets (
    id    TEXT PRIMARY KEY,
    rules BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE rule_set_changes (
    at       INTEGER NOT NULL,
    rule_set TEXT NOT NULL REFERENCES rule_sets (id)
) STRICT;
CREATE INDEX rule_set_changes_by_time ON rule_set_changes (at);

CREATE TABLE losses (
    stream   TEXT NOT NULL,
    time_from INTEGER NOT NULL,
    time_to  INTEGER NOT NULL,
    records  INTEGER,
    why      TEXT NOT NULL
) STRICT;
CREATE INDEX losses_by_time ON losses (time_from);

CREATE TABLE backfills (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    rule       TEXT NOT NULL,
    version    TEXT NOT NULL,
    time_from  INTEGER NOT NULL,
    time_to    INTEGER NOT NULL,
    started    INTEGER NOT NULL,
    finished   INTEGER,
    records    INTEGER NOT NULL,
    alerts     INTEGER NOT NULL,
    new_alerts INTEGER NOT NULL,
    state      TEXT NOT NULL,
    detail     TEXT NOT NULL
) STRICT;

-- Records of segments that retention removed, by the segment's first offset; -1 for all but the last.
CREATE TABLE removed (
    segment INTEGER NOT NULL,
    stream  TEXT NOT NULL,
    records INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    PRIMARY KEY (segment, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    started   INTEGER NOT NULL,
    heartbeat INTEGER NOT NULL,
    stopped   INTEGER,
    version   TEXT NOT NULL
) STRICT;

CREATE TABLE tokens (
    id      TEXT PRIMARY KEY,
    hash    BLOB NOT NULL,
    name    TEXT NOT NULL,
    role    TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    used    INTEGER,
    revoked INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    who     TEXT NOT NULL,
    origin  TEXT NOT NULL,
    what    TEXT NOT NULL,
    target  TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;
