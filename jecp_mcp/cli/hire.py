"""``jecp-mcp hire``: have an agent do a job, by the tool that a model has for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import click

from jecp_mcp.cli.call import check_streams, parse_arguments, pay_and_show, usdc_amount
from jecp_mcp.cli.examples import examples
from jecp_mcp.cli.options import as_json, common_options, start_from
from jecp_mcp.cli.own_tools import CallFailed, why
from jecp_mcp.cli.saved_files import TargetPath, check_room
from jecp_mcp.errors import SettingsError
from jecp_mcp.settings.ajp import AjpSettings

_FORMATS = ("json", "text", "markdown", "html", "any")
_ARGUMENTS = ("instruction", "output_format", "max_usdc", "max_seconds", "parent_job_id")


@click.command(
    "hire",
    epilog=examples(
        """jecp-mcp hire summariser --instruction "Summarise this." --input '{"text": "…"}' --budget 0.05""",
        "jecp-mcp hire summariser --instruction 'Summarise this.' --input - --timeout 600 < text.json",
    ),
)
@click.argument("agent")
@click.option("--instruction", metavar="TEXT", required=True, help="What it is to do, in words.")
@click.option("--input", "work", metavar="JSON", help='An object to work on ("-" reads it from standard input).')
@click.option("--format", "output_format", type=click.Choice(_FORMATS), help="What its result is to be.")
@click.option(
    "--budget",
    "max_usdc",
    metavar="USDC",
    callback=usdc_amount,
    help="What it may cost at most; only lowers the limits.",
)
@click.option(
    "--timeout",
    "max_seconds",
    metavar="SECONDS",
    type=click.IntRange(1),
    help="How long it may take; only lowers the limit.",
)
@click.option("--parent-job", "parent_job_id", metavar="JOB", help="The id of the job that this one is a part of.")
@click.option("--output", metavar="PATH", type=TargetPath(path_type=Path), help="Save the files of its result.")
@common_options
@as_json
def command(agent: str, work: str | None, output: Path | None, as_json: bool, **given: Any) -> None:
    """Hire AGENT, by its name in the settings or its id, for one job, and show its result.

    A job that takes longer than a minute goes on without this command: `jecp-mcp jobs` has it. The same command again
    is the same job. The exit status is that of `jecp-mcp call`.
    """
    where = start_from(given)
    name = _name(where.settings.ajp, agent)
    asked = {key: given[key] for key in _ARGUMENTS} | {
        "input": None if work is None else parse_arguments(work, "the values of --input")
    }
    check_room(output)
    check_streams()
    arguments = {key: value for key, value in asked.items() if value is not None}
    result = anyio.run(pay_and_show, where, f"ajp/hire:{name}", arguments, output, as_json)
    if result.is_error:
        raise CallFailed(why(result, where.commands))


def _name(settings: AjpSettings, agent: str) -> str:
    """The name of an agent that is listed under it, or under its id.

    Raises:
        SettingsError: none is.
    """
    for listed in settings.agents:
        if agent in {listed.name, listed.id}:
            return listed.name
    names = ", ".join(listed.name for listed in settings.agents) or "none"
    raise SettingsError("the settings", "ajp.agents", f"there is no agent {agent[:100]!r}; listed: {names}")
