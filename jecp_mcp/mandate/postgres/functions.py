"""The functions of the ledger in PostgreSQL, in the schema ``jecp_mcp``. Pure: text only.

They only fetch and store whole batches; what may happen is decided in Python (`jecp_mcp.mandate.rules`).
"""

from __future__ import annotations

from typing import Final

from jecp_mcp.mandate.postgres.schema import KEPT
from jecp_mcp.mandate.rules import CLOCK_SLACK_MS
from jecp_mcp.mandate.sql_conditions import COUNTED, OPEN

# A batch looks up a few rows of tables that may have millions, and a plan made while they were small must not stay.
# To compile it would take longer than to run it.
_BY_INDEX = "SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off"

CLOCK: Final = """
-- The instant of everything that is written; a function, so that a test can have another.
CREATE FUNCTION jecp_mcp.now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

-- The instant of the last change; 0 where there is none. The second element of an event's bytes is its instant: see
-- jecp_mcp.mandate.chain.
CREATE FUNCTION jecp_mcp.last_at() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT split_part(convert_from(substring(body FOR 64), 'SQL_ASCII'), ',', 2)::bigint
                   FROM jecp_mcp.event ORDER BY id DESC LIMIT 1), 0)
$$;

-- The clock of the leases, which are about processes and not about money.
CREATE FUNCTION jecp_mcp.lease_ms() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;
"""

LEASES: Final = """
-- Say that a session lives. Returns whether it is this process's: some other process may have it.
CREATE FUNCTION jecp_mcp.live(v_me text, v_token text, v_renew_ms bigint, v_dead_ms bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := jecp_mcp.lease_ms();
  v_found jecp_mcp.session;
BEGIN
  SELECT * INTO v_found FROM jecp_mcp.session WHERE id = v_me;
  IF NOT FOUND OR v_found.token <> v_token OR v_found.seen < v_now - v_renew_ms THEN
    INSERT INTO jecp_mcp.session AS s (id, token, seen) VALUES (v_me, v_token, v_now)
    ON CONFLICT (id) DO UPDATE SET token = v_token, seen = v_now
      WHERE s.token = v_token OR s.seen < v_now - v_dead_ms;
    SELECT * INTO v_found FROM jecp_mcp.session WHERE id = v_me;
  END IF;
  RETURN v_found.token = v_token;
END $$;

-- Whether a session has said nothing for too long, or is not known.
CREATE FUNCTION jecp_mcp.dead(v_session text, v_dead_ms bigint) RETURNS boolean LANGUAGE sql AS $$
  SELECT NOT EXISTS (SELECT FROM jecp_mcp.session WHERE id = v_session AND seen >= jecp_mcp.lease_ms() - v_dead_ms)
$$;

-- Say that a session has ended: its open calls are anybody's to take over.
CREATE FUNCTION jecp_mcp.leave(v_me text, v_token text) RETURNS void LANGUAGE sql AS $$
  UPDATE jecp_mcp.session SET seen = 0 WHERE id = v_me AND token = v_token
$$;
"""

FEED: Final = f"""
-- What the calls behind one number and up to another count for, by their names and the start of the slot: those of a
-- principal (and session), sent at v_since or later. v_length is NULL where the window never rolls.
CREATE FUNCTION jecp_mcp.feed(
  v_principal text, v_session text, v_length bigint, v_behind bigint, v_upto bigint, v_since bigint)
RETURNS json LANGUAGE plpgsql {_BY_INDEX} AS $$
BEGIN
  RETURN (SELECT coalesce(json_agg(json_build_array(f.names, f.start, f.amount)), '[]') FROM (
    SELECT names, CASE WHEN v_length IS NULL THEN 0 ELSE sent_at - sent_at % v_length END AS start,
           sum({COUNTED}) AS amount
    FROM jecp_mcp.call
    WHERE id > v_behind AND id <= v_upto AND principal = v_principal AND sent_at >= v_since
      AND (v_session IS NULL OR session = v_session)
    GROUP BY 1, 2) AS f);
END $$;
"""  # noqa: S608 constants of this module

GATHER: Final = f"""
-- A list of texts in a JSON document.
CREATE FUNCTION jecp_mcp.texts(v_list json) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(array_agg(value), '{{}}') FROM json_array_elements_text(v_list)
$$;

-- Begin a batch: lock the head, let go of what has left its window, and fetch everything the batch may depend on.
-- For what is asked and answered see jecp_mcp.mandate.postgres.store.
CREATE FUNCTION jecp_mcp.gather(v_asked json) RETURNS json LANGUAGE plpgsql {_BY_INDEX} AS $$
DECLARE
  v_me text := v_asked->>'me';
  v_dead_ms bigint := v_asked->>'dead_ms';
  v_fingerprints text[] := jecp_mcp.texts(v_asked->'fingerprints');
  v_ids text[] := jecp_mcp.texts(v_asked->'ids');
  v_orphans json := v_asked->'orphans';
  v_last_id bigint; v_last_at bigint; v_digest bytea; v_now bigint; v_at bigint; v_mine boolean; v_stored bigint;
  v_kept bigint;
  v_slips json; v_used_for text[]; v_shelf json; v_lapsed json; v_adopted bigint[] := '{{}}'; v_calls json;
  v_meters json; v_feeds json;
BEGIN
  SELECT kept INTO v_kept FROM jecp_mcp.head FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the row of jecp_mcp.head is gone' USING ERRCODE = 'data_corrupted';
  END IF;
  SELECT id, jecp_mcp.last_at(), digest INTO v_last_id, v_last_at, v_digest
    FROM jecp_mcp.event ORDER BY id DESC LIMIT 1;
  SELECT coalesce(max(id), 0) INTO v_stored FROM jecp_mcp.call;
  v_now := jecp_mcp.now_ms();
  v_at := greatest(v_now, v_last_at);
  IF (v_asked->>'live')::boolean THEN
    v_mine := jecp_mcp.live(v_me, v_asked->>'token', (v_asked->>'renew_ms')::bigint, v_dead_ms);
  END IF;
  IF (v_asked->>'expire')::boolean THEN
    WITH gone AS (DELETE FROM jecp_mcp.slot WHERE expires <= v_at RETURNING meter, amount),
         less AS (SELECT meter, sum(amount) AS amount FROM gone GROUP BY meter)
    UPDATE jecp_mcp.meter AS m SET used = m.used - less.amount FROM less WHERE m.id = less.meter;
  END IF;
  IF json_typeof(v_orphans) = 'object' THEN
    SELECT coalesce(array_agg(o.id), v_adopted) INTO v_adopted FROM (
      SELECT c.id FROM jecp_mcp.call AS c
      WHERE c.ended_at IS NULL AND c.id > (v_orphans->>'behind')::bigint AND (
        -- Who has said meanwhile that it lives keeps its calls.
        c.owner IN (SELECT d FROM unnest(jecp_mcp.texts(v_orphans->'dead')) AS d WHERE jecp_mcp.dead(d, v_dead_ms))
        OR c.owner = v_me AND c.call_id <> ALL (jecp_mcp.texts(v_orphans->'running'))
          AND (c.state = 'reserved' OR c.state = 'sent' AND c.look_again_at IS NULL
            OR c.{OPEN} AND (c.provable_until <= v_now OR c.created_at > v_now + {CLOCK_SLACK_MS})))
      ORDER BY c.id LIMIT (v_orphans->>'most')::bigint) AS o;
  END IF;
  IF json_array_length(v_asked->'slips') + json_array_length(v_asked->'subjects') > 0 THEN
    WITH wanted AS (
      SELECT s.number FROM jecp_mcp.slip AS s JOIN json_to_recordset(v_asked->'slips') AS r(kind text, slip_id text)
        ON s.kind = r.kind AND s.slip_id = r.slip_id
      UNION SELECT s.number FROM jecp_mcp.slip AS s
        JOIN json_to_recordset(v_asked->'subjects') AS r(kind text, subject text)
        ON s.kind = r.kind AND s.subject = r.subject WHERE s.state IN ('asked', 'granted'))
    SELECT json_agg(json_build_array(s.kind, s.slip_id, s.principal, s.subject, s.state, '', s.created_at,
                                     s.expires_at, s.call_id, s.note) ORDER BY s.number),
           array_agg(s.call_id)
      INTO v_slips, v_used_for FROM jecp_mcp.slip AS s JOIN wanted ON wanted.number = s.number;
  END IF;
  IF json_typeof(v_asked->'shelf') = 'object' THEN
    SELECT json_agg(json_build_array(s.kind, s.slip_id, s.state, coalesce(length(s.body), (
        SELECT sum(length(p.body)) FROM jecp_mcp.part AS p WHERE p.upload = s.upload), 0), s.expires_at)
        ORDER BY s.number)
      INTO v_shelf FROM jecp_mcp.slip AS s
      WHERE s.principal = v_asked->'shelf'->>'principal' AND s.kind = ANY (jecp_mcp.texts(v_asked->'shelf'->'kinds'));
    SELECT json_agg(json_build_array(l.kind, l.slip_id)) INTO v_lapsed FROM (
      SELECT s.kind, s.slip_id FROM jecp_mcp.slip AS s
      WHERE s.expires_at <= v_at - (v_asked->'shelf'->>'lapsed_ms')::bigint
      ORDER BY s.expires_at LIMIT (v_asked->'shelf'->>'at_once')::bigint) AS l;
  END IF;
  WITH wanted AS (
    SELECT c.id FROM jecp_mcp.call AS c WHERE c.fingerprint = ANY (v_fingerprints) AND c.{OPEN}
    UNION SELECT c.id FROM jecp_mcp.call AS c
      WHERE c.fingerprint = ANY (v_fingerprints) AND c.{KEPT}
        AND (c.ended_at IS NULL OR c.ended_at > v_at - (v_asked->>'undelivered_ms')::bigint)
    UNION SELECT c.id FROM jecp_mcp.call AS c WHERE c.call_id = ANY (v_ids || v_used_for)
    UNION SELECT c.id FROM json_to_recordset(v_asked->'references') AS r(call_id text, reference text)
      JOIN jecp_mcp.call AS own ON own.call_id = r.call_id
      JOIN jecp_mcp.call AS c ON c.rail = own.rail AND c.account = own.account AND c.reference = r.reference
    UNION SELECT unnest(v_adopted)),
  found AS MATERIALIZED (SELECT c.* FROM jecp_mcp.call AS c JOIN wanted ON wanted.id = c.id),
  whose AS MATERIALIZED (
    SELECT principal, session FROM found UNION SELECT p, v_me FROM unnest(jecp_mcp.texts(v_asked->'principals')) AS p),
  counting AS (
    SELECT m.* FROM jecp_mcp.meter AS m JOIN whose AS w ON m.principal = w.principal AND m.session IS NULL
    UNION SELECT m.* FROM jecp_mcp.meter AS m JOIN whose AS w ON m.principal = w.principal AND m.session = w.session
    UNION SELECT m.* FROM jecp_mcp.meter AS m
      JOIN json_to_recordset(v_asked->'meters') AS r(key text) ON m.key = r.key)
  SELECT
    (SELECT json_agg(json_build_array(id, call_id, fingerprint, principal, session, owner, claim, rail, account, names,
                                      state, held, charged, refunded, balance_after, reference, evidence, attempts,
                                      created_at, sent_at, look_again_at, provable_until, ended_at, answered, delivered,
                                      mark)
                     ORDER BY id) FROM found),
    (SELECT json_agg(json_build_array(id, key, "window", principal, pattern, session, since, fed, used) ORDER BY id)
       FROM counting)
    INTO v_calls, v_meters;
  SELECT json_agg(json_build_array(m.key, u.upto, jecp_mcp.feed(
      m.principal, m.session, r.slot_ms, m.fed, u.upto,
      CASE WHEN r.slot_ms IS NULL THEN -1 ELSE v_at - r.window_ms - (v_at - r.window_ms) % r.slot_ms END)))
    INTO v_feeds
    FROM json_to_recordset(v_asked->'meters') AS r(key text, slot_ms bigint, window_ms bigint)
    JOIN jecp_mcp.meter AS m ON m.key = r.key,
    LATERAL (SELECT least(m.fed + (v_asked->>'feed')::bigint, v_stored) AS upto) AS u
    WHERE m.fed < v_stored;
  RETURN json_build_object(
    'version', (SELECT max(version) FROM jecp_mcp.migration), 'mine', v_mine, 'now', v_now,
    'number', coalesce(v_last_id, 0), 'last_at', coalesce(v_last_at, 0), 'digest', encode(v_digest, 'hex'),
    'stored', v_stored, 'kept', v_kept, 'calls', coalesce(v_calls, '[]'), 'meters', coalesce(v_meters, '[]'),
    'feeds', coalesce(v_feeds, '[]'), 'slips', coalesce(v_slips, '[]'), 'shelf', coalesce(v_shelf, '[]'),
    'lapsed', coalesce(v_lapsed, '[]'), 'orphans', v_adopted,
    'last_meter', coalesce((SELECT max(id) FROM jecp_mcp.meter), 0));
END $$;
"""  # noqa: S608 constants of this module

APPEND: Final = f"""
-- End a batch: write what was decided. What moved and is no longer where it was is damage.
CREATE FUNCTION jecp_mcp.counted(v_found bigint, v_wanted bigint, v_what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF v_found <> v_wanted THEN
    RAISE EXCEPTION '% went missing inside a transaction', v_what USING ERRCODE = 'data_corrupted';
  END IF;
END $$;

CREATE FUNCTION jecp_mcp.append(
  v_changes json, v_event_ids bigint[], v_event_calls bigint[], v_events bytea[], v_digests bytea[],
  v_request_of bigint[], v_requests bytea[], v_answer_of bigint[], v_answers bytea[], v_slips bytea[])
RETURNS void LANGUAGE plpgsql {_BY_INDEX} AS $$
DECLARE
  v_count bigint; v_kept bigint; v_part json;
BEGIN
  -- What is no longer open first: a new call may carry its fingerprint.
  v_part := v_changes->'moved';
  IF json_array_length(v_part) > 0 THEN
    UPDATE jecp_mcp.call AS c SET
        owner = r.owner, claim = r.claim, state = r.state, charged = r.charged, refunded = r.refunded,
        balance_after = r.balance_after, reference = r.reference, evidence = r.evidence, attempts = r.attempts,
        sent_at = r.sent_at, look_again_at = r.look_again_at, ended_at = r.ended_at, answered = r.answered,
        delivered = r.delivered, mark = r.mark
      FROM json_populate_recordset(null::jecp_mcp.call, v_part) AS r WHERE c.id = r.id;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    PERFORM jecp_mcp.counted(v_count, json_array_length(v_part), 'a call');
  END IF;
  v_part := v_changes->'made';
  IF json_array_length(v_part) > 0 THEN
    INSERT INTO jecp_mcp.call SELECT * FROM json_populate_recordset(null::jecp_mcp.call, v_part);
  END IF;
  v_part := v_changes->'meters';
  IF json_array_length(v_part) > 0 THEN
    INSERT INTO jecp_mcp.meter AS m SELECT * FROM json_populate_recordset(null::jecp_mcp.meter, v_part)
      ON CONFLICT (id) DO UPDATE SET used = excluded.used, fed = excluded.fed;
  END IF;
  v_part := v_changes->'slots';
  IF json_array_length(v_part) > 0 THEN
    -- In two steps: what is added may be less than nothing, and no slot may be.
    INSERT INTO jecp_mcp.slot(meter, start, expires, amount)
      SELECT meter, start, expires, 0 FROM json_populate_recordset(null::jecp_mcp.slot, v_part)
      ON CONFLICT (meter, start) DO NOTHING;
    UPDATE jecp_mcp.slot AS s SET amount = s.amount + r.amount
      FROM json_populate_recordset(null::jecp_mcp.slot, v_part) AS r WHERE s.meter = r.meter AND s.start = r.start;
  END IF;
  v_part := v_changes->'tally';
  IF json_array_length(v_part) > 0 THEN
    UPDATE jecp_mcp.tally AS t SET calls = t.calls + r.calls, held = t.held + r.held,
        charged = t.charged + r.charged, refunded = t.refunded + r.refunded
      FROM json_populate_recordset(null::jecp_mcp.tally, v_part) AS r WHERE t.state = r.state;
  END IF;
  IF cardinality(v_request_of) + cardinality(v_answer_of) + json_array_length(v_changes->'uploaded') > 0 THEN
    v_kept := jecp_mcp.drop_bodies('{{}}', v_answer_of) + jecp_mcp.drop_bodies('{{}}', ARRAY(
      SELECT call FROM json_to_recordset(v_changes->'uploaded') AS r("table" text, call bigint)
      WHERE r."table" = 'answer'));
    INSERT INTO jecp_mcp.request(call, size, body)
      SELECT r.call, length(r.body), r.body FROM unnest(v_request_of, v_requests) AS r(call, body);
    INSERT INTO jecp_mcp.answer(call, size, body)
      SELECT r.call, length(r.body), r.body FROM unnest(v_answer_of, v_answers) AS r(call, body);
    INSERT INTO jecp_mcp.request(call, size, upload)
      SELECT r.call, r.size, r.upload
      FROM json_to_recordset(v_changes->'uploaded') AS r("table" text, call bigint, size bigint, upload text)
      WHERE r."table" = 'request';
    INSERT INTO jecp_mcp.answer(call, size, upload)
      SELECT r.call, r.size, r.upload
      FROM json_to_recordset(v_changes->'uploaded') AS r("table" text, call bigint, size bigint, upload text)
      WHERE r."table" = 'answer';
    SELECT coalesce(sum(length(b)), 0) INTO v_count FROM unnest(v_requests || v_answers) AS b;
    v_count := v_count + (SELECT coalesce(sum(r.size), 0)
      FROM json_to_recordset(v_changes->'uploaded') AS r(size bigint));
    UPDATE jecp_mcp.head SET kept = kept - v_kept + v_count;
  END IF;
  v_part := v_changes->'slips';
  IF json_array_length(v_part) > 0 THEN
    UPDATE jecp_mcp.slip AS s SET state = r.state, call_id = r.call_id, note = r.note
      FROM json_to_recordset(v_part) AS r(kind text, slip_id text, state text, call_id text, note text)
      WHERE s.kind = r.kind AND s.slip_id = r.slip_id;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    PERFORM jecp_mcp.counted(v_count, json_array_length(v_part), 'a slip');
  END IF;
  v_part := v_changes->'dropped_slips';
  IF json_array_length(v_part) > 0 THEN
    WITH gone AS (
      DELETE FROM jecp_mcp.slip AS s USING json_to_recordset(v_part) AS r(kind text, slip_id text)
      WHERE s.kind = r.kind AND s.slip_id = r.slip_id RETURNING s.upload),
    parts AS (DELETE FROM jecp_mcp.part WHERE upload IN (SELECT upload FROM gone WHERE upload IS NOT NULL))
    SELECT count(*) INTO v_count FROM gone;
    PERFORM jecp_mcp.counted(v_count, json_array_length(v_part), 'a slip');
  END IF;
  IF cardinality(v_slips) > 0 THEN
    INSERT INTO jecp_mcp.slip(kind, slip_id, principal, subject, state, body, upload, created_at, expires_at, call_id,
                              note)
      SELECT r.kind, r.slip_id, r.principal, r.subject, r.state, v_slips[r.place], r.upload, r.created_at, r.expires_at,
             r.call_id, r.note
      FROM json_to_recordset(v_changes->'new_slips') AS r(
        place integer, kind text, slip_id text, principal text, subject text, state text, upload text,
        created_at bigint, expires_at bigint, call_id text, note text)
      ORDER BY r.place;
  END IF;
  INSERT INTO jecp_mcp.event(id, call, body, digest)
    SELECT * FROM unnest(v_event_ids, v_event_calls, v_events, v_digests);
END $$;
"""  # noqa: S608 constants of this module

BODIES: Final = f"""
-- Drop the requests and answers of some calls, with their parts; returns how many bytes that gave back.
CREATE FUNCTION jecp_mcp.drop_bodies(v_requests bigint[], v_answers bigint[]) RETURNS bigint LANGUAGE sql AS $$
  WITH requests AS (DELETE FROM jecp_mcp.request WHERE call = ANY (v_requests) RETURNING size, upload),
       answers AS (DELETE FROM jecp_mcp.answer WHERE call = ANY (v_answers) RETURNING size, upload),
       gone AS (SELECT * FROM requests UNION ALL SELECT * FROM answers),
       parts AS (DELETE FROM jecp_mcp.part WHERE upload IN (SELECT upload FROM gone WHERE upload IS NOT NULL))
  SELECT coalesce(sum(size), 0)::bigint FROM gone
$$;

-- Drop the bodies of some calls for good.
CREATE FUNCTION jecp_mcp.forget(v_calls bigint[]) RETURNS void LANGUAGE sql AS $$
  UPDATE jecp_mcp.head SET kept = kept - jecp_mcp.drop_bodies(v_calls, v_calls)
$$;

-- Drop the bodies of calls that ended before, of the v_most numbers behind v_behind; returns how many had one.
CREATE FUNCTION jecp_mcp.prune(v_before bigint, v_behind bigint, v_most bigint) RETURNS bigint
LANGUAGE plpgsql {_BY_INDEX} AS $$
DECLARE
  v_chosen bigint[] := ARRAY(
    SELECT id FROM jecp_mcp.call AS c
    WHERE id > v_behind AND id <= v_behind + v_most AND ended_at < v_before AND NOT ({KEPT})
      AND (EXISTS (SELECT FROM jecp_mcp.request WHERE call = c.id)
           OR EXISTS (SELECT FROM jecp_mcp.answer WHERE call = c.id)));
BEGIN
  PERFORM jecp_mcp.forget(v_chosen);
  RETURN cardinality(v_chosen);
END $$;

-- The oldest ended calls that have bodies, with the bodies' bytes: delivered ones, or those that never were.
CREATE FUNCTION jecp_mcp.oldest(v_delivered boolean, v_most bigint) RETURNS TABLE (id bigint, size bigint)
LANGUAGE plpgsql {_BY_INDEX} AS $$
BEGIN
  RETURN QUERY
    WITH chosen AS (
      (SELECT c.id FROM jecp_mcp.request AS b JOIN jecp_mcp.call AS c ON c.id = b.call
       WHERE c.ended_at IS NOT NULL AND NOT ({KEPT}) = v_delivered ORDER BY b.call LIMIT v_most)
      UNION
      (SELECT c.id FROM jecp_mcp.answer AS b JOIN jecp_mcp.call AS c ON c.id = b.call
       WHERE c.ended_at IS NOT NULL AND NOT ({KEPT}) = v_delivered ORDER BY b.call LIMIT v_most))
    SELECT chosen.id, coalesce((SELECT r.size FROM jecp_mcp.request AS r WHERE r.call = chosen.id), 0)
                  + coalesce((SELECT a.size FROM jecp_mcp.answer AS a WHERE a.call = chosen.id), 0)
    FROM chosen ORDER BY chosen.id LIMIT v_most;
END $$;

-- Drop parts that no body names, of uploads that began before; returns how many.
CREATE FUNCTION jecp_mcp.sweep(v_before bigint) RETURNS bigint LANGUAGE sql AS $$
  WITH gone AS (
    DELETE FROM jecp_mcp.part AS p WHERE p.at < v_before
      AND NOT EXISTS (SELECT FROM jecp_mcp.request WHERE upload = p.upload)
      AND NOT EXISTS (SELECT FROM jecp_mcp.answer WHERE upload = p.upload)
      AND NOT EXISTS (SELECT FROM jecp_mcp.slip WHERE upload = p.upload)
    RETURNING 1)
  SELECT count(*) FROM gone
$$;
"""  # noqa: S608 constants of this module

FUNCTIONS: Final = CLOCK + LEASES + FEED + GATHER + BODIES + APPEND
"""All of them, for a schema that has its tables."""
