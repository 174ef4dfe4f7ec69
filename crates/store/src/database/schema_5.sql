-- When the pipeline last told an alert again, whatever analysts did since.
ALTER TABLE alerts ADD COLUMN told_again INTEGER;
CREATE INDEX audit_by_time ON audit (at);
