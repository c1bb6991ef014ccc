"""What a transaction came to, as ``jecp_mcp.append`` takes it. Pure: no I/O."""

from __future__ import annotations

import json
from typing import Any

from jecp_mcp.mandate.columns import write_names
from jecp_mcp.mandate.grants import Grant
from jecp_mcp.mandate.postgres.bodies import UploadedBody
from jecp_mcp.mandate.records import Reservation
from jecp_mcp.mandate.windows import slot_expiry
from jecp_mcp.mandate.working_set import Call, Changes, MeterState


def append_arguments(changes: Changes) -> list[Any]:
    """What a transaction came to, as the arguments of ``jecp_mcp.append``."""
    requests = [(call, body) for call, body in changes.requests.items() if not isinstance(body, UploadedBody)]
    answers = [(call, body) for call, body in changes.answers.items() if not isinstance(body, UploadedBody)]
    uploaded = [
        {"table": table, "call": call, "size": len(body), "upload": body.upload}
        for table, bodies in (("request", changes.requests), ("answer", changes.answers))
        for call, body in bodies.items()
        if isinstance(body, UploadedBody)
    ]
    new_grants = list(changes.new_grants.values())
    document = {
        "moved": [_moved(call) for call in changes.moved.values()],
        "made": [_made(call, wanted) for call, wanted in changes.made],
        "meters": [_meter_values(state) for _, state in sorted(changes.meters.items())],
        "slots": [
            {
                "meter": meter,
                "start": start,
                "expires": slot_expiry(changes.meters[meter].window, start),
                "amount": by,
            }
            for (meter, start), by in sorted(changes.slots.items())
            if by
        ],
        "tally": [
            dict(zip(("state", "calls", "held", "charged", "refunded"), (state.value, *sums), strict=True))
            for state, sums in sorted(changes.tally.items())
            if any(sums)
        ],
        "uploaded": uploaded,
        "slips": [
            {
                "kind": ref.kind.value,
                "slip_id": ref.grant_id,
                "state": grant.state.value,
                "call_id": grant.call_id,
                "note": grant.note,
            }
            for ref, grant in changes.grants.items()
        ],
        "dropped_slips": [{"kind": ref.kind.value, "slip_id": ref.grant_id} for ref in changes.dropped_grants],
        "new_slips": [_grant_values(place, grant) for place, grant in enumerate(new_grants, 1)],
    }
    return [
        json.dumps(document, separators=(",", ":")),
        [event.number for event in changes.events],
        [event.call for event in changes.events],
        [event.body for event in changes.events],
        [event.digest for event in changes.events],
        [call for call, _ in requests],
        [body for _, body in requests],
        [call for call, _ in answers],
        [body for _, body in answers],
        [None if isinstance(grant.body, UploadedBody) else grant.body for grant in new_grants],
    ]


def _moved(call: Call) -> dict[str, Any]:
    return {
        "id": call.number,
        "owner": call.owner,
        "claim": call.claim,
        "state": call.state.value,
        "charged": call.charged,
        "refunded": call.refunded,
        "balance_after": call.balance_after,
        "reference": call.reference,
        "evidence": call.evidence,
        "attempts": call.attempts,
        "sent_at": call.sent_at,
        "look_again_at": call.look_again_at,
        "ended_at": call.ended_at,
        "answered": call.answered,
        "delivered": call.delivered,
        "mark": call.mark,
    }


def _made(call: Call, wanted: Reservation) -> dict[str, Any]:
    return {
        **_moved(call),
        "call_id": call.call_id,
        "principal": call.principal,
        "team": wanted.team,
        "session": call.session,
        "rail": call.rail,
        "account": call.account,
        "tool": wanted.tool,
        "payee": wanted.payee,
        "source": wanted.source,
        "offer": wanted.offer,
        "names": write_names(call.names),
        "version": wanted.version,
        "fingerprint": call.fingerprint,
        "kind": wanted.kind,
        "terms": wanted.terms,
        "quoted": wanted.quoted,
        "held": call.held,
        "created_at": call.created_at,
        "provable_until": call.provable_until,
    }


def _meter_values(state: MeterState) -> dict[str, Any]:
    return {
        "id": state.number,
        "key": state.key,
        "window": state.window.value,
        "principal": state.principal,
        "pattern": state.pattern,
        "session": state.session,
        "since": state.since,
        "fed": state.fed,
        "used": state.used,
    }


def _grant_values(place: int, grant: Grant) -> dict[str, Any]:
    return {
        "place": place,
        "kind": grant.kind.value,
        "slip_id": grant.grant_id,
        "principal": grant.principal,
        "subject": grant.subject,
        "state": grant.state.value,
        "created_at": grant.created_at,
        "expires_at": grant.expires_at,
        "call_id": grant.call_id,
        "note": grant.note,
        "upload": grant.body.upload if isinstance(grant.body, UploadedBody) else None,
    }
