"""The tables of the Hub's providers. Amounts are micro-USDC, times Unix milliseconds.

A provider's `balance` is what it is owed: the sum of its entries, whose `amount` is positive for its share of a sale,
and negative for what went back with a refund or was paid out. A refund of what was paid out already makes it negative.
"""

SCHEMA = """
CREATE TABLE IF NOT EXISTS providers (
    provider_id TEXT PRIMARY KEY, namespace TEXT NOT NULL UNIQUE, display_name TEXT NOT NULL, owner_email TEXT NOT NULL,
    endpoint_url TEXT NOT NULL, host TEXT NOT NULL, country TEXT NOT NULL, website TEXT, payout_address TEXT,
    key_hash BLOB NOT NULL UNIQUE, previous_hash BLOB, previous_until INTEGER, hmac_secret TEXT NOT NULL,
    dns_token TEXT NOT NULL, verified_at INTEGER, stripe_verified_at INTEGER,
    balance INTEGER NOT NULL DEFAULT 0, total_calls INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS providers_by_age ON providers (created_at);
CREATE TABLE IF NOT EXISTS provider_rotations (provider_id TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS provider_onboardings (
    token TEXT PRIMARY KEY, provider_id TEXT NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS provider_manifests (
    number INTEGER PRIMARY KEY, provider_id TEXT NOT NULL, capability TEXT NOT NULL, version TEXT NOT NULL,
    status TEXT NOT NULL, manifest TEXT NOT NULL, UNIQUE (capability, version));
CREATE TABLE IF NOT EXISTS provider_entries (
    number INTEGER PRIMARY KEY, provider_id TEXT NOT NULL, kind TEXT NOT NULL, reference TEXT NOT NULL,
    amount INTEGER NOT NULL, balance_after INTEGER NOT NULL, created_at INTEGER NOT NULL, UNIQUE (kind, reference));
CREATE INDEX IF NOT EXISTS provider_entries_of ON provider_entries (provider_id);
CREATE INDEX IF NOT EXISTS provider_payouts ON provider_entries (number) WHERE kind = 'payout';
CREATE TABLE IF NOT EXISTS txt_records (
    name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name, value)) WITHOUT ROWID;
"""
