-- What forges delivered, by their own numbers: taken once, and kept until what it asks for is done, and for some days more.
CREATE TABLE deliveries (
    number      INTEGER PRIMARY KEY,
    guid        TEXT NOT NULL UNIQUE,
    event       TEXT NOT NULL,
    heard       TEXT,
    received_ms INTEGER NOT NULL,
    done_ms     INTEGER,
    outcome     TEXT
) STRICT;

CREATE INDEX deliveries_waiting ON deliveries (number) WHERE done_ms IS NULL;
CREATE INDEX deliveries_received ON deliveries (received_ms);

-- Which ones the forge was asked to deliver again, and up to when it was asked which those are.
CREATE TABLE deliveries_asked_for (
    guid     TEXT PRIMARY KEY,
    asked_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries_listed (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    until_ms INTEGER NOT NULL
) STRICT;
