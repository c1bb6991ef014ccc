"""The operator's settings and the agent's credentials: their shapes, and where they are read from."""

from jecp_mcp.settings.ajp import AjpSettings
from jecp_mcp.settings.credentials import (
    check_storable,
    find_credentials,
    find_every_account,
    store_credentials,
    stored_credentials,
)
from jecp_mcp.settings.flow402 import Flow402Settings
from jecp_mcp.settings.loading import empty_variables, load_settings
from jecp_mcp.settings.models import (
    DEFAULT_HUB,
    ArtifactSettings,
    CatalogSettings,
    Credentials,
    HostProfile,
    HubSettings,
    LedgerSettings,
    LimitSettings,
    MandateSettings,
    NamedHubSettings,
    ServerSettings,
    Settings,
    ToolSettings,
    check_hub_url,
    credential_fault,
    is_loopback,
)
from jecp_mcp.settings.paid_http import PaidHttpSettings
from jecp_mcp.settings.places import config_file, mount_of, sandbox_dir, state_dir

__all__ = [
    "DEFAULT_HUB",
    "AjpSettings",
    "ArtifactSettings",
    "CatalogSettings",
    "Credentials",
    "Flow402Settings",
    "HostProfile",
    "HubSettings",
    "LedgerSettings",
    "LimitSettings",
    "MandateSettings",
    "NamedHubSettings",
    "PaidHttpSettings",
    "ServerSettings",
    "Settings",
    "ToolSettings",
    "check_hub_url",
    "check_storable",
    "config_file",
    "credential_fault",
    "empty_variables",
    "find_credentials",
    "find_every_account",
    "is_loopback",
    "load_settings",
    "mount_of",
    "sandbox_dir",
    "state_dir",
    "store_credentials",
    "stored_credentials",
]
