CREATE TABLE {actions} (
    seq {serial},
    at {int} NOT NULL,
    actor {text} NOT NULL,
    task {text},
    change {text} NOT NULL,
    outcome {text} NOT NULL
);
