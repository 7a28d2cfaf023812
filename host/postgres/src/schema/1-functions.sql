-- Returns the hash that identifies a task. A NUL separates the ids. It is not declared as
-- immutable, because then the server could not expand it: `convert_to` is not.
CREATE FUNCTION batchtask.task_key(app_id text, task_id text) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to(app_id, 'UTF8') || '\x00' || convert_to(task_id, 'UTF8'))
$$;

-- Returns request ids together with another one: the first 16 in alphabetical
-- order. Functions that a commit calls are in PL/pgSQL, because the server plans an SQL
-- function in each statement again.
CREATE FUNCTION batchtask.with_request_id(ids text[], id text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF id IS NULL OR id = ANY (ids) THEN
        RETURN ids;
    ELSIF ids = '{}' THEN
        RETURN ARRAY[id];
    END IF;
    RETURN ARRAY(SELECT known FROM unnest(ids || id) AS known ORDER BY known COLLATE "C" LIMIT 16);
END
$$;

-- Returns the flag of the step from one status of a task to the next, as the guest
-- does; a test compares them. `before` is NULL if there is no status before it. The
-- flags are 1 for a gap, 2 for a retry, and 4 for a step that no rule explains.
CREATE FUNCTION batchtask.step_bits(before text, status text) RETURNS integer
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    known constant text[] := ARRAY['Initializing', 'Waitting', 'Processing', 'Stopping',
        'PartialSuccess', 'Fail', 'Success', 'Stopped'];
BEGIN
    RETURN CASE
        WHEN status <> ALL (known) OR before <> ALL (known) OR before = status THEN 0
        WHEN before IS NULL THEN
            (status IN ('Stopping', 'PartialSuccess', 'Fail', 'Success', 'Stopped'))::int
        WHEN before IN ('PartialSuccess', 'Fail') THEN
            CASE WHEN status IN ('Initializing', 'Waitting', 'Processing') THEN 2 ELSE 1 END
        WHEN (before, status) IN (
            ('Initializing', 'Waitting'), ('Initializing', 'Processing'),
            ('Initializing', 'Stopping'), ('Initializing', 'Stopped'),
            ('Waitting', 'Processing'), ('Waitting', 'Stopping'), ('Waitting', 'Stopped'),
            ('Stopping', 'Stopped')) THEN 0
        WHEN before IN ('Initializing', 'Waitting') AND status <> 'Initializing' THEN 1
        WHEN before = 'Processing' AND status NOT IN ('Initializing', 'Waitting') THEN 0
        ELSE 4
    END;
END
$$;

-- Returns the flags of the steps of a task: those to its last 64 events.
CREATE FUNCTION batchtask.steps_of(of_task bigint) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT coalesce(bit_or(batchtask.step_bits(s.before, s.status)), 0) FROM (
        SELECT e.status, lag(e.status) OVER (ORDER BY e.occurred_at_ms, e.rank, e.digest) AS before,
            row_number() OVER (ORDER BY e.occurred_at_ms DESC, e.rank DESC, e.digest DESC) AS place
        FROM (SELECT * FROM batchtask.events AS all_events WHERE all_events.task = of_task
            ORDER BY all_events.occurred_at_ms DESC, all_events.rank DESC, all_events.digest DESC
            LIMIT 65) AS e) AS s
    WHERE s.place < 65
$$;

-- Counts the events with a greater number than `last_seq` among what arrived.
CREATE FUNCTION batchtask.count_activity(last_seq bigint) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO batchtask.activity AS a (span_ms, start_ms, notifications, failures)
    SELECT span_ms, e.received_at_ms - e.received_at_ms % span_ms,
        count(*) FILTER (WHERE e.source <> 2), count(*) FILTER (WHERE e.rank = 4)
    FROM batchtask.events AS e CROSS JOIN unnest('{60000, 3600000}'::bigint[]) AS span_ms
    WHERE e.seq > count_activity.last_seq AND (e.source <> 2 OR e.rank = 4)
    GROUP BY 1, 2
    ON CONFLICT ON CONSTRAINT activity_pkey DO UPDATE SET
        notifications = a.notifications + excluded.notifications,
        failures = a.failures + excluded.failures;
END
$$;

-- Removes a reject. Returns whether there was one with this number.
CREATE FUNCTION batchtask.drop_reject(lock_timeout text, number bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    totals  batchtask.totals := batchtask.begin_write(lock_timeout);
    dropped bigint;
BEGIN
    DELETE FROM batchtask.quarantine AS q WHERE q.seq = number RETURNING q.bytes INTO dropped;
    IF dropped IS NULL THEN
        RETURN false;
    END IF;
    IF dropped > 16384 THEN
        totals.quarantine_large := greatest(0, totals.quarantine_large - dropped);
    ELSE
        totals.quarantine_small := greatest(0, totals.quarantine_small - dropped);
    END IF;
    PERFORM batchtask.save(totals);
    RETURN true;
END
$$;

-- Writes the totals, which the caller has locked.
CREATE FUNCTION batchtask.save(changed batchtask.totals) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    UPDATE batchtask.totals SET
        last_seq = changed.last_seq, last_task = changed.last_task,
        last_reject = changed.last_reject, last_received_at_ms = changed.last_received_at_ms,
        signatures = changed.signatures, quarantine_small = changed.quarantine_small,
        quarantine_large = changed.quarantine_large,
        quarantine_dropped = changed.quarantine_dropped, pruned_events = changed.pruned_events,
        pruned_digests = changed.pruned_digests, commits = changed.commits + 1,
        clock_ms = changed.clock_ms, clock_set_ms = changed.clock_set_ms,
        ahead_since_ms = changed.ahead_since_ms;
END
$$;

-- Returns the totals with their clock advanced. `host_ms` is the time of the
-- caller's clock. The clock of the journal follows it back, but not ahead: then it
-- advances by the time that really passed, until the clocks of hosts have been
-- ahead for a day and are probably right.
CREATE FUNCTION batchtask.steady_clock(totals batchtask.totals, host_ms bigint)
RETURNS batchtask.totals
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    -- More than the error of synchronized clocks.
    slack_ms  constant bigint := 60000;
    day_ms    constant bigint := 24 * 60 * 60 * 1000;
    server_ms constant bigint := floor(extract(epoch FROM clock_timestamp()) * 1000);
    steady_ms bigint := totals.clock_ms + greatest(0, server_ms - totals.clock_set_ms);
BEGIN
    IF steady_ms IS NULL OR host_ms <= steady_ms + slack_ms THEN
        steady_ms := host_ms;
        totals.ahead_since_ms := NULL;
    ELSE
        totals.ahead_since_ms := least(server_ms, coalesce(totals.ahead_since_ms, server_ms));
        IF server_ms - totals.ahead_since_ms >= day_ms THEN
            steady_ms := host_ms;
            totals.ahead_since_ms := NULL;
        END IF;
    END IF;
    totals.clock_ms := steady_ms;
    totals.clock_set_ms := server_ms;
    RETURN totals;
END
$$;

-- Begins a transaction that writes: makes its commit durable, and locks and
-- returns the totals.
CREATE FUNCTION batchtask.begin_write(lock_timeout text) RETURNS batchtask.totals
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    totals batchtask.totals;
BEGIN
    -- Set here and not only for the connection: a pooler may use a connection
    -- of another program.
    IF current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    -- Statements after the lock must see what the former holder committed.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE 'the transaction isolation must be `read committed`: reset default_transaction_isolation';
    END IF;
    PERFORM set_config('lock_timeout', lock_timeout, true);
    SELECT t.* INTO STRICT totals FROM batchtask.totals AS t FOR UPDATE;
    -- Only with the lock, which the beginning of a copy takes too.
    IF EXISTS (SELECT FROM batchtask.copying) THEN
        RAISE 'the journal is an incomplete copy: complete it with `batchtask journal copy`';
    END IF;
    RETURN totals;
END
$$;
