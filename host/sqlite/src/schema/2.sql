-- Tells also which tasks are silent, without reading the tasks.
DROP INDEX tasks_by_rank;
CREATE INDEX tasks_by_rank ON tasks (rank, status, last_received_at_ms);
