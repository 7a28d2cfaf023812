-- Fills what follows from the events, after a migration and after a copy.

-- The last 64 steps count; the first step of a task has no status before it.
UPDATE tasks SET steps = (
    SELECT max(step & 1) | max(step & 2) | max(step & 4) FROM (
        SELECT CASE WHEN place < 65 THEN step_bits(before, status) ELSE 0 END AS step FROM (
            SELECT status, lag(status) OVER w AS before,
                row_number() OVER (ORDER BY occurred_at_ms DESC, rank DESC, digest DESC) AS place
            FROM (SELECT status, occurred_at_ms, rank, digest
                FROM events INDEXED BY events_by_time WHERE task = tasks.id
                ORDER BY occurred_at_ms DESC, rank DESC, digest DESC LIMIT 65)
            WINDOW w AS (ORDER BY occurred_at_ms, rank, digest))));

INSERT INTO activity (span_ms, start_ms, notifications, failures)
SELECT span_ms, received_at_ms - received_at_ms % span_ms, sum(source <> 2), sum(rank = 4)
FROM (SELECT 60000 AS span_ms UNION ALL SELECT 3600000) CROSS JOIN events
WHERE source <> 2 OR rank = 4
GROUP BY 1, 2;
