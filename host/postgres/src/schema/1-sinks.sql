-- Sinks: how far the events were passed on to each, and which host does it. Only the
-- owner with the greatest fencing number changes one. Another host may acquire it when
-- the lease has passed by the clock of the database.
CREATE TABLE batchtask.sinks (
    name       text        COLLATE "C" PRIMARY KEY,
    fence      bigint      NOT NULL,
    owner      text        COLLATE "C" NOT NULL,
    expires_at timestamptz NOT NULL,
    position   bigint      NOT NULL,
    paused     boolean     NOT NULL DEFAULT false,
    -- What else the sink remembers, in a form of its own.
    memo       text        COLLATE "C" NOT NULL DEFAULT ''
) WITH (fillfactor = 50);

-- The events at or before the position of a sink that are not delivered yet.
CREATE TABLE batchtask.sink_parked (
    sink          text    COLLATE "C" NOT NULL,
    seq           bigint  NOT NULL,
    app_id        text    COLLATE "C" NOT NULL,
    task_id       text    COLLATE "C" NOT NULL,
    attempts      bigint  NOT NULL,
    not_before_ms bigint  NOT NULL,
    error         text    COLLATE "C" NOT NULL,
    PRIMARY KEY (sink, seq)
);

-- The events that were given up.
CREATE TABLE batchtask.sink_dead (
    sink       text    COLLATE "C" NOT NULL,
    seq        bigint  NOT NULL,
    app_id     text    COLLATE "C" NOT NULL,
    task_id    text    COLLATE "C" NOT NULL,
    attempts   bigint  NOT NULL,
    died_at_ms bigint  NOT NULL,
    error      text    COLLATE "C" NOT NULL,
    PRIMARY KEY (sink, seq)
);

-- Stores a change of a sink. Returns false, and changes nothing, if `owner_fence` is not
-- the number of the owner.
CREATE FUNCTION batchtask.save_sink(
    sink_name       text,
    owner_fence     bigint,
    new_position    bigint,
    new_paused      boolean,
    new_memo        text, -- null: it stays as it is
    parked_seqs     bigint[],
    parked_apps     text[],
    parked_tasks    text[],
    parked_attempts bigint[],
    parked_times    bigint[],
    parked_errors   text[],
    unparked        bigint[],
    dead_seqs       bigint[],
    dead_apps       text[],
    dead_tasks      text[],
    dead_attempts   bigint[],
    dead_times      bigint[],
    dead_errors     text[],
    resolved        bigint[]
)
RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    -- The row stays locked until the end, so no other owner comes in between.
    UPDATE batchtask.sinks AS s SET position = new_position, paused = new_paused,
        memo = coalesce(new_memo, s.memo)
    WHERE s.name = sink_name AND s.fence = owner_fence;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM batchtask.sink_parked AS p WHERE p.sink = sink_name AND p.seq = ANY (unparked);
    DELETE FROM batchtask.sink_dead AS d WHERE d.sink = sink_name AND d.seq = ANY (resolved);
    INSERT INTO batchtask.sink_parked AS p
        (sink, seq, app_id, task_id, attempts, not_before_ms, error)
    SELECT sink_name, n.* FROM unnest(parked_seqs, parked_apps, parked_tasks, parked_attempts,
        parked_times, parked_errors) AS n
    ON CONFLICT (sink, seq) DO UPDATE SET attempts = excluded.attempts,
        not_before_ms = excluded.not_before_ms, error = excluded.error;
    INSERT INTO batchtask.sink_dead AS d
        (sink, seq, app_id, task_id, attempts, died_at_ms, error)
    SELECT sink_name, n.* FROM unnest(dead_seqs, dead_apps, dead_tasks, dead_attempts,
        dead_times, dead_errors) AS n
    ON CONFLICT (sink, seq) DO UPDATE SET attempts = excluded.attempts,
        died_at_ms = excluded.died_at_ms, error = excluded.error;
    RETURN true;
END
$$;
