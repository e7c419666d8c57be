-- What programs sign in with. A token itself is nowhere: `hash` is its SHA-256. `systems` is a JSON array; empty for all.
CREATE TABLE tokens (
    name       TEXT NOT NULL PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    role       TEXT NOT NULL,
    systems    TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    used_ms    INTEGER,
    revoked_ms INTEGER
) STRICT, WITHOUT ROWID;
