DROP INDEX {schema_index:runs_task};
CREATE INDEX {index:runs_begun} ON {runs} (task, began) WHERE began IS NOT NULL;
CREATE INDEX {index:runs_waiting} ON {runs} (task, due_at) WHERE began IS NULL;
CREATE INDEX {index:runs_lane} ON {runs} (task, (CASE WHEN beside = 1 THEN 2 WHEN origin = 'trigger' THEN 1 WHEN origin = 'backfill' THEN 3 ELSE 0 END), due_at, scheduled_at, made) WHERE began IS NULL;
