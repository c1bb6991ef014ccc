"""The ledger's tables in PostgreSQL, in the schema ``jecp_mcp``. Pure: text only.

Amounts are micro-USDC, instants milliseconds since the Unix epoch (UTC), always those of the server. Whatever changes
the books holds the row lock on ``head`` from its first statement to its COMMIT: so the chain of events has no forks,
no two transactions can wait for each other, and who gets the lock knows that every earlier transaction has ended.
"""

from __future__ import annotations

from typing import Final

from jecp_mcp.mandate.sql_conditions import (
    CHARGED,
    EXCESSIVE,
    OPEN,
    STATES,
    WRITTEN_OFF,
)

VERSION: Final = 4
"""The version of the tables that this program knows: the first that a release wrote."""

KEPT: Final = "state IN ('settled', 'released', 'reconciled_charged', 'reconciled_free') AND answered AND NOT delivered"
"""An answer that nobody has received yet; a free one too, for the repeat might not be free."""

TABLES: Final = f"""
CREATE SCHEMA IF NOT EXISTS jecp_mcp;

CREATE TABLE jecp_mcp.migration(
  version integer PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The one row that every change of the books locks first; kept is how many bytes of bodies there are.
CREATE TABLE jecp_mcp.head(
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  kept bigint NOT NULL DEFAULT 0 CHECK (kept >= 0)
);
INSERT INTO jecp_mcp.head DEFAULT VALUES;

-- Which process sessions live: seen is when one last said so.
CREATE TABLE jecp_mcp.session(
  id text PRIMARY KEY,
  token text NOT NULL,
  seen bigint NOT NULL
);

-- What is counted against a cap: used is always the sum of its slots. Which calls a meter counts follows from what they
-- are (see MeterState): those of the principal and session, whose names the pattern fits, above since and up to fed.
CREATE TABLE jecp_mcp.meter(
  id bigint PRIMARY KEY,
  key text NOT NULL UNIQUE,
  "window" text NOT NULL,
  principal text NOT NULL,
  pattern text,
  session text,
  since bigint NOT NULL,
  fed bigint NOT NULL,
  used bigint NOT NULL CHECK (used >= 0)
) WITH (fillfactor = 50);
CREATE INDEX meter_of ON jecp_mcp.meter(principal, session);

-- A stretch of a rolling window, or the whole of one that never rolls (start is 0, expires is NULL).
CREATE TABLE jecp_mcp.slot(
  meter bigint NOT NULL,
  start bigint NOT NULL,
  expires bigint,
  amount bigint NOT NULL CHECK (amount >= 0),
  PRIMARY KEY (meter, start)
) WITH (fillfactor = 50);
CREATE INDEX slot_expires ON jecp_mcp.slot(expires) WHERE expires IS NOT NULL;

-- One row for each call, in the order of CallRow; names is a JSON array.
CREATE TABLE jecp_mcp.call(
  id bigint PRIMARY KEY,
  call_id text NOT NULL UNIQUE,
  principal text NOT NULL,
  team text,
  session text NOT NULL,
  owner text NOT NULL,
  claim bigint NOT NULL,
  rail text NOT NULL,
  account text NOT NULL,
  tool text NOT NULL,
  payee text NOT NULL,
  source text NOT NULL,
  offer text NOT NULL,
  names text NOT NULL,
  version text,
  fingerprint text NOT NULL,
  kind text NOT NULL,
  terms text NOT NULL,
  state text NOT NULL CHECK (state IN ({STATES})),
  quoted bigint NOT NULL,
  held bigint NOT NULL CHECK (held >= 0),
  charged bigint NOT NULL CHECK (charged >= 0),
  refunded bigint NOT NULL CHECK (refunded >= 0 AND refunded <= charged),
  balance_after bigint,
  reference text,
  evidence text,
  attempts bigint NOT NULL,
  created_at bigint NOT NULL,
  sent_at bigint NOT NULL,
  look_again_at bigint,
  provable_until bigint,
  ended_at bigint,
  answered boolean NOT NULL,
  delivered boolean NOT NULL,
  mark text
);
-- At most one open call carries a fingerprint. No two indexes have the same condition: a plan made while the tables
-- were small would take either, and stay. A call is open exactly if it has not ended.
CREATE UNIQUE INDEX call_open ON jecp_mcp.call(fingerprint) WHERE {OPEN};
CREATE INDEX call_undelivered ON jecp_mcp.call(fingerprint) WHERE {KEPT};
CREATE UNIQUE INDEX call_reference ON jecp_mcp.call(rail, account, reference) WHERE reference IS NOT NULL;
CREATE INDEX call_owner ON jecp_mcp.call(owner, id) WHERE ended_at IS NULL;
CREATE INDEX call_due ON jecp_mcp.call(owner, look_again_at) WHERE look_again_at IS NOT NULL;
CREATE INDEX call_paid ON jecp_mcp.call(payee, principal, account) WHERE {CHARGED};
CREATE INDEX call_balance ON jecp_mcp.call(rail, account, id) WHERE balance_after IS NOT NULL;
CREATE INDEX call_sent ON jecp_mcp.call(sent_at);
CREATE INDEX call_written_off ON jecp_mcp.call(id) WHERE {WRITTEN_OFF};
CREATE INDEX call_excessive ON jecp_mcp.call(id) WHERE {EXCESSIVE};

-- Bodies live apart, so that a change of state does not rewrite them. What is large came before, in parts.
CREATE TABLE jecp_mcp.part(
  upload text NOT NULL,
  number integer NOT NULL,
  at bigint NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (upload, number)
);
ALTER TABLE jecp_mcp.part ALTER body SET STORAGE EXTERNAL;
CREATE INDEX part_at ON jecp_mcp.part(at);
CREATE TABLE jecp_mcp.request(
  call bigint PRIMARY KEY,
  size bigint NOT NULL,
  body bytea,
  upload text UNIQUE,
  CHECK ((body IS NULL) <> (upload IS NULL))
);
CREATE TABLE jecp_mcp.answer(
  call bigint PRIMARY KEY,
  size bigint NOT NULL,
  body bytea,
  upload text UNIQUE,
  CHECK ((body IS NULL) <> (upload IS NULL))
);

-- The calls and sums of each state.
CREATE TABLE jecp_mcp.tally(
  state text PRIMARY KEY,
  calls bigint NOT NULL DEFAULT 0,
  held bigint NOT NULL DEFAULT 0,
  charged bigint NOT NULL DEFAULT 0,
  refunded bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO jecp_mcp.tally(state) SELECT unnest(ARRAY[{STATES}]);

-- What was agreed before a call: prepared calls and approvals.
CREATE TABLE jecp_mcp.slip(
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,
  slip_id text NOT NULL,
  principal text NOT NULL,
  subject text NOT NULL,
  state text NOT NULL CHECK (state IN ('asked', 'granted', 'used', 'denied', 'superseded')),
  body bytea,
  upload text UNIQUE,
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  call_id text,
  note text,
  UNIQUE (kind, slip_id),
  CHECK ((body IS NULL) <> (upload IS NULL))
);
CREATE INDEX slip_subject ON jecp_mcp.slip(subject);
CREATE INDEX slip_of ON jecp_mcp.slip(kind, principal);
CREATE INDEX slip_asked ON jecp_mcp.slip(expires_at, principal) WHERE state = 'asked';
CREATE INDEX slip_expires ON jecp_mcp.slip(expires_at);

-- Every change, only ever appended to: its canonical bytes, and a digest that covers them and the one before.
CREATE TABLE jecp_mcp.event(
  id bigint PRIMARY KEY,
  call bigint,
  body bytea NOT NULL,
  digest bytea NOT NULL CHECK (length(digest) = 32)
);
CREATE INDEX event_call ON jecp_mcp.event(call) WHERE call IS NOT NULL;
CREATE FUNCTION jecp_mcp.stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'events are only appended';
END $$;
CREATE TRIGGER event_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON jecp_mcp.event
  FOR EACH STATEMENT EXECUTE FUNCTION jecp_mcp.stay();
"""
