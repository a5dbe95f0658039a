CREATE TABLE {meta} (
    id {int} PRIMARY KEY,
    schema_version {int} NOT NULL,
    admits {int} NOT NULL,
    version {int} NOT NULL
);
INSERT INTO {meta} (id, schema_version, admits, version) VALUES (1, 0, 0, 0);
CREATE TABLE {pauses} (
    id {int} PRIMARY KEY,
    paused {text},
    resumed_at {int}
);
INSERT INTO {pauses} (id) VALUES (1);
CREATE TABLE {tasks} (
    id {serial},
    name {text} NOT NULL UNIQUE,
    declared {text} NOT NULL,
    rescheduled {text},
    since {int} NOT NULL,
    declared_at {int} NOT NULL,
    mark {int} NOT NULL,
    behind {int},
    reset_upto {int},
    anchor {int} NOT NULL,
    step_id {id},
    step {text},
    paused {text},
    resumed {int} NOT NULL DEFAULT 0,
    resumed_at {int},
    alive_max {int},
    overlap {text} NOT NULL DEFAULT 'skip',
    at_most_once {int} NOT NULL DEFAULT 0,
    priority {int} NOT NULL DEFAULT 0,
    grp {text},
    max_runs {int},
    pause_after {int},
    disabled {int} NOT NULL DEFAULT 0,
    is_delay {int} NOT NULL DEFAULT 0,
    occurrences {int} NOT NULL DEFAULT 0,
    runs {int} NOT NULL DEFAULT 0,
    recorded {int} NOT NULL DEFAULT 0,
    records {text},
    last_start {int},
    last_success {int},
    last_end {int},
    failures {int} NOT NULL DEFAULT 0,
    made {int} NOT NULL DEFAULT 0,
    begun {int} NOT NULL DEFAULT 0,
    queued {int} NOT NULL DEFAULT 0,
    submitted {int} NOT NULL DEFAULT 0,
    kept {int} NOT NULL DEFAULT 0,
    keep_runs {int} NOT NULL,
    keep_failures {int} NOT NULL,
    keep_failures_ms {int} NOT NULL
){frequent};
CREATE INDEX {index:tasks_queued} ON {tasks} (id) WHERE queued > 0;
CREATE INDEX {index:tasks_grp} ON {tasks} (grp) WHERE grp IS NOT NULL;
CREATE TABLE {runs} (
    id {id} PRIMARY KEY,
    task {int} NOT NULL,
    origin {text} NOT NULL,
    origin_id {id},
    scheduled_at {int} NOT NULL,
    due_at {int} NOT NULL,
    missed {int},
    missed_first {int},
    state {text} NOT NULL,
    attempt {int} NOT NULL,
    abandoned {int} NOT NULL,
    deaths {int} NOT NULL,
    token {int} NOT NULL,
    holder {text},
    claim {int},
    was {text},
    put_off_by {text},
    beside {int} NOT NULL,
    made {int} NOT NULL,
    began {int},
    cancelling {text},
    started_at {int},
    failure {text}
){frequent};
CREATE UNIQUE INDEX {index:runs_key} ON {runs} (task, scheduled_at, origin) WHERE origin_id IS NULL;
CREATE UNIQUE INDEX {index:runs_backfilled} ON {runs} (task, origin_id, scheduled_at) WHERE origin = 'backfill';
CREATE INDEX {index:runs_task} ON {runs} (task, due_at);
CREATE INDEX {index:runs_holder} ON {runs} (holder);
CREATE INDEX {index:runs_retrying} ON {runs} (due_at) WHERE state = 'retrying';
CREATE TABLE {history} (
    seq {serial},
    id {id} NOT NULL,
    task {int} NOT NULL,
    origin {text} NOT NULL,
    origin_id {id},
    scheduled_at {int} NOT NULL,
    due_at {int} NOT NULL,
    missed {int},
    missed_first {int},
    state {text} NOT NULL,
    attempt {int} NOT NULL,
    started_at {int},
    finished_at {int} NOT NULL,
    failure {text}
);
CREATE INDEX {index:history_id} ON {history} (id);
CREATE INDEX {index:history_task} ON {history} (task, seq);
CREATE TABLE {nodes} (
    name {text} PRIMARY KEY,
    lease_ms {int} NOT NULL,
    silence_ms {int} NOT NULL,
    seen_at {int} NOT NULL,
    contact_since {int} NOT NULL,
    lease_until {int} NOT NULL,
    has_left {int} NOT NULL,
    last_claim {int},
    tzdb {text} NOT NULL
);
CREATE TABLE {known} (
    task {int} NOT NULL,
    node {text} NOT NULL,
    since {int} NOT NULL,
    PRIMARY KEY (task, node)
);
CREATE TABLE {groups} (
    name {text} PRIMARY KEY,
    max {int} NOT NULL
);
CREATE TABLE {changes} (
    version {int} PRIMARY KEY,
    kind {text} NOT NULL,
    task {int},
    run {id},
    cause {text},
    was {text},
    died {text}
);
