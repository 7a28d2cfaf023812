-- Makes a batch durable: one call is one transaction and one round trip. The
-- lock on `totals` is therefore never held while a client thinks.
--
-- The arrays have one element for each entry. The entries take effect in that order,
-- but by a few statements for all of them, because a statement for each took most of the
-- time of a commit. `kinds` are 0 for a probe, 1 for an event and 2 for a reject. An
-- event without a readable time is `undated`; a `listed_id` is a request id that
-- is short enough to be listed. Outcomes are 0 for recorded, 1 for a duplicate and
-- 2 for a replay. `waited_us` is the time that the call waited for other hosts, in
-- microseconds.
CREATE FUNCTION batchtask.append(
    lock_timeout    text,
    channel         text,
    signatures_max  bigint,
    quarantine_max  bigint,
    kinds           smallint[],
    signatures      bytea[],
    signed_digests  bytea[],
    expiries_ms     bigint[],
    received_at     bigint[],
    bodies          bytea[],
    app_ids         text[],
    task_ids        text[],
    digests         bytea[],
    occurred_at     bigint[],
    ranks           smallint[],
    undated         boolean[],
    sources         smallint[],
    verdicts        text[],
    flag_bits       integer[],
    task_types      text[],
    statuses        text[],
    status_descs    text[],
    event_times     text[],
    event_times_ms  text[],
    request_ids     text[],
    listed_ids      text[],
    reject_bytes    bigint[],
    reasons         text[],
    details         text[],
    pointers        text[],
    OUT outcomes    smallint[],
    OUT last_seq    bigint,
    OUT quarantine_bytes   bigint,
    OUT quarantine_dropped bigint,
    OUT pruned_events      bigint,
    OUT waited_us          bigint
)
LANGUAGE plpgsql VOLATILE
-- Plans are kept, because planning would take longer than a small batch, and so may be older
-- than a table's statistics. An index is never much slower, and the cost of what is
-- forbidden must not start a compilation.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
DECLARE
    duplicate constant smallint := 1;
    replayed  constant smallint := 2;
    -- The source of an event that no notification reported.
    reconciled constant smallint := 2;
    started_at constant timestamptz := clock_timestamp();
    totals     batchtask.totals := batchtask.begin_write(lock_timeout);
    locked_at  constant timestamptz := clock_timestamp();
    first_seq  constant bigint := totals.last_seq;
    arrival_ms constant bigint := (SELECT min(ms) FROM unnest(received_at) AS ms);
    keys       bytea[];
    seqs       bigint[];
    -- New events of one task take turns, because each depends on the state before it.
    turns      bigint[];
    last_turn  bigint;
    created    bigint;
    changed    bigint[];
    stored     bigint;
    entry      record;
BEGIN
    SELECT u.outcomes, u.stored INTO outcomes, stored
    FROM batchtask.use_signatures(signatures, signed_digests, expiries_ms, received_at) AS u;
    totals.signatures := totals.signatures + stored;

    -- Which events are new, and their numbers. A subquery in parentheses is always
    -- evaluated for each row, by an index.
    SELECT
        array_agg(e.key),
        array_agg(CASE WHEN e.is_new THEN e.seq END),
        array_agg(CASE WHEN e.is_new THEN e.turn END),
        -- A batch may be empty.
        coalesce(array_agg(CASE WHEN NOT e.is_event THEN e.outcome WHEN e.is_new THEN 0::smallint
            ELSE duplicate END), '{}'),
        coalesce(max(e.seq), first_seq),
        max(e.turn) FILTER (WHERE e.is_new),
        greatest(totals.last_received_at_ms, 
            max(e.received_at_ms) FILTER (WHERE e.is_event AND e.source <> reconciled))
    INTO keys, seqs, turns, outcomes, totals.last_seq, last_turn, totals.last_received_at_ms
    FROM (
        SELECT n.*,
            first_seq + count(*) FILTER (WHERE n.is_new) OVER (ORDER BY n.at) AS seq,
            row_number() OVER (PARTITION BY n.is_new, n.key ORDER BY n.at) AS turn
        FROM (
            SELECT i.*,
                i.is_event
                AND row_number() OVER (PARTITION BY i.is_event, i.digest ORDER BY i.at) = 1
                AND (
                    SELECT 1 FROM batchtask.tasks AS t
                    JOIN batchtask.events AS k ON k.task = t.id AND k.digest = i.digest
                    WHERE t.key = i.key LIMIT 1) IS NULL
                AND (totals.pruned_digests = 0 OR (
                    SELECT 1 FROM batchtask.pruned AS p WHERE p.digest = i.digest LIMIT 1) IS NULL)
                AS is_new
            FROM (
                SELECT u.*,
                    u.kind = 1 AND u.outcome <> replayed AS is_event,
                    batchtask.task_key(u.app_id, u.task_id) AS key
                FROM unnest(kinds, outcomes, received_at, sources, app_ids, task_ids, digests)
                    WITH ORDINALITY
                    AS u (kind, outcome, received_at_ms, source, app_id, task_id, digest, at)
            ) AS i
        ) AS n
        ORDER BY n.at
    ) AS e;

    FOR current_turn IN 1 .. coalesce(last_turn, 0) LOOP
        WITH fresh AS MATERIALIZED (
            SELECT e.*, o.occurred_at_ms, t.id AS known, t.events, t.steps,
                coalesce(t.id, totals.last_task
                    + row_number() OVER (PARTITION BY t.id IS NULL ORDER BY e.seq)) AS task,
                coalesce((t.occurred_at_ms, t.rank, t.digest)
                    > (o.occurred_at_ms, e.rank, e.digest), false) AS late
            FROM unnest(
                turns, seqs, keys, received_at, bodies, app_ids, task_ids, digests, occurred_at,
                ranks, undated, sources, verdicts, flag_bits, task_types, statuses, status_descs,
                event_times, event_times_ms, request_ids, listed_ids
            ) AS e (
                turn, seq, key, received_at_ms, body, app_id, task_id, digest, dated_at_ms,
                rank, is_undated, source, signature, flags, task_type, status, status_desc,
                event_time, event_time_ms, request_id, listed_id
            )
            LEFT JOIN LATERAL (
                SELECT k.id, k.occurred_at_ms, k.rank, k.digest, k.events, k.steps
                FROM batchtask.tasks AS k WHERE k.key = e.key LIMIT 1
            ) AS t ON true
            CROSS JOIN LATERAL (
                -- An undated event follows the last event of its task.
                SELECT CASE WHEN e.is_undated AND t.id IS NOT NULL THEN greatest(
                    e.dated_at_ms, least(t.occurred_at_ms, 9223372036854775806) + 1)
                    ELSE e.dated_at_ms END AS occurred_at_ms
            ) AS o
            WHERE e.turn = current_turn
        ), new_tasks AS (
            INSERT INTO batchtask.tasks (
                id, key, app_id, task_id, task_type, status, status_desc, occurred_at_ms, rank,
                digest, first_occurred_at_ms, last_received_at_ms, events, duplicates, flags,
                steps, request_ids)
            SELECT
                f.task, f.key, f.app_id, f.task_id, f.task_type, f.status, f.status_desc,
                f.occurred_at_ms, f.rank, f.digest, f.occurred_at_ms, f.received_at_ms, 1, 0,
                f.flags, batchtask.step_bits(NULL, f.status),
                batchtask.with_request_id('{}', f.listed_id)
            FROM fresh AS f WHERE f.known IS NULL
        ), known_tasks AS (
            UPDATE batchtask.tasks AS t SET
                task_type = CASE WHEN f.late THEN t.task_type ELSE f.task_type END,
                status = CASE WHEN f.late THEN t.status ELSE f.status END,
                status_desc = CASE WHEN f.late THEN t.status_desc ELSE f.status_desc END,
                occurred_at_ms = CASE WHEN f.late THEN t.occurred_at_ms ELSE f.occurred_at_ms END,
                rank = CASE WHEN f.late THEN t.rank ELSE f.rank END,
                digest = CASE WHEN f.late THEN t.digest ELSE f.digest END,
                first_occurred_at_ms = least(t.first_occurred_at_ms, f.occurred_at_ms),
                last_received_at_ms = greatest(t.last_received_at_ms, f.received_at_ms),
                events = t.events + 1,
                flags = t.flags | f.flags,
                steps = t.steps | CASE WHEN f.late THEN 0
                    ELSE batchtask.step_bits(t.status, f.status) END,
                request_ids = batchtask.with_request_id(t.request_ids, f.listed_id)
            FROM fresh AS f WHERE t.id = f.known
        ), new_events AS (
            INSERT INTO batchtask.events (
                seq, task, digest, occurred_at_ms, rank, received_at_ms, source, signature, flags,
                late, duplicates, task_type, status, status_desc, event_time, event_time_ms,
                request_id, body)
            SELECT
                f.seq, f.task, f.digest, f.occurred_at_ms, f.rank, f.received_at_ms, f.source,
                f.signature, f.flags, f.late, 0, f.task_type, f.status, f.status_desc,
                f.event_time, f.event_time_ms, f.request_id, f.body
            FROM fresh AS f
        )
        SELECT
            count(*) FILTER (WHERE f.known IS NULL),
            array_agg(f.known) FILTER (WHERE f.late OR (f.events >= 64 AND f.steps <> 0))
        INTO created, changed FROM fresh AS f;
        totals.last_task := totals.last_task + created;
        -- Steps between earlier events changed, or one with a flag may have left the last 64.
        IF changed IS NOT NULL THEN
            UPDATE batchtask.tasks AS t SET steps = batchtask.steps_of(t.id)
            WHERE t.id = ANY (changed);
        END IF;
    END LOOP;

    FOR entry IN
        SELECT e.* FROM unnest(
            kinds, outcomes, keys, digests, listed_ids, received_at, reject_bytes, reasons,
            details, pointers, bodies
        ) AS e (
            kind, outcome, key, digest, listed_id, received_at_ms, bytes, reason,
            detail, pointer, body
        ) WHERE (e.kind = 1 AND e.outcome = duplicate) OR (e.kind = 2 AND e.outcome = 0)
    LOOP
        IF entry.kind = 1 THEN
            PERFORM batchtask.count_duplicate(entry.key, entry.digest, entry.listed_id);
        ELSE
            totals := batchtask.keep_reject(totals, quarantine_max, (
                0, entry.received_at_ms, entry.bytes, entry.reason, entry.detail, entry.pointer,
                entry.body));
        END IF;
    END LOOP;

    IF arrival_ms IS NOT NULL THEN
        totals := batchtask.steady_clock(totals, arrival_ms);
    END IF;
    IF totals.last_seq > first_seq THEN
        PERFORM batchtask.count_activity(first_seq);
    END IF;
    IF stored > 0 THEN
        totals := batchtask.forget_signatures(totals, stored, signatures_max);
    END IF;
    -- Every commit writes, so it waits for a synchronous standby even if it stores
    -- nothing new.
    PERFORM batchtask.save(totals);
    IF totals.last_seq > first_seq AND channel <> '' THEN
        PERFORM pg_notify(channel, totals.last_seq::text);
    END IF;
    last_seq := totals.last_seq;
    quarantine_bytes := totals.quarantine_small + totals.quarantine_large;
    quarantine_dropped := totals.quarantine_dropped;
    pruned_events := totals.pruned_events;
    waited_us := 1000000 * extract(epoch FROM locked_at - started_at);
END
$$;
