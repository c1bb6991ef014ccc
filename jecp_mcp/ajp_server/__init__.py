"""A server for an agent that others hire by AJP, the Agent Job Protocol: ``docs/ajp-server.md`` leads to the first job.

A worker, an `Identity` and a file make an `Agent`; its ``app`` is an ASGI application, to be served with its lifespan
and in one process. Needs ``jecp-mcp[ajp]``.
"""

from jecp_mcp.ajp_server.agent import Agent, Surroundings
from jecp_mcp.ajp_server.identity import Identity
from jecp_mcp.ajp_server.work import Job, JobFailed, StandingUnknown, Terms, Trust, Work
from jecp_mcp.wire.ajp.signatures import new_private_key

__all__ = [
    "Agent",
    "Identity",
    "Job",
    "JobFailed",
    "StandingUnknown",
    "Surroundings",
    "Terms",
    "Trust",
    "Work",
    "new_private_key",
]
