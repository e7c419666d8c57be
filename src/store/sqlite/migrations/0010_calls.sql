-- What was asked over HTTP to be done, and what came of it. `place` is that of the event in the system's log, where there is one.
CREATE TABLE calls (
    number       INTEGER PRIMARY KEY,
    at_ms        INTEGER NOT NULL,
    request      TEXT NOT NULL,
    came_from    TEXT NOT NULL,
    who          TEXT,
    signed_in_by TEXT,
    system       TEXT,
    asked        TEXT NOT NULL,
    status       INTEGER NOT NULL,
    why          TEXT,
    place        INTEGER
) STRICT;
