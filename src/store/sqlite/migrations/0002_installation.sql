-- What is this installation's own, made once and the same for all that share the store. `secret`: 32 random bytes, with
-- which our commits are proved to be ours. It is never shown and never replaced: without it, no commit is known as ours.
CREATE TABLE installation (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    secret BLOB NOT NULL CHECK (length(secret) = 32)
) STRICT;
