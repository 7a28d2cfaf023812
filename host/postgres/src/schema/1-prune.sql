-- Removes a few events of final tasks whose last new event arrived before
-- `before_ms` or, if that is NULL, longer than `keep_ms` ago. `host_ms` is the time
-- of the caller's clock, or NULL. `more` is set if there is more to remove.
CREATE FUNCTION batchtask.prune(
    lock_timeout text,
    before_ms    bigint,
    keep_ms      bigint,
    host_ms      bigint,
    OUT events   bigint,
    OUT more     boolean
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    totals      batchtask.totals;
    limit_ms    bigint;
    oldest      bigint;
    victim      record;
    removed     bigint;
    changed     bigint;
    left_events bigint := 200;
    left_bytes  bigint := 1048576;
    until       constant timestamptz := clock_timestamp() + interval '10 ms';
BEGIN
    events := 0;
    more := false;
    -- Without the lock, because there is usually nothing to remove.
    IF NOT EXISTS (
        SELECT FROM batchtask.tasks AS t
        WHERE t.rank = 5 AND t.last_received_at_ms < coalesce(before_ms, host_ms - keep_ms))
    THEN
        RETURN;
    END IF;
    totals := batchtask.begin_write(lock_timeout);
    IF host_ms IS NOT NULL THEN
        totals := batchtask.steady_clock(totals, host_ms);
    END IF;
    limit_ms := coalesce(before_ms, totals.clock_ms - keep_ms);

    -- The platform may repeat a notification within a day; the second day is a
    -- margin.
    DELETE FROM batchtask.pruned WHERE digest IN (
        SELECT p.digest FROM batchtask.pruned AS p
        WHERE p.pruned_at_ms < totals.clock_ms - 2 * 24 * 60 * 60 * 1000
        ORDER BY p.pruned_at_ms LIMIT 2 * left_events);
    GET DIAGNOSTICS changed = ROW_COUNT;
    totals.pruned_digests := greatest(0, totals.pruned_digests - changed);

    DELETE FROM batchtask.activity WHERE (span_ms, start_ms) IN (
        SELECT a.span_ms, a.start_ms FROM batchtask.activity AS a
        WHERE a.start_ms < limit_ms - a.span_ms ORDER BY a.start_ms LIMIT 2000);

    LOOP
        SELECT t.id INTO oldest FROM batchtask.tasks AS t
        WHERE t.rank = 5 AND t.last_received_at_ms < limit_ms
        ORDER BY t.last_received_at_ms LIMIT 1;
        more := FOUND;
        EXIT WHEN NOT more OR left_events <= 0 OR left_bytes <= 0 OR clock_timestamp() > until;
        -- The first events go first, so the state of the task stays correct until
        -- no event is left.
        removed := 0;
        FOR victim IN
            SELECT e.seq, e.digest, octet_length(e.body) + octet_length(e.status_desc) AS bytes
            FROM batchtask.events AS e WHERE e.task = oldest
            ORDER BY e.occurred_at_ms, e.rank, e.digest LIMIT left_events
        LOOP
            -- At least one, so that there is progress.
            EXIT WHEN removed > 0 AND (left_bytes <= 0 OR clock_timestamp() > until);
            INSERT INTO batchtask.pruned VALUES (victim.digest, totals.clock_ms)
            ON CONFLICT DO NOTHING;
            totals.pruned_digests := totals.pruned_digests + FOUND::int;
            DELETE FROM batchtask.repeats AS r WHERE r.event = victim.seq;
            DELETE FROM batchtask.events AS e WHERE e.seq = victim.seq;
            removed := removed + 1;
            left_events := left_events - 1;
            left_bytes := left_bytes - victim.bytes;
        END LOOP;
        UPDATE batchtask.tasks AS t SET events = t.events - removed WHERE t.id = oldest;
        DELETE FROM batchtask.tasks AS t
        WHERE t.id = oldest AND (t.events <= 0 OR removed = 0);
        events := events + removed;
    END LOOP;
    totals.pruned_events := totals.pruned_events + events;
    PERFORM batchtask.save(totals);
END
$$;
