"""Semantic versions of offers (semver.org 2.0.0). Pure: no I/O."""

from __future__ import annotations

import re

_SEMVER = re.compile(
    r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(?:-([0-9A-Za-z.-]{1,64}))?(?:\+[0-9A-Za-z.-]{1,64})?",
    re.ASCII,
)


def valid_version(text: object) -> bool:
    """Whether `text` is a semantic version (semver.org 2.0.0)."""
    return isinstance(text, str) and _SEMVER.fullmatch(text) is not None


def version_order(text: str | None) -> tuple[tuple[int, ...], str]:
    """A sort key over versions: releases above their pre-releases, anything that is no version lowest.

    Pre-releases of one release are ordered as text, which suffices to prefer one of them the same way every time.
    """
    match = _SEMVER.fullmatch(text) if text else None
    if match is None:
        return (), text or ""
    major, minor, patch, pre = match.groups()
    return (int(major), int(minor), int(patch), not pre), pre or ""
