-- What forges show of the systems: what each thing should say (`wanted`) and what it says (`said`).
CREATE TABLE shown (
    system   TEXT NOT NULL,
    kind     TEXT NOT NULL,
    key      TEXT NOT NULL,
    place    TEXT NOT NULL,
    run      INTEGER NOT NULL,
    wanted   TEXT NOT NULL,
    said     TEXT,
    forge_id INTEGER,
    since_ms INTEGER NOT NULL,
    due_ms   INTEGER NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    error    TEXT,
    PRIMARY KEY (system, kind, key, place)
) STRICT, WITHOUT ROWID;

CREATE INDEX shown_due ON shown (due_ms) WHERE said IS NOT wanted;
CREATE INDEX shown_since ON shown (since_ms);
