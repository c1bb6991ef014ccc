"""The tables of webhooks in the Hub's books. Times are Unix milliseconds."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS subscriptions (
    number INTEGER PRIMARY KEY, subscription_id TEXT NOT NULL UNIQUE, subscriber TEXT NOT NULL,
    endpoint_url TEXT NOT NULL, events TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('active', 'paused')),
    hmac_secret TEXT NOT NULL, created_at INTEGER NOT NULL, last_success_at INTEGER, last_error TEXT,
    failures INTEGER NOT NULL DEFAULT 0, UNIQUE (subscriber, endpoint_url));
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER PRIMARY KEY, subscription_id TEXT NOT NULL, event_id TEXT NOT NULL, type TEXT NOT NULL,
    body BLOB NOT NULL, status TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'dead')),
    attempts INTEGER NOT NULL DEFAULT 0, next_attempt_at INTEGER NOT NULL, created_at INTEGER NOT NULL,
    ended_at INTEGER, last_error TEXT);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (next_attempt_at) WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS deliveries_dead ON deliveries (number) WHERE status = 'dead';
CREATE INDEX IF NOT EXISTS deliveries_of ON deliveries (subscription_id);
"""
