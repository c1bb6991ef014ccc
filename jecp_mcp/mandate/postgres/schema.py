"""The ledger's tables and functions in PostgreSQL, in the schema ``jecp_mcp``. Pure: text only.

Amounts are micro-USDC, instants milliseconds since the Unix epoch (UTC), always those of the server. Whatever changes
the books holds the row lock on ``head`` from its first statement to its COMMIT: so the chain of events has no forks,
no two transactions can wait for each other, and who gets the lock knows that every earlier transaction has ended.
The functions only fetch and store whole batches; what may happen is decided in Python (`jecp_mcp.mandate.states`).
"""

from __future__ import annotations

from jecp_mcp.mandate.schema import STATES

OPEN = "state IN ('reserved', 'sent', 'in_doubt')"
KEPT = "state IN ('settled', 'released', 'reconciled_charged', 'reconciled_free') AND answered AND NOT delivered"

# A batch looks up a few rows of tables that may have millions, and a plan made while they were small must not stay.
# To compile it would take longer than to run it.
_BY_INDEX = "SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off"

TABLES = f"""
CREATE TABLE jecp_mcp.migration(
  version integer PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The one row that every change of the books locks first.
CREATE TABLE jecp_mcp.head(one boolean PRIMARY KEY DEFAULT true CHECK (one));
INSERT INTO jecp_mcp.head DEFAULT VALUES;

-- Which process sessions live: seen is when one last said so; heir is who is taking over its calls.
CREATE TABLE jecp_mcp.session(
  id text PRIMARY KEY,
  token text NOT NULL,
  seen bigint NOT NULL,
  heir text
);

-- What is counted against a cap: used is always the sum of its slots. slot_ms is NULL where the window never rolls.
CREATE TABLE jecp_mcp.meter(
  id bigint PRIMARY KEY,
  key text NOT NULL UNIQUE,
  slot_ms bigint,
  window_ms bigint,
  used bigint NOT NULL CHECK (used >= 0)
) WITH (fillfactor = 50);

-- A stretch of a rolling window, or the whole of one that never rolls (start is 0, expires is NULL).
CREATE TABLE jecp_mcp.slot(
  meter bigint NOT NULL,
  start bigint NOT NULL,
  expires bigint,
  amount bigint NOT NULL CHECK (amount >= 0),
  PRIMARY KEY (meter, start)
) WITH (fillfactor = 50);
CREATE INDEX slot_expires ON jecp_mcp.slot(expires) WHERE expires IS NOT NULL;

-- One row for each call; meters are the ids of the meters it is counted in, in the slots of its created_at.
CREATE TABLE jecp_mcp.call(
  id bigint PRIMARY KEY,
  call_id text NOT NULL UNIQUE,
  principal text NOT NULL,
  session text NOT NULL,
  tool text NOT NULL,
  payee text NOT NULL,
  capability text NOT NULL,
  action text NOT NULL,
  version text,
  fingerprint text NOT NULL,
  state text NOT NULL CHECK (state IN ({STATES})),
  quoted bigint NOT NULL,
  held bigint NOT NULL CHECK (held >= 0),
  charged bigint NOT NULL DEFAULT 0 CHECK (charged >= 0),
  refunded bigint NOT NULL DEFAULT 0 CHECK (refunded >= 0 AND refunded <= charged),
  balance_after bigint,
  transaction_id text,
  evidence text,
  attempts bigint NOT NULL DEFAULT 0,
  created_at bigint NOT NULL,
  ended_at bigint,
  answered boolean NOT NULL DEFAULT false,
  delivered boolean NOT NULL DEFAULT false,
  meters bigint[] NOT NULL
);
-- At most one open call carries a fingerprint. No other index has its condition: a plan made while the tables were
-- small would take either, and stay.
CREATE UNIQUE INDEX call_open ON jecp_mcp.call(fingerprint) WHERE {OPEN};
CREATE INDEX call_undelivered ON jecp_mcp.call(fingerprint) WHERE {KEPT};
CREATE INDEX call_transaction ON jecp_mcp.call(transaction_id) WHERE transaction_id IS NOT NULL;

-- Bodies live apart, so that a change of state does not rewrite them.
CREATE TABLE jecp_mcp.request(call bigint PRIMARY KEY, body bytea NOT NULL);
CREATE TABLE jecp_mcp.answer(call bigint PRIMARY KEY, body bytea NOT NULL);

-- What was agreed before a call: prepared calls and approvals.
CREATE TABLE jecp_mcp.slip(
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,
  slip_id text NOT NULL,
  principal text NOT NULL,
  subject text NOT NULL,
  state text NOT NULL CHECK (state IN ('asked', 'granted', 'used', 'denied', 'superseded')),
  body bytea NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  call_id text,
  note text,
  UNIQUE (kind, slip_id)
);
CREATE INDEX slip_subject ON jecp_mcp.slip(subject);
CREATE INDEX slip_asked ON jecp_mcp.slip(expires_at, principal) WHERE state = 'asked';

-- Every change, only ever appended to; each digest covers the one before it.
CREATE TABLE jecp_mcp.event(
  id bigint PRIMARY KEY,
  call bigint,
  at bigint NOT NULL,
  event text NOT NULL,
  before text,
  after text,
  held bigint NOT NULL,
  charged bigint NOT NULL,
  refunded bigint NOT NULL,
  session text NOT NULL,
  evidence text,
  facts text NOT NULL,
  digest text NOT NULL
);
CREATE INDEX event_call ON jecp_mcp.event(call);
CREATE FUNCTION jecp_mcp.stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'events are only appended';
END $$;
CREATE TRIGGER event_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON jecp_mcp.event
  FOR EACH STATEMENT EXECUTE FUNCTION jecp_mcp.stay();
"""

CLOCK = """
-- The instant of everything that is written; a function, so that a test can have another.
CREATE FUNCTION jecp_mcp.now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

-- The clock of the leases, which are about processes and not about money.
CREATE FUNCTION jecp_mcp.lease_ms() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;
"""

LEASES = f"""
-- Say that a session lives. Returns 'mine', 'another' (some other process has it) or 'inherited' (it was taken for
-- dead, and its calls are being taken over).
CREATE FUNCTION jecp_mcp.live(v_me text, v_token text, v_renew_ms bigint, v_dead_ms bigint)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := jecp_mcp.lease_ms();
  v_found jecp_mcp.session;
BEGIN
  SELECT * INTO v_found FROM jecp_mcp.session WHERE id = v_me;
  IF NOT FOUND OR v_found.token <> v_token OR v_found.heir IS NOT NULL OR v_found.seen < v_now - v_renew_ms THEN
    INSERT INTO jecp_mcp.session AS s (id, token, seen) VALUES (v_me, v_token, v_now)
    ON CONFLICT (id) DO UPDATE SET token = v_token, seen = v_now
      WHERE s.heir IS NULL AND (s.token = v_token OR s.seen < v_now - v_dead_ms);
    SELECT * INTO v_found FROM jecp_mcp.session WHERE id = v_me;
  END IF;
  RETURN CASE WHEN v_found.heir IS NOT NULL THEN 'inherited' WHEN v_found.token = v_token THEN 'mine'
    ELSE 'another' END;
END $$;

-- Claim the dead sessions that nobody else is claiming; those claimed before and not finished included.
CREATE FUNCTION jecp_mcp.claim(v_me text, v_token text, v_dead_ms bigint)
RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := jecp_mcp.lease_ms();
BEGIN
  INSERT INTO jecp_mcp.session(id, token, seen)
    SELECT DISTINCT c.session, '', 0 FROM jecp_mcp.call AS c
    WHERE c.{OPEN} AND NOT EXISTS (SELECT FROM jecp_mcp.session AS s WHERE s.id = c.session)
    ON CONFLICT (id) DO NOTHING;
  RETURN QUERY UPDATE jecp_mcp.session AS s SET heir = v_me, token = v_token, seen = v_now
    WHERE s.id IN (
      SELECT d.id FROM jecp_mcp.session AS d
      WHERE d.id <> v_me AND (d.seen < v_now - v_dead_ms OR (d.heir = v_me AND d.token = v_token))
      ORDER BY d.id FOR UPDATE SKIP LOCKED)
    RETURNING s.id;
END $$;

-- Say that a session has ended: its open calls are anybody's to take over.
CREATE FUNCTION jecp_mcp.leave(v_me text, v_token text) RETURNS void LANGUAGE sql AS $$
  UPDATE jecp_mcp.session SET seen = 0 WHERE id = v_me AND token = v_token
$$;
"""  # noqa: S608 constants of this module

GATHER = f"""
-- Begin a batch: lock the head, let go of what has left its window, and fetch everything the batch may depend on.
CREATE FUNCTION jecp_mcp.gather(
  v_me text, v_token text, v_live boolean, v_renew_ms bigint, v_dead_ms bigint, v_undelivered_ms bigint,
  v_orphans integer, v_fingerprints text[], v_ids text[], v_keys text[])
RETURNS json LANGUAGE plpgsql {_BY_INDEX} AS $$
DECLARE
  v_last_id bigint; v_last_at bigint; v_digest text; v_now bigint; v_at bigint; v_life text;
  v_adopted bigint[] := ARRAY[]::bigint[]; v_calls json; v_counted bigint[]; v_meters json;
BEGIN
  PERFORM FROM jecp_mcp.head FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the row of jecp_mcp.head is gone' USING ERRCODE = 'data_corrupted';
  END IF;
  SELECT id, at, digest INTO v_last_id, v_last_at, v_digest FROM jecp_mcp.event ORDER BY id DESC LIMIT 1;
  v_now := jecp_mcp.now_ms();
  v_at := greatest(v_now, v_last_at);
  IF v_live THEN
    v_life := jecp_mcp.live(v_me, v_token, v_renew_ms, v_dead_ms);
  END IF;
  WITH gone AS (DELETE FROM jecp_mcp.slot WHERE expires <= v_at RETURNING meter, amount),
       less AS (SELECT meter, sum(amount) AS amount FROM gone GROUP BY meter)
  UPDATE jecp_mcp.meter AS m SET used = m.used - less.amount FROM less WHERE m.id = less.meter;
  IF v_orphans > 0 THEN
    SELECT coalesce(array_agg(o.id), v_adopted) INTO v_adopted FROM (
      SELECT c.id FROM jecp_mcp.call AS c
      WHERE c.{OPEN} AND c.session IN (SELECT s.id FROM jecp_mcp.session AS s WHERE s.heir = v_me AND s.token = v_token)
      ORDER BY c.id LIMIT v_orphans) AS o;
  END IF;
  WITH wanted AS (
    SELECT c.id FROM jecp_mcp.call AS c WHERE c.fingerprint = ANY (v_fingerprints) AND c.{OPEN}
    UNION SELECT c.id FROM jecp_mcp.call AS c
      WHERE c.fingerprint = ANY (v_fingerprints) AND c.{KEPT} AND c.ended_at > v_at - v_undelivered_ms
    UNION SELECT c.id FROM jecp_mcp.call AS c WHERE c.call_id = ANY (v_ids)
    UNION SELECT unnest(v_adopted)),
  found AS (SELECT c.* FROM jecp_mcp.call AS c JOIN wanted ON wanted.id = c.id)
  SELECT json_agg(json_build_array(id, call_id, fingerprint, session, state, held, charged, refunded, created_at,
                                   ended_at, answered, delivered, meters)),
         (SELECT array_agg(DISTINCT named) FROM found AS f, unnest(f.meters) AS named)
    INTO v_calls, v_counted FROM found;
  SELECT json_agg(json_build_array(m.id, m.key, m.slot_ms, m.window_ms, m.used)) INTO v_meters
    FROM jecp_mcp.meter AS m WHERE m.key = ANY (v_keys) OR m.id = ANY (v_counted);
  RETURN json_build_object(
    'version', (SELECT max(version) FROM jecp_mcp.migration), 'life', v_life, 'now', v_now,
    'number', coalesce(v_last_id, 0), 'last_at', coalesce(v_last_at, 0), 'digest', v_digest,
    'calls', coalesce(v_calls, '[]'), 'meters', coalesce(v_meters, '[]'), 'orphans', v_adopted,
    'last_call', coalesce((SELECT max(id) FROM jecp_mcp.call), 0));
END $$;
"""  # noqa: S608 constants of this module

APPEND = f"""
-- End a batch: write what was decided.
CREATE FUNCTION jecp_mcp.append(
  v_made json, v_moved json, v_counted json, v_happened json,
  v_request_of bigint[], v_requests bytea[], v_answer_of bigint[], v_answers bytea[])
RETURNS void LANGUAGE plpgsql {_BY_INDEX} AS $$
DECLARE
  v_count bigint;
BEGIN
  -- What is no longer open first: a new call may carry its fingerprint.
  UPDATE jecp_mcp.call AS c SET
      state = r.state, session = r.session, charged = r.charged, refunded = r.refunded,
      balance_after = coalesce(r.balance_after, c.balance_after),
      transaction_id = coalesce(r.transaction_id, c.transaction_id), evidence = coalesce(r.evidence, c.evidence),
      attempts = c.attempts + r.attempts, ended_at = r.ended_at, answered = r.answered, delivered = r.delivered
    FROM json_to_recordset(v_moved) AS r(
      id bigint, state text, session text, charged bigint, refunded bigint, balance_after bigint,
      transaction_id text, evidence text, attempts bigint, ended_at bigint, answered boolean, delivered boolean)
    WHERE c.id = r.id;
  GET DIAGNOSTICS v_count = ROW_COUNT;
  IF v_count <> json_array_length(v_moved) THEN
    RAISE EXCEPTION 'a call went missing inside a transaction' USING ERRCODE = 'data_corrupted';
  END IF;
  INSERT INTO jecp_mcp.call(id, call_id, principal, session, tool, payee, capability, action, version, fingerprint,
                            state, quoted, held, charged, refunded, balance_after, transaction_id, evidence, attempts,
                            created_at, ended_at, answered, delivered, meters)
    SELECT id, call_id, principal, session, tool, payee, capability, action, version, fingerprint, state, quoted,
           held, charged, refunded, balance_after, transaction_id, evidence, attempts, created_at, ended_at, answered,
           delivered, meters
    FROM json_to_recordset(v_made) AS r(
      id bigint, call_id text, principal text, session text, tool text, payee text, capability text, action text,
      version text, fingerprint text, state text, quoted bigint, held bigint, charged bigint, refunded bigint,
      balance_after bigint, transaction_id text, evidence text, attempts bigint, created_at bigint, ended_at bigint,
      answered boolean, delivered boolean, meters bigint[]);
  INSERT INTO jecp_mcp.request(call, body) SELECT * FROM unnest(v_request_of, v_requests);
  INSERT INTO jecp_mcp.answer(call, body) SELECT * FROM unnest(v_answer_of, v_answers)
    ON CONFLICT (call) DO UPDATE SET body = excluded.body;
  IF json_array_length(v_counted) > 0 THEN
    INSERT INTO jecp_mcp.slot(meter, start, expires, amount)
      SELECT meter, start, expires, 0 FROM json_to_recordset(v_counted) AS r(meter bigint, start bigint, expires bigint)
      ON CONFLICT (meter, start) DO NOTHING;
    UPDATE jecp_mcp.slot AS s SET amount = s.amount + r.by
      FROM json_to_recordset(v_counted) AS r(meter bigint, start bigint, by bigint)
      WHERE s.meter = r.meter AND s.start = r.start;
    UPDATE jecp_mcp.meter AS m SET used = m.used + r.by
      FROM (SELECT meter, sum(by) AS by FROM json_to_recordset(v_counted) AS r(meter bigint, by bigint)
            GROUP BY meter) AS r
      WHERE m.id = r.meter;
  END IF;
  INSERT INTO jecp_mcp.event(id, call, at, event, before, after, held, charged, refunded, session, evidence, facts,
                             digest)
    SELECT id, call, at, event, before, after, held, charged, refunded, session, evidence, facts, digest
    FROM json_to_recordset(v_happened) AS r(
      id bigint, call bigint, at bigint, event text, before text, after text, held bigint, charged bigint,
      refunded bigint, session text, evidence text, facts text, digest text);
END $$;
"""  # noqa: S608 constants of this module

PRUNE = f"""
-- Drop the bodies of at most so many calls that ended before; returns how many had one.
CREATE FUNCTION jecp_mcp.prune(v_before bigint, v_most integer) RETURNS bigint LANGUAGE sql AS $$
  WITH chosen AS (
    SELECT id FROM jecp_mcp.call AS c
    WHERE ended_at < v_before AND NOT ({KEPT})
      AND (EXISTS (SELECT FROM jecp_mcp.request WHERE call = c.id)
           OR EXISTS (SELECT FROM jecp_mcp.answer WHERE call = c.id))
    ORDER BY id LIMIT v_most),
  requests AS (DELETE FROM jecp_mcp.request WHERE call IN (SELECT id FROM chosen)),
  answers AS (DELETE FROM jecp_mcp.answer WHERE call IN (SELECT id FROM chosen))
  SELECT count(*) FROM chosen
$$;
"""  # noqa: S608 constants of this module

MIGRATIONS: tuple[str, ...] = (
    "CREATE SCHEMA IF NOT EXISTS jecp_mcp;" + TABLES + CLOCK + LEASES + GATHER + APPEND + PRUNE,
)
"""What brings the schema from version N to N + 1, at index N."""

VERSION = len(MIGRATIONS)
"""The version of the tables that this program knows."""
