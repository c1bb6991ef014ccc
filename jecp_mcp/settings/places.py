"""Where this user's files are: the platform's own folders, unless the operator names others."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jecp_mcp.errors import SettingsError

APP = "jecp-mcp"
CONFIG_VARIABLE = "JECP_MCP_CONFIG"
STATE_VARIABLE = "JECP_MCP_STATE_DIR"

NO_HOME: Final = Path("/nonexistent")
"""What stands for the home folder of a user without one as Debian's packages have it; nothing is ever there."""

MOUNTS = Path("/proc/self/mountinfo")
"""Linux's table of mounts (proc_pid_mountinfo(5)); other systems have none, and there no mount is known."""

_REMOTE: Final = frozenset({
    "nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "9p", "afs", "ncpfs", "coda", "ceph", "glusterfs", "lustre",
    "beegfs", "gfs2", "ocfs2", "orangefs", "davfs", "drvfs", "vboxsf", "prl_fs", "vmhgfs",
})  # fmt: skip
_REMOTE_FUSE: Final = frozenset({
    "sshfs", "s3fs", "s3fs-fuse", "gcsfuse", "goofys", "geesefs", "rclone", "blobfuse", "blobfuse2", "mount-s3",
    "mountpoint-s3", "s3ql", "s3backer", "juicefs", "seaweedfs", "ossfs", "cosfs", "obsfs", "davfs", "davfs2",
    "curlftpfs", "smbnetfs", "glusterfs", "ceph", "ceph-fuse", "moosefs", "mfs", "nfs", "hdfs", "vmhgfs-fuse",
    "onedriver", "google-drive-ocamlfuse", "gvfsd-fuse", "kio-fuse",
})  # fmt: skip
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a file system is mounted, and of what type it is, in Linux's words."""

    point: Path
    kind: str

    @property
    def remote(self) -> bool:
        """Whether other machines have the same files, so that this one's locks do not keep them out."""
        return self.kind in _REMOTE or (self.fuse and self.kind.partition(".")[2].lower() in _REMOTE_FUSE)

    @property
    def fuse(self) -> bool:
        """Whether a program serves it, whose locks may hold within one mount only."""
        return self.kind in {"fuse", "fuseblk", "virtiofs"} or self.kind.startswith("fuse.")


def mount_of(path: Path) -> Mount | None:
    """The mount that a path is on, or would be; None where it cannot be told."""
    try:
        table = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    return _deepest(table, path.resolve())


def _deepest(table: str, path: Path) -> Mount | None:
    found: Mount | None = None
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.partition(" ")[0]
        if len(fields) <= _POINT or not kind:
            continue
        point = Path(_OCTAL.sub(lambda octal: chr(int(octal[1], 8)), fields[_POINT]))
        # Of two mounts at the same point the later one hides the earlier.
        if path.is_relative_to(point) and (found is None or point.is_relative_to(found.point)):
            found = Mount(point, kind)
    return found


_POINT: Final = 4


def state_dir(environ: Mapping[str, str], option: Path | None = None) -> Path:
    """Where the ledger, the credentials, the catalog's snapshot and the artifacts are kept.

    ``--state-dir``, else ``$JECP_MCP_STATE_DIR``, else the platform's folder for state. Nothing is created.

    Raises:
        SettingsError: none is named, and there is no home folder to have one in; or its name is no UTF-8.
    """
    if option is not None:
        return _absolute(option, "--state-dir")
    if named := variable_of(environ, STATE_VARIABLE):
        return _absolute(Path(named), STATE_VARIABLE)
    # Imported late: most starts name their folder, or look here once.
    from platformdirs import user_state_path

    folder = _platform_folder(user_state_path)
    if folder is None:
        raise SettingsError(
            "the state folder",
            "",
            f"user {os.getuid()} has no home folder to keep it in; name one with --state-dir or {STATE_VARIABLE}",
        )
    return _utf8(folder, "the state folder")


def sandbox_dir(environ: Mapping[str, str], option: Path | None = None) -> Path:
    """Where the same is kept of what is bought with test money: a folder within, unless one was named.

    Test money must not use up the limits of the real wallet, nor stand in its books.
    """
    folder = state_dir(environ, option)
    return folder if option is not None or variable_of(environ, STATE_VARIABLE) else folder / "sandbox"


def config_file(environ: Mapping[str, str], option: Path | None = None) -> tuple[Path, bool]:
    """The settings file, and whether somebody asked for it by name (then it must exist).

    Raises:
        SettingsError: its name begins with a home folder that is not known, or is no UTF-8.
    """
    if option is not None:
        return _absolute(option, "--config"), True
    if named := variable_of(environ, CONFIG_VARIABLE):
        return _absolute(Path(named), CONFIG_VARIABLE), True
    from platformdirs import user_config_path

    folder = _platform_folder(user_config_path) or NO_HOME
    return _utf8(folder / "config.toml", "the settings file"), False


def home_folder() -> Path:
    """The user's home folder; `NO_HOME` where neither ``HOME`` nor the system names one, as for a container's user."""
    try:
        return Path.home()
    except RuntimeError:
        return NO_HOME


def _platform_folder(find: Callable[..., Path]) -> Path | None:
    """A folder of the platform's, None where it would be in a home folder that is not known."""
    try:
        folder = find(APP, appauthor=False)
    except RuntimeError:
        return None
    # Older platformdirs leave a tilde that it cannot expand.
    return None if folder.parts[:1] == ("~",) else folder


def _absolute(path: Path, source: str) -> Path:
    try:
        return _utf8(path.expanduser().absolute(), source)
    except RuntimeError as exc:
        raise SettingsError(source, "", f"{path} begins with a home folder that is not known") from exc


def _utf8(path: Path, source: str) -> Path:
    """A path whose name can be written: SQLite takes no other, nor can a command line or JSON that names it."""
    # A byte that is not UTF-8 comes from the system as half of a surrogate pair (PEP 383).
    if str(path).encode("utf-8", "ignore") != os.fsencode(path):
        raise SettingsError(source, "", f"{os.fsencode(path)!r} has bytes that are not UTF-8; name another place")
    return path


def variable_of(environ: Mapping[str, str], variable: str) -> str:
    """A variable in any case, as the settings' own are read; empty counts as not set."""
    return next((value for name, value in environ.items() if name.upper() == variable and value.strip()), "")
