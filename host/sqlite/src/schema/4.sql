-- What is known of the file as a whole.
--
-- `journal_id` is the same in all copies of a journal. `log_base` is a number
-- of commits that the database had in itself when its log started over: with
-- fewer, it is not the database of that log. `schema_number` is that of SQLite's
-- header, which is another one after each opening and in a copy. `last_seq` outlives the event
-- that has it. `clock_ms` is a clock that does not run ahead.
ALTER TABLE totals ADD COLUMN journal_id BLOB NOT NULL DEFAULT x'';
ALTER TABLE totals ADD COLUMN log_base INTEGER NOT NULL DEFAULT 0;
ALTER TABLE totals ADD COLUMN schema_number INTEGER NOT NULL DEFAULT 0;
ALTER TABLE totals ADD COLUMN last_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE totals ADD COLUMN clock_ms INTEGER;
ALTER TABLE totals ADD COLUMN pruned_events INTEGER NOT NULL DEFAULT 0;
ALTER TABLE totals ADD COLUMN quarantine_large_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE totals SET
    journal_id = randomblob(16),
    last_seq = (SELECT coalesce(max(seq), 0) FROM events),
    quarantine_large_bytes =
        (SELECT coalesce(sum(bytes), 0) FROM quarantine WHERE bytes > 16384);

-- The oldest reject of each size: large ones do not push small ones out.
CREATE INDEX quarantine_by_size ON quarantine (bytes > 16384, seq);

-- Final tasks, for pruning: the one that was silent for longest first.
CREATE INDEX tasks_final ON tasks (last_received_at_ms) WHERE rank = 5;

-- The digests of pruned events, in the order of their pruning: for some time
-- they are still found to be duplicates.
CREATE TABLE pruned (
    id           INTEGER PRIMARY KEY,
    digest       BLOB    NOT NULL UNIQUE,
    pruned_at_ms INTEGER NOT NULL
) STRICT;

-- Events can be deleted now. Without a reference to them, because SQLite would
-- look for it in all rows.
CREATE TABLE repeats_4 (
    task       INTEGER NOT NULL REFERENCES tasks (id),
    event      INTEGER NOT NULL,
    request_id TEXT    NOT NULL,
    PRIMARY KEY (task, event, request_id)
) STRICT, WITHOUT ROWID;
INSERT INTO repeats_4 SELECT task, event, request_id FROM repeats;
DROP TABLE repeats;
ALTER TABLE repeats_4 RENAME TO repeats;

-- The least request ids of a task are kept with it: to find them among all its
-- events took time and memory that grew with their number. The functions are
-- those of the program.
ALTER TABLE tasks ADD COLUMN request_ids BLOB NOT NULL DEFAULT x'';
UPDATE tasks SET request_ids = (
    SELECT least_request_ids(request_id) FROM (
        SELECT request_id FROM events WHERE task = tasks.id
        UNION ALL SELECT request_id FROM repeats WHERE task = tasks.id));

-- The history of a task; status is all that a trail reads.
DROP INDEX events_by_time;
CREATE INDEX events_by_time ON events
    (task, occurred_at_ms, rank, digest, status);

-- One row while the journal is an incomplete copy of another one: the version of that
-- journal, and how far the copy has come.
CREATE TABLE copying (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    source  TEXT    NOT NULL,
    part    INTEGER NOT NULL,
    records INTEGER NOT NULL
) STRICT;

-- What the platform reported about a task besides its events: JSON texts.
CREATE TABLE details (
    task           INTEGER PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    at_ms          INTEGER NOT NULL,
    facts          TEXT    NOT NULL,
    failed_devices TEXT
) STRICT;

-- Sinks: how far the events were passed on to each. Only the owner with the
-- greatest fencing number changes one.
CREATE TABLE sinks (
    name     TEXT    NOT NULL PRIMARY KEY,
    fence    INTEGER NOT NULL,
    owner    TEXT    NOT NULL,
    position INTEGER NOT NULL,
    paused   INTEGER NOT NULL DEFAULT 0,
    memo     TEXT    NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- The events at or before the position of a sink that are not delivered yet.
CREATE TABLE sink_parked (
    sink          TEXT    NOT NULL,
    seq           INTEGER NOT NULL,
    app_id        TEXT    NOT NULL,
    task_id       TEXT    NOT NULL,
    attempts      INTEGER NOT NULL,
    not_before_ms INTEGER NOT NULL,
    error         TEXT    NOT NULL,
    PRIMARY KEY (sink, seq)
) STRICT, WITHOUT ROWID;

-- The events that were given up.
CREATE TABLE sink_dead (
    sink       TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    app_id     TEXT    NOT NULL,
    task_id    TEXT    NOT NULL,
    attempts   INTEGER NOT NULL,
    died_at_ms INTEGER NOT NULL,
    error      TEXT    NOT NULL,
    PRIMARY KEY (sink, seq)
) STRICT, WITHOUT ROWID;

-- The flags of the steps of a task, see `step_flags` in the guest.
ALTER TABLE tasks ADD COLUMN steps INTEGER NOT NULL DEFAULT 0;

-- Both carry everything that a list filters and sorts by, except texts that may be
-- long: a list that no index has in its order reads only an index, and not the rows.
DROP INDEX tasks_by_time;
DROP INDEX tasks_by_status;
CREATE INDEX tasks_by_time ON tasks
    (occurred_at_ms DESC, app_id, task_id, rank, status, task_type, flags, steps,
     first_occurred_at_ms, last_received_at_ms);
CREATE INDEX tasks_by_status ON tasks
    (status, occurred_at_ms DESC, app_id, task_id, rank, task_type, flags, steps,
     first_occurred_at_ms, last_received_at_ms);

-- What arrived, by minute and by hour.
CREATE TABLE activity (
    span_ms       INTEGER NOT NULL,
    start_ms      INTEGER NOT NULL,
    notifications INTEGER NOT NULL,
    failures      INTEGER NOT NULL,
    PRIMARY KEY (span_ms, start_ms)
) STRICT, WITHOUT ROWID;

