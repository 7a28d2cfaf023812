-- `oddities` are called flags everywhere now.
ALTER TABLE tasks RENAME COLUMN oddities TO flags;
ALTER TABLE events RENAME COLUMN oddities TO flags;

-- The channel that an event came by: 0 push, 1 AMQP, 2 reconcile. All events
-- so far were pushed.
ALTER TABLE events ADD COLUMN source INTEGER NOT NULL DEFAULT 0;

-- A signature is remembered instead of its nonce, together with the digest of
-- its notification. Which signature a nonce belonged to is not known, so the
-- nonces are forgotten: a notification that is repeated right after the
-- migration is still found to be a duplicate by its digest.
DROP TABLE nonces;
CREATE TABLE signatures (
    signature     BLOB    PRIMARY KEY,
    digest        BLOB    NOT NULL,
    expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX signatures_by_expiry ON signatures (expires_at_ms);
ALTER TABLE totals RENAME COLUMN nonces TO signatures;
UPDATE totals SET signatures = 0;
