CREATE TABLE {jobs} (
    seq {serial},
    run {id} NOT NULL UNIQUE,
    task {int} NOT NULL,
    stand {text} NOT NULL,
    is_fresh {int} NOT NULL,
    priority {int} NOT NULL,
    scheduled_at {int} NOT NULL,
    version {int} NOT NULL,
    arguments {text} NOT NULL,
    unique_key {text},
    holds_key {int} NOT NULL,
    unique_until {int},
    died_at {int},
    state {text},
    attempt {int},
    failure {text}
){frequent};
CREATE UNIQUE INDEX {index:jobs_key} ON {jobs} (task, unique_key) WHERE holds_key = 1;
CREATE INDEX {index:jobs_next} ON {jobs} (task, priority DESC, scheduled_at, seq) WHERE stand = 'waits';
CREATE INDEX {index:jobs_due} ON {jobs} (task, scheduled_at) WHERE stand = 'waits';
CREATE INDEX {index:jobs_fresh} ON {jobs} (seq) WHERE is_fresh = 1;
CREATE INDEX {index:jobs_dead} ON {jobs} (task, died_at) WHERE stand = 'dead';
CREATE INDEX {index:jobs_over} ON {jobs} (unique_until) WHERE stand = 'over';
ALTER TABLE {known} ADD COLUMN reads {int} NOT NULL DEFAULT 0;
ALTER TABLE {meta} ADD COLUMN store {text};
