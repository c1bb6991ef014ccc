"""``jecp-mcp jobs``: the jobs that agents were hired for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import anyio
import click

from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import Start, as_json, common_options, start_from
from jecp_mcp.cli.status import show_call, usdc_of
from jecp_mcp.plurals import counted


@click.command("jobs", epilog=examples("jecp-mcp jobs", "jecp-mcp jobs job_0123456789abcdef0123456789abcdef --json"))
@click.argument("job", required=False)
@common_options
@as_json
def command(job: str | None, as_json: bool, **given: Any) -> None:
    """List the jobs that agents were hired for, and what each agent takes of what it may.

    With JOB, by its id or that of its call, show its result; one that is worked on is waited for, for 20 seconds.
    """
    where = start_from(given)
    if job is not None:
        from jecp_mcp.tools.own.jobs import call_of

        show_call(where, call_of(job), as_json=as_json)
        return
    found = anyio.run(_read, where)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _list(found)


async def _read(given: Start) -> dict[str, Any]:
    from jecp_mcp.cli.assembly import build
    from jecp_mcp.domain.purchases import LOCAL
    from jecp_mcp.tools.own.jobs import latest_jobs

    async with build(given) as bridge:
        return await latest_jobs(bridge.calls.reader(LOCAL))


def _list(found: Mapping[str, Any]) -> None:
    from jecp_mcp.cli import rich_output

    if not found["jobs"]:
        rich_output.say("No agent was hired from here yet.")
        return
    columns: list[rich_output.Column] = [("job", "left"), ("when (UTC)", "left"), ("agent", "left"), ("state", "left")]
    columns += [("at most", "right"), ("USDC", "right"), ("asked", "prose")]
    rows = [
        (
            one["job_id"],
            one["created_at"][:19].replace("T", " "),
            one["agent"],
            rich_output.state(one["state"]),
            one["most_usdc"],
            usdc_of(one),
            one.get("asked", {}).get("instruction", ""),
        )
        for one in found["jobs"]
    ]
    rich_output.show(rich_output.Listing("Jobs, the newest first", columns, rows))
    for agent in found["agents"]:
        if "charged" in agent:
            rich_output.say(
                f"{agent['agent']}: {counted(agent['charged'], 'job')} charged; the median is "
                f"{agent['median_charged_usdc']} USDC, where {agent['median_most_usdc']} was allowed.",
                "dim",
            )
