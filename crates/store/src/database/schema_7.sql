-- What is looked at on a schedule: when it is due, its runs, and the findings that there are.
CREATE TABLE jobs (
    name     TEXT PRIMARY KEY,
    kind     TEXT NOT NULL,
    every    INTEGER,
    on_change INTEGER NOT NULL,
    due      INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE job_runs (
    id      INTEGER PRIMARY KEY,
    job     TEXT NOT NULL,
    began   INTEGER NOT NULL,
    ended   INTEGER,
    state   INTEGER NOT NULL,
    why     TEXT NOT NULL,
    print   TEXT NOT NULL,
    found   INTEGER NOT NULL,
    fresh   INTEGER NOT NULL,
    gone    INTEGER NOT NULL,
    report  BLOB
) STRICT;
CREATE INDEX job_runs_by_job ON job_runs (job, id);
CREATE TABLE job_findings (
    job      TEXT NOT NULL,
    id       TEXT NOT NULL,
    place    TEXT NOT NULL,
    title    TEXT NOT NULL,
    severity INTEGER NOT NULL,
    first    INTEGER NOT NULL,
    last     INTEGER NOT NULL,
    gone     INTEGER,
    returns  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job, id)
) STRICT, WITHOUT ROWID;
