-- What was not seen and follows from no other table: `untaken` (the store took no records; by time of receipt), and of single
-- rules `late` (records came when windows were decided) and `history` (the rule ran without what it looks back on), by the
-- times of events. Rows of one hour are added up; `noted` is when that was done last.
CREATE TABLE unseen (
    kind      TEXT NOT NULL,
    stream    TEXT NOT NULL,
    rule      TEXT NOT NULL,
    bucket    INTEGER NOT NULL,
    time_from INTEGER NOT NULL,
    time_to   INTEGER NOT NULL,
    records   INTEGER NOT NULL,
    why       TEXT NOT NULL,
    noted     INTEGER NOT NULL,
    ended     INTEGER NOT NULL,
    PRIMARY KEY (kind, stream, rule, bucket)
) STRICT, WITHOUT ROWID;
CREATE INDEX unseen_by_time ON unseen (time_from);
