"""The tables of the sandbox Hub's books. Amounts are micro-USDC, times Unix milliseconds."""

from jecp_mcp.sandbox.providers import tables as providers

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agents (
    agent_id TEXT PRIMARY KEY, name TEXT NOT NULL, agent_type TEXT NOT NULL,
    key_hash BLOB NOT NULL, previous_hash BLOB, previous_until INTEGER,
    balance INTEGER NOT NULL CHECK (balance >= 0), free_calls INTEGER NOT NULL CHECK (free_calls >= 0),
    total_calls INTEGER NOT NULL DEFAULT 0, rate_limit_rpm INTEGER, created_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS agents_by_age ON agents (created_at);
CREATE TABLE IF NOT EXISTS rotations (agent_id TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS transactions (
    number INTEGER PRIMARY KEY, transaction_id TEXT NOT NULL UNIQUE, agent_id TEXT NOT NULL, call_id TEXT NOT NULL,
    capability TEXT NOT NULL, action TEXT NOT NULL, method TEXT NOT NULL, amount INTEGER NOT NULL,
    provider_share INTEGER NOT NULL, hub_fee INTEGER NOT NULL, payment_fee INTEGER NOT NULL,
    balance_after INTEGER NOT NULL, created_at INTEGER NOT NULL, refunded_at INTEGER,
    CHECK (provider_share + hub_fee + payment_fee = amount));
CREATE INDEX IF NOT EXISTS transactions_of ON transactions (agent_id);
CREATE TABLE IF NOT EXISTS credits (
    number INTEGER PRIMARY KEY, agent_id TEXT NOT NULL, kind TEXT NOT NULL, amount INTEGER NOT NULL,
    balance_after INTEGER NOT NULL, created_at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS credits_of ON credits (agent_id);
CREATE TABLE IF NOT EXISTS checkouts (
    session_id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, amount INTEGER NOT NULL, return_to TEXT,
    created_at INTEGER NOT NULL, paid_at INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    agent_id TEXT NOT NULL, call_id TEXT NOT NULL, digest BLOB NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL,
    created_at INTEGER NOT NULL, UNIQUE (agent_id, call_id));
CREATE TABLE IF NOT EXISTS nonces (
    agent_id TEXT NOT NULL, nonce TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (agent_id, nonce)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rates (
    key TEXT NOT NULL, second INTEGER NOT NULL, calls INTEGER NOT NULL, PRIMARY KEY (key, second)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS x402_settlements (
    payer TEXT NOT NULL, nonce TEXT NOT NULL, tx_hash TEXT UNIQUE, agent_id TEXT NOT NULL, call_id TEXT NOT NULL,
    created_at INTEGER NOT NULL, PRIMARY KEY (payer, nonce)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refunds (
    refund_id TEXT PRIMARY KEY, transaction_id TEXT NOT NULL UNIQUE, agent_id TEXT NOT NULL, amount INTEGER NOT NULL,
    returned INTEGER NOT NULL, reason TEXT NOT NULL, evidence_url TEXT, status TEXT NOT NULL,
    requested_at INTEGER NOT NULL, resolved_at INTEGER, note TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS refunds_by_age ON refunds (requested_at);
CREATE TABLE IF NOT EXISTS manifests (
    capability TEXT NOT NULL, version TEXT NOT NULL, manifest TEXT, UNIQUE (capability, version));
"""
SCHEMA += providers.SCHEMA
