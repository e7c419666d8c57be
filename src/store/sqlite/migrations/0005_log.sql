-- The head of each system's log: where the next event goes, and the hash that it goes on from.
CREATE TABLE systems (
    name TEXT NOT NULL PRIMARY KEY,
    seq  INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The log. Rows are only ever added. See docs/log.md.
CREATE TABLE events (
    system TEXT NOT NULL REFERENCES systems (name),
    seq    INTEGER NOT NULL,
    at_ms  INTEGER NOT NULL,
    engine TEXT NOT NULL,
    event  TEXT NOT NULL,
    facts  TEXT NOT NULL,
    hash   BLOB NOT NULL,
    PRIMARY KEY (system, seq)
) STRICT;

-- The newest snapshot of each system's state.
CREATE TABLE snapshots (
    system TEXT NOT NULL PRIMARY KEY REFERENCES systems (name),
    seq    INTEGER NOT NULL,
    state  BLOB NOT NULL
) STRICT;

-- The effects that are pending (I9), and which driver runs them.
CREATE TABLE effects (
    system     TEXT NOT NULL REFERENCES systems (name),
    id         TEXT NOT NULL,
    due_ms     INTEGER NOT NULL,
    effect     TEXT NOT NULL,
    claimed_by TEXT,
    PRIMARY KEY (system, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX effects_to_claim ON effects (due_ms) WHERE claimed_by IS NULL;
CREATE INDEX effects_claimed ON effects (claimed_by) WHERE claimed_by IS NOT NULL;

-- Runs that have ended, as they last ended.
CREATE TABLE runs (
    system  TEXT NOT NULL REFERENCES systems (name),
    number  INTEGER NOT NULL,
    id      TEXT NOT NULL,
    subject TEXT NOT NULL,
    stage   TEXT NOT NULL,
    state   TEXT NOT NULL,
    run     TEXT NOT NULL,
    PRIMARY KEY (system, number)
) STRICT;

CREATE UNIQUE INDEX runs_by_id ON runs (system, id);

-- What steps made and were made from. `bare` is the name after its `repository@` or `sha256:`, as people type it.
CREATE TABLE artifacts (
    artifact INTEGER PRIMARY KEY,
    system   TEXT NOT NULL REFERENCES systems (name),
    kind     TEXT NOT NULL,
    name     TEXT NOT NULL,
    bare     TEXT NOT NULL,
    uri      TEXT NOT NULL,
    UNIQUE (system, name, kind)
) STRICT;

CREATE INDEX artifacts_by_bare_name ON artifacts (system, bare);

-- What was made (`made`) from what (`source`), by which step. The first time counts.
CREATE TABLE links (
    source INTEGER NOT NULL REFERENCES artifacts (artifact),
    made   INTEGER NOT NULL REFERENCES artifacts (artifact),
    run    TEXT NOT NULL,
    step   TEXT NOT NULL,
    at_ms  INTEGER NOT NULL,
    PRIMARY KEY (source, made, run, step)
) STRICT, WITHOUT ROWID;

CREATE INDEX links_by_made ON links (made);

-- What is this installation's own, made once and the same for all that share the store. `secret`: 32 random bytes, with
-- which our commits are proved to be ours. It is never shown and never replaced: without it, no commit is known as ours.
CREATE TABLE installation (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    secret BLOB NOT NULL CHECK (length(secret) = 32)
) STRICT;
