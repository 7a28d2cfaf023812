-- The tables of a journal.
--
-- Texts contain no NUL, which PostgreSQL cannot store: see `values.rs`. Their
-- collation is "C", so that they sort by bytes, as in every other journal. A text
-- may be long, and an index entry may not, so no index contains a whole text.

-- One row: which journal this is. Its id also names its notifications.
CREATE TABLE batchtask.journal (
    id         boolean PRIMARY KEY DEFAULT true CHECK (id),
    version    integer NOT NULL,
    journal_id uuid    NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO batchtask.journal (version) VALUES (1);

-- A task and its state. The state is the greatest of its events by
-- (occurred_at_ms, rank, digest); counts, flags and request ids cover all events.
CREATE TABLE batchtask.tasks (
    id                   bigint   PRIMARY KEY,
    -- The hash of both ids, see `task_key`.
    key                  bytea    NOT NULL UNIQUE,
    app_id               text     COLLATE "C" NOT NULL,
    task_id              text     COLLATE "C" NOT NULL,
    task_type            text     COLLATE "C" NOT NULL,
    status               text     COLLATE "C" NOT NULL,
    status_desc          text     COLLATE "C" NOT NULL,
    occurred_at_ms       bigint   NOT NULL,
    rank                 smallint NOT NULL,
    digest               bytea    NOT NULL,
    first_occurred_at_ms bigint   NOT NULL,
    last_received_at_ms  bigint   NOT NULL,
    events               bigint   NOT NULL,
    duplicates           bigint   NOT NULL,
    flags                integer  NOT NULL,
    -- The flags of its steps, see `step_bits`.
    steps                integer  NOT NULL DEFAULT 0,
    -- The first ids in alphabetical order.
    request_ids          text[]   COLLATE "C" NOT NULL,
    -- Short enough for an index. A summary merges statuses of more than 128 bytes
    -- anyway, and an escape at most doubles them.
    short_status         text     COLLATE "C" NOT NULL
        GENERATED ALWAYS AS (left(status, 257)) STORED
) WITH (fillfactor = 80);
CREATE INDEX tasks_by_time ON batchtask.tasks (occurred_at_ms);
CREATE INDEX tasks_by_status ON batchtask.tasks (short_status, occurred_at_ms);
-- For a summary, which reads only this index.
CREATE INDEX tasks_by_rank ON batchtask.tasks (rank, short_status, last_received_at_ms);
-- For pruning: the task that was silent for longest first.
CREATE INDEX tasks_final ON batchtask.tasks (last_received_at_ms) WHERE rank = 5;

CREATE TABLE batchtask.events (
    seq            bigint   PRIMARY KEY,
    task           bigint   NOT NULL,
    digest         bytea    NOT NULL,
    occurred_at_ms bigint   NOT NULL,
    rank           smallint NOT NULL,
    received_at_ms bigint   NOT NULL,
    source         smallint NOT NULL,
    signature      text     COLLATE "C",
    flags          integer  NOT NULL,
    late           boolean  NOT NULL,
    duplicates     bigint   NOT NULL,
    task_type      text     COLLATE "C" NOT NULL,
    status         text     COLLATE "C" NOT NULL,
    status_desc    text     COLLATE "C" NOT NULL,
    event_time     text     COLLATE "C",
    event_time_ms  text     COLLATE "C",
    request_id     text     COLLATE "C",
    body           bytea    NOT NULL
);
-- A digest covers the task, so it is unique by itself; the task comes first to
-- keep entries that are written together close together.
CREATE UNIQUE INDEX events_by_digest ON batchtask.events (task, digest);
-- The history of a task.
CREATE INDEX events_by_time ON batchtask.events (task, occurred_at_ms, rank, digest);

-- What arrived, by minute and by hour.
CREATE TABLE batchtask.activity (
    span_ms       bigint NOT NULL,
    start_ms      bigint NOT NULL,
    notifications bigint NOT NULL,
    failures      bigint NOT NULL,
    PRIMARY KEY (span_ms, start_ms)
) WITH (fillfactor = 50);

-- Request ids of duplicates, if they differ from that of the event.
CREATE TABLE batchtask.repeats (
    event      bigint NOT NULL,
    request_id text   COLLATE "C" NOT NULL,
    PRIMARY KEY (event, request_id)
);

-- The signatures that were used, each with the digest of its notification.
CREATE TABLE batchtask.signatures (
    signature     bytea  PRIMARY KEY,
    digest        bytea  NOT NULL,
    expires_at_ms bigint NOT NULL
);
CREATE INDEX signatures_by_expiry ON batchtask.signatures (expires_at_ms);

CREATE TABLE batchtask.quarantine (
    seq            bigint PRIMARY KEY,
    received_at_ms bigint NOT NULL,
    bytes          bigint NOT NULL,
    reason         text   COLLATE "C" NOT NULL,
    detail         text   COLLATE "C" NOT NULL,
    pointer        text   COLLATE "C",
    body           bytea  NOT NULL
);
-- The oldest reject of each size: large ones do not displace small ones.
CREATE INDEX quarantine_by_size ON batchtask.quarantine ((bytes > 16384), seq);

-- The digests of pruned events: for some time they are still duplicates.
CREATE TABLE batchtask.pruned (
    digest       bytea  PRIMARY KEY,
    pruned_at_ms bigint NOT NULL
);
CREATE INDEX pruned_by_time ON batchtask.pruned (pruned_at_ms);

-- One row, which every commit locks and writes. The lock makes the commits of
-- all hosts follow one another, so numbers are dense and in the order in which
-- events become visible.
CREATE TABLE batchtask.totals (
    id                  boolean PRIMARY KEY DEFAULT true CHECK (id),
    last_seq            bigint NOT NULL DEFAULT 0,
    last_task           bigint NOT NULL DEFAULT 0,
    last_reject         bigint NOT NULL DEFAULT 0,
    last_received_at_ms bigint,
    signatures          bigint NOT NULL DEFAULT 0,
    quarantine_small    bigint NOT NULL DEFAULT 0,
    quarantine_large    bigint NOT NULL DEFAULT 0,
    quarantine_dropped  bigint NOT NULL DEFAULT 0,
    pruned_events       bigint NOT NULL DEFAULT 0,
    pruned_digests      bigint NOT NULL DEFAULT 0,
    commits             bigint NOT NULL DEFAULT 0,
    -- A clock that does not run ahead, see `steady_clock`: its time, when that
    -- was set, and since when the clocks of hosts have been ahead of it. The last
    -- two are times of the database server's clock.
    clock_ms            bigint,
    clock_set_ms        bigint NOT NULL DEFAULT 0,
    ahead_since_ms      bigint
) WITH (fillfactor = 10);
INSERT INTO batchtask.totals DEFAULT VALUES;

-- One row while the journal is an incomplete copy of another one: the version of that
-- journal, and how far the copy has come.
CREATE TABLE batchtask.copying (
    id      boolean  PRIMARY KEY DEFAULT true CHECK (id),
    source  text     NOT NULL,
    part    smallint NOT NULL,
    records bigint   NOT NULL
);

-- What the platform reported about a task besides its events: JSON texts.
CREATE TABLE batchtask.details (
    task           bigint PRIMARY KEY REFERENCES batchtask.tasks (id) ON DELETE CASCADE,
    at_ms          bigint NOT NULL,
    facts          text   NOT NULL,
    failed_devices text
);

-- The duties that only one host should have, and until when it has them by the clock
-- of the database server.
CREATE TABLE batchtask.claims (
    duty   text        PRIMARY KEY,
    holder text        NOT NULL,
    until  timestamptz NOT NULL
);
