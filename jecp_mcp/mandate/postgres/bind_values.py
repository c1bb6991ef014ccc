"""What a transaction came to, as ``jecp_mcp.append`` takes it. Pure: no I/O."""

from __future__ import annotations

import json
from typing import Any

from jecp_mcp.mandate import columns
from jecp_mcp.mandate.grants import Grant
from jecp_mcp.mandate.postgres.bodies import UploadedBody
from jecp_mcp.mandate.windows import slot_expiry
from jecp_mcp.mandate.working_set import Call, Changes


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
        "made": [
            dict(zip(columns.CALL, columns.new_call_values(call, wanted), strict=True)) for call, wanted in changes.made
        ],
        "meters": [
            dict(zip(columns.METER, columns.meter_values(state), strict=True))
            for _, state in sorted(changes.meters.items())
        ],
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
    return {"id": call.number, **dict(zip(columns.CHANGING, columns.changing_values(call), strict=True))}


def _grant_values(place: int, grant: Grant) -> dict[str, Any]:
    values = dict(zip(columns.GRANT, columns.grant_values(grant), strict=True))
    del values["body"]
    return {"place": place, **values, "upload": grant.body.upload if isinstance(grant.body, UploadedBody) else None}
