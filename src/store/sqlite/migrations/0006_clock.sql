-- `made_ms`: when the effect was made, by the log's time. `again_ms`: when it is due instead of `due_ms`, because the clock was
-- ahead when it was made (see `claims.rs`); not of the log, and empty as a rule.
ALTER TABLE effects ADD COLUMN made_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE effects ADD COLUMN again_ms INTEGER;

DROP INDEX effects_to_claim;
CREATE INDEX effects_to_claim ON effects (coalesce(again_ms, due_ms)) WHERE claimed_by IS NULL;
CREATE INDEX effects_by_made ON effects (made_ms) WHERE claimed_by IS NULL AND again_ms IS NULL;
