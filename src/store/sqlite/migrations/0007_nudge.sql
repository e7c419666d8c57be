-- `nudged`: that the effect became due again while it is claimed. Whoever holds it is told once, and it stays theirs.
ALTER TABLE effects ADD COLUMN nudged INTEGER NOT NULL DEFAULT 0;
CREATE INDEX effects_nudged ON effects (claimed_by) WHERE nudged = 1;
