-- Returns the hash that identifies a task. A NUL separates the ids.
CREATE FUNCTION batchtask.task_key(app_id text, task_id text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to(app_id, 'UTF8') || '\x00' || convert_to(task_id, 'UTF8'))
$$;

-- Returns request ids together with another one: the first 16 in alphabetical
-- order.
CREATE FUNCTION batchtask.with_request_id(ids text[], id text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN id IS NULL OR id = ANY (ids) THEN ids ELSE
        ARRAY(SELECT known FROM unnest(ids || id) AS known ORDER BY known COLLATE "C" LIMIT 16)
    END
$$;

-- Writes the totals, which the caller has locked.
CREATE FUNCTION batchtask.save(changed batchtask.totals) RETURNS void
LANGUAGE sql VOLATILE AS $$
    UPDATE batchtask.totals SET
        last_seq = changed.last_seq, last_task = changed.last_task,
        last_reject = changed.last_reject, last_received_at_ms = changed.last_received_at_ms,
        signatures = changed.signatures, quarantine_small = changed.quarantine_small,
        quarantine_large = changed.quarantine_large,
        quarantine_dropped = changed.quarantine_dropped, pruned_events = changed.pruned_events,
        pruned_digests = changed.pruned_digests, commits = changed.commits + 1,
        clock_ms = changed.clock_ms, clock_set_ms = changed.clock_set_ms,
        ahead_since_ms = changed.ahead_since_ms
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
