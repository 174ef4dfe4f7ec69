-- Records whose time is that of their receipt.
ALTER TABLE ledger ADD COLUMN untimed INTEGER NOT NULL DEFAULT 0;

-- Where records of a stream say that they belong, and how many rules look at such. A name that is not said is empty.
CREATE TABLE names (
    stream     TEXT NOT NULL,
    index_name TEXT NOT NULL,
    dataset    TEXT NOT NULL,
    made       INTEGER NOT NULL,
    records    INTEGER NOT NULL,
    first      INTEGER NOT NULL,
    last       INTEGER NOT NULL,
    by_name    INTEGER NOT NULL,
    by_content INTEGER NOT NULL,
    left_out   INTEGER NOT NULL,
    PRIMARY KEY (stream, index_name, dataset, made)
) STRICT, WITHOUT ROWID;
CREATE INDEX names_by_last ON names (last);
