CREATE TABLE {logs} (
    run {id} PRIMARY KEY,
    task {int} NOT NULL,
    attempt {int} NOT NULL,
    log {text} NOT NULL
);
CREATE INDEX {index:logs_task} ON {logs} (task);
