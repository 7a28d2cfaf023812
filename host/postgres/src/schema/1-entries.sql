-- How one entry changes the tables. The callers have locked the totals.

-- Uses a signature, and returns 0 if it is fresh, 1 if it is repeated with the same
-- digest, and 2 if it is a replay, which changes nothing. `is_new` is set if the
-- signature was stored.
CREATE FUNCTION batchtask.use_signature(
    used    batchtask.signatures,
    now_ms  bigint,
    OUT status smallint,
    OUT is_new boolean
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    known batchtask.signatures;
BEGIN
    INSERT INTO batchtask.signatures SELECT used.* ON CONFLICT DO NOTHING;
    is_new := FOUND;
    status := 0;
    IF is_new THEN
        RETURN;
    END IF;
    SELECT s.* INTO STRICT known FROM batchtask.signatures AS s
    WHERE s.signature = used.signature;
    IF known.expires_at_ms > now_ms THEN
        IF known.digest <> used.digest THEN
            status := 2;
            RETURN;
        END IF;
        status := 1;
        used.expires_at_ms := greatest(used.expires_at_ms, known.expires_at_ms);
    END IF;
    UPDATE batchtask.signatures AS s
    SET digest = used.digest, expires_at_ms = used.expires_at_ms
    WHERE s.signature = used.signature;
END
$$;

-- Forgets signatures that have expired: a few more than were just stored, so that a
-- backlog shrinks but does not stall a commit. Then forgets those that would
-- expire next, until at most `most` are left.
CREATE FUNCTION batchtask.forget_signatures(
    totals batchtask.totals,
    stored bigint,
    most   bigint
) RETURNS batchtask.totals
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    removed bigint;
BEGIN
    -- The clock may be wrong by its slack of a minute, and so may be the clock that
    -- set the expiry.
    DELETE FROM batchtask.signatures WHERE signature IN (
        SELECT s.signature FROM batchtask.signatures AS s
        WHERE s.expires_at_ms <= totals.clock_ms - 2 * 60000
        ORDER BY s.expires_at_ms LIMIT stored + 64);
    GET DIAGNOSTICS removed = ROW_COUNT;
    totals.signatures := greatest(0, totals.signatures - removed);
    IF totals.signatures > most THEN
        DELETE FROM batchtask.signatures WHERE signature IN (
            SELECT s.signature FROM batchtask.signatures AS s
            ORDER BY s.expires_at_ms LIMIT totals.signatures - most);
        GET DIAGNOSTICS removed = ROW_COUNT;
        totals.signatures := greatest(0, totals.signatures - removed);
    END IF;
    RETURN totals;
END
$$;

-- Stores a reject, and drops the oldest ones until all fit into `max_bytes`. Small
-- and large rejects have half of it each, and may use what the others leave free.
-- A reject that does not fit even into an empty quarantine is dropped itself.
CREATE FUNCTION batchtask.keep_reject(
    totals    batchtask.totals,
    max_bytes bigint,
    reject    batchtask.quarantine
) RETURNS batchtask.totals
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    is_large   constant boolean := reject.bytes > 16384;
    drop_large boolean;
    dropped    bigint;
BEGIN
    IF reject.bytes > max_bytes OR (is_large AND reject.bytes > max_bytes / 2) THEN
        totals.quarantine_dropped := totals.quarantine_dropped + 1;
        RETURN totals;
    END IF;
    IF is_large THEN
        totals.quarantine_large := totals.quarantine_large + reject.bytes;
    ELSE
        totals.quarantine_small := totals.quarantine_small + reject.bytes;
    END IF;
    WHILE totals.quarantine_small + totals.quarantine_large > max_bytes LOOP
        drop_large := totals.quarantine_large > max_bytes / 2;
        -- The number must be that of the index.
        DELETE FROM batchtask.quarantine AS q WHERE q.seq = (
            SELECT o.seq FROM batchtask.quarantine AS o
            WHERE (o.bytes > 16384) = drop_large ORDER BY o.seq LIMIT 1)
        RETURNING q.bytes INTO dropped;
        EXIT WHEN NOT FOUND;
        totals.quarantine_dropped := totals.quarantine_dropped + 1;
        IF drop_large THEN
            totals.quarantine_large := greatest(0, totals.quarantine_large - dropped);
        ELSE
            totals.quarantine_small := greatest(0, totals.quarantine_small - dropped);
        END IF;
    END LOOP;
    totals.last_reject := totals.last_reject + 1;
    reject.seq := totals.last_reject;
    INSERT INTO batchtask.quarantine SELECT reject.*;
    RETURN totals;
END
$$;

-- Counts another arrival of an event. Its content stays that of the first arrival.
CREATE FUNCTION batchtask.count_duplicate(event batchtask.events, listed_id text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    known record;
BEGIN
    UPDATE batchtask.events AS e SET duplicates = e.duplicates + 1
    WHERE e.task = event.task AND e.digest = event.digest
    RETURNING e.seq, e.request_id INTO STRICT known;
    UPDATE batchtask.tasks AS t SET
        duplicates = t.duplicates + 1,
        request_ids = batchtask.with_request_id(t.request_ids, listed_id)
    WHERE t.id = event.task;
    IF listed_id IS NULL OR listed_id IS NOT DISTINCT FROM known.request_id THEN
        RETURN;
    END IF;
    -- Only the first ids in alphabetical order are kept, so they do not depend on
    -- the order of arrival.
    INSERT INTO batchtask.repeats (event, request_id) VALUES (known.seq, listed_id)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        DELETE FROM batchtask.repeats AS r WHERE r.event = known.seq AND r.request_id NOT IN (
            SELECT k.request_id FROM batchtask.repeats AS k WHERE k.event = known.seq
            ORDER BY k.request_id LIMIT 16);
    END IF;
END
$$;

-- Adds an event to its task, and creates the task with its first event. A known
-- event is counted as a duplicate instead, and then the last number stays the same.
-- This function sets the members `seq`, `task` and `late` of the event.
CREATE FUNCTION batchtask.record(
    totals     batchtask.totals,
    event      batchtask.events,
    app        text,
    name       text,
    is_undated boolean,
    listed_id  text
) RETURNS batchtask.totals
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    task_key constant bytea := batchtask.task_key(app, name);
    known    batchtask.tasks;
BEGIN
    event.seq := totals.last_seq + 1;
    SELECT t.* INTO known FROM batchtask.tasks AS t WHERE t.key = task_key;
    IF NOT FOUND THEN
        totals.last_task := totals.last_task + 1;
        event.task := totals.last_task;
        event.late := false;
        INSERT INTO batchtask.tasks (
            id, key, app_id, task_id, task_type, status, status_desc, occurred_at_ms, rank, digest,
            first_occurred_at_ms, last_received_at_ms, events, duplicates, flags, request_ids)
        VALUES (
            event.task, task_key, app, name, event.task_type, event.status,
            event.status_desc, event.occurred_at_ms, event.rank, event.digest,
            event.occurred_at_ms, event.received_at_ms, 1, 0, event.flags,
            batchtask.with_request_id('{}', listed_id));
        INSERT INTO batchtask.events SELECT event.*;
        totals.last_seq := event.seq;
        RETURN totals;
    END IF;

    IF is_undated THEN
        -- After the last event of the task.
        event.occurred_at_ms := greatest(
            event.occurred_at_ms, least(known.occurred_at_ms, 9223372036854775806) + 1);
    END IF;
    event.task := known.id;
    event.late := (known.occurred_at_ms, known.rank, known.digest)
        > (event.occurred_at_ms, event.rank, event.digest);
    INSERT INTO batchtask.events SELECT event.* ON CONFLICT (task, digest) DO NOTHING;
    IF NOT FOUND THEN
        PERFORM batchtask.count_duplicate(event, listed_id);
        RETURN totals;
    END IF;
    totals.last_seq := event.seq;
    IF event.late THEN
        UPDATE batchtask.tasks AS t SET
            first_occurred_at_ms = least(t.first_occurred_at_ms, event.occurred_at_ms),
            last_received_at_ms = greatest(t.last_received_at_ms, event.received_at_ms),
            events = t.events + 1,
            flags = t.flags | event.flags,
            request_ids = batchtask.with_request_id(t.request_ids, listed_id)
        WHERE t.id = known.id;
    ELSE
        UPDATE batchtask.tasks AS t SET
            task_type = event.task_type,
            status = event.status,
            status_desc = event.status_desc,
            occurred_at_ms = event.occurred_at_ms,
            rank = event.rank,
            digest = event.digest,
            last_received_at_ms = greatest(t.last_received_at_ms, event.received_at_ms),
            events = t.events + 1,
            flags = t.flags | event.flags,
            request_ids = batchtask.with_request_id(t.request_ids, listed_id)
        WHERE t.id = known.id;
    END IF;
    RETURN totals;
END
$$;
