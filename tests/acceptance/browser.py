"""A real browser, driven over the pipe of its DevTools protocol; tests that need one are skipped where there is none."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="there is no browser")

_MOST_LOOKS = 50_000

_PIPES = """
import fcntl, os, sys
for own, wanted in [(fcntl.fcntl(int(given), fcntl.F_DUPFD, 10), at) for given, at in zip(sys.argv[1:3], (3, 4))]:
    os.dup2(own, wanted)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Tab:
    """One tab of a browser."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._number = 0
        self._session: str | None = None
        made = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=made, flatten=True)["sessionId"]

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The browser's answer; empty where it refuses, as it does for a page that is being left."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            said = b""
            while (part := os.read(self._back, 1)) != b"\0":
                assert part, "the browser has gone"
                said += part
            answer = json.loads(said)
            if answer.get("id") == self._number:
                return dict(answer.get("result", {}))

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript on the page."""
        return self._ask("Runtime.evaluate", expression=expression, returnByValue=True).get("result", {}).get("value")

    def another(self) -> Tab:
        """One more tab of the same browser."""
        return Tab(self._to, self._back)

    def show(self) -> None:
        """Bring it before the other tabs: a page may sleep while it is not seen."""
        self._ask("Page.bringToFront")

    def screenshot(self, width: int) -> bytes:
        """All of the page as a PNG, in a window of so many CSS pixels."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        shown = self._ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shown["data"])

    def open(self, url: str) -> None:
        self._ask("Page.navigate", url=url)

    def wait_for(self, text: str) -> None:
        """Wait until the page shows a text, however slow the machine is: each look is a round trip to the browser."""
        shown = ""
        for _ in range(_MOST_LOOKS):
            shown = self.evaluate("document.body ? document.body.innerText : ''") or ""
            if text in shown:
                return
            os.sched_yield()
        raise AssertionError(f"the page never says {text!r}: {shown[:2_000]}")

    def type(self, text: str) -> None:
        """Type into the field that has the focus, once one has it, and press Enter."""
        focus = "document.readyState === 'complete' && document.activeElement.tagName"
        for _ in range(_MOST_LOOKS):
            if self.evaluate(focus) == "INPUT":
                break
            os.sched_yield()
        self._ask("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=kind, key="Enter", text="\r", windowsVirtualKeyCode=13)


@contextmanager
def browser(folder: Path) -> Iterator[Tab]:
    """A browser with a profile of its own in `folder`."""
    theirs, to = os.pipe()
    back, ours = os.pipe()
    assert PROGRAM is not None
    flags = ("headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync", f"user-data-dir={folder}", "remote-debugging-pipe")  # fmt: skip
    command = [PROGRAM, *(f"--{flag}" for flag in flags)]
    # The protocol's pipe is read from descriptor 3 and written to descriptor 4.
    process = subprocess.Popen(
        [sys.executable, "-c", _PIPES, str(theirs), str(ours), *command],
        pass_fds=(theirs, ours),
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    os.close(ours)
    try:
        yield Tab(to, back)
    finally:
        os.close(to)
        os.close(back)
        process.wait(60)
