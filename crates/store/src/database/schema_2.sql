-- Rows of alerts that are told together name the row that leads them, which names itself. `tried`: when delivery failed first.
ALTER TABLE outbox ADD COLUMN leader INTEGER;
ALTER TABLE outbox ADD COLUMN tried INTEGER;
DROP INDEX outbox_by_due;
CREATE INDEX outbox_by_due ON outbox (output, due) WHERE dead IS NULL AND (leader IS NULL OR leader = seq);
CREATE INDEX outbox_by_leader ON outbox (leader) WHERE leader IS NOT NULL;

-- Alerts that the output's own filter left out, and messages that told of those delivered.
ALTER TABLE outputs ADD COLUMN left_out INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outputs ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;
