-- Makes a batch durable: one call is one transaction and one round trip. The
-- lock on `totals` is therefore never held while a client thinks.
--
-- The arrays have one element for each entry, and the entries take effect in
-- that order. `kinds` are 0 for a probe, 1 for an event and 2 for a reject. An
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
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    duplicate constant smallint := 1;
    replayed  constant smallint := 2;
    started_at constant timestamptz := clock_timestamp();
    totals     batchtask.totals := batchtask.begin_write(lock_timeout);
    locked_at  constant timestamptz := clock_timestamp();
    first_seq  constant bigint := totals.last_seq;
    arrival_ms constant bigint := (SELECT min(ms) FROM unnest(received_at) AS ms);
    last       bigint;
    entry      record;
    used       record;
    outcome    smallint;
    stored     bigint := 0;
BEGIN
    outcomes := '{}';
    FOR entry IN SELECT * FROM unnest(
        kinds, signatures, signed_digests, expiries_ms, received_at, bodies, app_ids, task_ids,
        digests, occurred_at, ranks, undated, sources, verdicts, flag_bits, task_types, statuses,
        status_descs, event_times, event_times_ms, request_ids, listed_ids, reject_bytes, reasons,
        details, pointers
    ) AS entries (
        kind, signature, signed_digest, expires_at_ms, received_at_ms, body, app_id, task_id,
        digest, occurred_at_ms, rank, is_undated, source, verdict, flags, task_type, status,
        status_desc, event_time, event_time_ms, request_id, listed_id, bytes, reason,
        detail, pointer
    ) LOOP
        outcome := 0;
        IF entry.signature IS NOT NULL THEN
            used := batchtask.use_signature(
                (entry.signature, entry.signed_digest, entry.expires_at_ms), entry.received_at_ms);
            outcome := used.status;
            stored := stored + used.is_new::int;
            totals.signatures := totals.signatures + used.is_new::int;
        END IF;

        IF entry.kind = 2 AND outcome = 0 THEN
            totals := batchtask.keep_reject(totals, quarantine_max, (
                0, entry.received_at_ms, entry.bytes, entry.reason, entry.detail, entry.pointer,
                entry.body));
        ELSIF entry.kind = 1 AND outcome <> replayed THEN
            totals.last_received_at_ms :=
                greatest(totals.last_received_at_ms, entry.received_at_ms);
            last := totals.last_seq;
            IF totals.pruned_digests = 0 OR NOT EXISTS (
                SELECT FROM batchtask.pruned AS p WHERE p.digest = entry.digest)
            THEN
                totals := batchtask.record(
                    totals,
                    (
                        0, 0, entry.digest, entry.occurred_at_ms, entry.rank, entry.received_at_ms,
                        entry.source, entry.verdict, entry.flags, false, 0, entry.task_type,
                        entry.status, entry.status_desc, entry.event_time, entry.event_time_ms,
                        entry.request_id, entry.body
                    ),
                    entry.app_id, entry.task_id, entry.is_undated, entry.listed_id);
            END IF;
            outcome := CASE totals.last_seq WHEN last THEN duplicate ELSE 0 END;
        END IF;
        outcomes := array_append(outcomes, outcome);
    END LOOP;

    IF arrival_ms IS NOT NULL THEN
        totals := batchtask.steady_clock(totals, arrival_ms);
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
