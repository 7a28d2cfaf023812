-- How one entry changes the tables. The callers have locked the totals.

-- Uses signatures in their order. `outcomes` are 0 for one that is fresh or missing, 1
-- for one that is repeated with the same digest, and 2 for a replay, which changes
-- nothing. `stored` counts those that were not known.
CREATE FUNCTION batchtask.use_signatures(
    signatures  bytea[],
    digests     bytea[],
    expiries_ms bigint[],
    received_at bigint[],
    OUT outcomes smallint[],
    OUT stored   bigint
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    given    constant bigint := cardinality(array_remove(signatures, NULL));
    fresh    bytea[];
    repeated record;
BEGIN
    outcomes := array_fill(0::smallint, ARRAY[cardinality(signatures)]);
    stored := 0;
    IF given = 0 THEN
        RETURN;
    END IF;
    WITH used AS (
        INSERT INTO batchtask.signatures AS s (signature, digest, expires_at_ms)
        SELECT u.* FROM unnest(signatures, digests, expiries_ms)
            AS u (signature, digest, expires_at_ms)
        WHERE u.signature IS NOT NULL
        ON CONFLICT DO NOTHING
        RETURNING s.signature
    )
    SELECT coalesce(array_agg(u.signature), '{}'), count(*) INTO fresh, stored FROM used AS u;
    IF stored = given THEN
        RETURN;
    END IF;
    FOR repeated IN
        SELECT u.* FROM (
            SELECT e.*, row_number() OVER (PARTITION BY e.signature ORDER BY e.at) AS nth
            FROM unnest(signatures, digests, expiries_ms, received_at) WITH ORDINALITY
                AS e (signature, digest, expires_at_ms, received_at_ms, at)
        ) AS u
        WHERE u.signature IS NOT NULL AND (u.nth > 1 OR u.signature <> ALL (fresh))
        ORDER BY u.at
    LOOP
        outcomes[repeated.at] := batchtask.repeat_signature(
            (repeated.signature, repeated.digest, repeated.expires_at_ms),
            repeated.received_at_ms);
    END LOOP;
END
$$;

-- Uses a signature that is known, and returns its outcome: see `use_signatures`.
CREATE FUNCTION batchtask.repeat_signature(used batchtask.signatures, now_ms bigint)
RETURNS smallint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    known  batchtask.signatures;
    status smallint := 0;
BEGIN
    SELECT s.* INTO STRICT known FROM batchtask.signatures AS s
    WHERE s.signature = used.signature;
    IF known.expires_at_ms > now_ms THEN
        IF known.digest <> used.digest THEN
            RETURN 2;
        END IF;
        status := 1;
        used.expires_at_ms := greatest(used.expires_at_ms, known.expires_at_ms);
    END IF;
    UPDATE batchtask.signatures AS s
    SET digest = used.digest, expires_at_ms = used.expires_at_ms
    WHERE s.signature = used.signature;
    RETURN status;
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

-- Counts another arrival of an event, unless the event was pruned. Its content stays
-- that of the first arrival.
CREATE FUNCTION batchtask.count_duplicate(task_key bytea, event_digest bytea, listed_id text)
RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    known record;
BEGIN
    UPDATE batchtask.events AS e SET duplicates = e.duplicates + 1
    WHERE e.digest = event_digest
        AND e.task = (SELECT t.id FROM batchtask.tasks AS t WHERE t.key = task_key)
    RETURNING e.seq, e.task, e.request_id INTO known;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE batchtask.tasks AS t SET
        duplicates = t.duplicates + 1,
        request_ids = batchtask.with_request_id(t.request_ids, listed_id)
    WHERE t.id = known.task;
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
