-- Who has signed in in a browser. A session's secret is nowhere: `hash` is its SHA-256. `server` is set where the session ends with
-- the server that began it. `member_of` is a JSON array of what the issuer says. A session that ended has no row.
CREATE TABLE sessions (
    id        TEXT NOT NULL PRIMARY KEY,
    hash      BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    server    TEXT,
    issuer    TEXT,
    subject   TEXT NOT NULL,
    person    TEXT NOT NULL,
    member_of TEXT NOT NULL,
    browser   TEXT NOT NULL,
    begun_ms  INTEGER NOT NULL,
    used_ms   INTEGER NOT NULL,
    ends_ms   INTEGER NOT NULL,
    CHECK ((server IS NULL) <> (issuer IS NULL))
) STRICT, WITHOUT ROWID;
