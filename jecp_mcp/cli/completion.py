"""``jecp-mcp completion``: what a shell needs to complete commands, options and tool names."""

from __future__ import annotations

from itertools import islice
from typing import Final

import click

from jecp_mcp.cli.examples import examples
from jecp_mcp.errors import SettingsError

VARIABLE: Final = "_JECP_MCP_COMPLETE"
"""By which a shell asks; click reads it (https://click.palletsprojects.com/shell-completion)."""


_MOST: Final = 200


@click.command(
    "completion",
    epilog=examples(
        "jecp-mcp completion bash >> ~/.bashrc",
        "jecp-mcp completion zsh >> ~/.zshrc",
        "jecp-mcp completion fish > ~/.config/fish/completions/jecp-mcp.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that lets a SHELL complete jecp-mcp's commands, options and tool names."""
    from click.shell_completion import get_completion_class

    from jecp_mcp.cli.main import jecp_mcp

    found = get_completion_class(shell)
    assert found is not None, "click knows these three"
    # Not its source(), which runs bash to look at its version.
    completion = found(jecp_mcp, {}, "jecp-mcp", VARIABLE)
    print(completion.source_template % completion.source_vars())


def complete_tools(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The names of tools that begin so, as of the last catalog that was fetched; nothing is asked of the Hub."""
    from jecp_mcp.cli.options import start_from
    from jecp_mcp.cli.unmatched_patterns import remembered_catalog
    from jecp_mcp.tools.publishing.naming import Names

    names = Names()
    try:
        # What says whether the sandbox is meant is kept with the context, which nobody has entered yet.
        with ctx.scope(cleanup=False):
            names.assign(remembered_catalog(start_from(ctx.params)).actions)
    except SettingsError:
        # Whoever runs the command is told; a shell that completes a word is not the place.
        return []
    return list(islice(names.starting_with(incomplete), _MOST))
