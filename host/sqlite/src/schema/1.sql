-- A task and its state. The state is the greatest of its events by
-- (occurred_at_ms, rank, digest); the counts are over all of them.
CREATE TABLE tasks (
    id                   INTEGER PRIMARY KEY,
    app_id               TEXT    NOT NULL,
    task_id              TEXT    NOT NULL,
    task_type            TEXT    NOT NULL,
    status               TEXT    NOT NULL,
    status_desc          TEXT    NOT NULL,
    occurred_at_ms       INTEGER NOT NULL,
    rank                 INTEGER NOT NULL,
    digest               BLOB    NOT NULL,
    first_occurred_at_ms INTEGER NOT NULL,
    last_received_at_ms  INTEGER NOT NULL,
    events               INTEGER NOT NULL,
    duplicates           INTEGER NOT NULL,
    oddities             INTEGER NOT NULL,
    UNIQUE (app_id, task_id)
) STRICT;

-- Both orders of a task list. They carry the columns of the exact filters, so
-- that a page with a rare match is found without reading the other rows.
CREATE INDEX tasks_by_time ON tasks
    (occurred_at_ms DESC, app_id, task_id, rank, status, task_type);
CREATE INDEX tasks_by_status ON tasks
    (status, occurred_at_ms DESC, app_id, task_id, rank, task_type);
-- Counts by status, in the order in which they are told.
CREATE INDEX tasks_by_rank ON tasks (rank, status);

-- Rows are never deleted, so `seq` is never used twice.
CREATE TABLE events (
    seq            INTEGER PRIMARY KEY,
    task           INTEGER NOT NULL REFERENCES tasks (id),
    digest         BLOB    NOT NULL,
    occurred_at_ms INTEGER NOT NULL,
    rank           INTEGER NOT NULL,
    received_at_ms INTEGER NOT NULL,
    signature      TEXT,
    oddities       INTEGER NOT NULL,
    late           INTEGER NOT NULL,
    duplicates     INTEGER NOT NULL,
    task_type      TEXT    NOT NULL,
    status         TEXT    NOT NULL,
    status_desc    TEXT    NOT NULL,
    event_time     TEXT,
    event_time_ms  TEXT,
    request_id     TEXT,
    body           BLOB    NOT NULL
) STRICT;

-- A digest covers the task, so it is unique by itself; the task comes first
-- only to keep what is written together close together.
CREATE UNIQUE INDEX events_by_digest ON events (task, digest);
-- The history of a task; status and request id are all that a trail and a
-- list of request ids read.
CREATE INDEX events_by_time ON events
    (task, occurred_at_ms, rank, digest, status, request_id);

-- Request ids of duplicates, where they differ from the first one.
CREATE TABLE repeats (
    task       INTEGER NOT NULL REFERENCES tasks (id),
    event      INTEGER NOT NULL REFERENCES events (seq),
    request_id TEXT    NOT NULL,
    PRIMARY KEY (task, event, request_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE nonces (
    value         TEXT    PRIMARY KEY,
    expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX nonces_by_expiry ON nonces (expires_at_ms);

-- AUTOINCREMENT: rows are deleted here, and `seq` still must not come back.
CREATE TABLE quarantine (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at_ms INTEGER NOT NULL,
    bytes          INTEGER NOT NULL,
    reason         TEXT    NOT NULL,
    detail         TEXT    NOT NULL,
    pointer        TEXT,
    body           BLOB    NOT NULL
) STRICT;

-- One row of totals, written once a commit.
CREATE TABLE totals (
    id                  INTEGER PRIMARY KEY CHECK (id = 1),
    last_received_at_ms INTEGER,
    nonces              INTEGER NOT NULL,
    quarantine_bytes    INTEGER NOT NULL,
    quarantine_dropped  INTEGER NOT NULL,
    commits             INTEGER NOT NULL
) STRICT;
INSERT INTO totals VALUES (1, NULL, 0, 0, 0, 0);
