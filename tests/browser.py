"""Headless Chromium, where there is one: what a page becomes, what it asks of the network and what it complains of."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND"),  # it asks, and nobody answers
)
CONSOLE = re.compile(r":CONSOLE[:(].*")


class Visit(NamedTuple):
    """What came of opening a page."""

    dom: str
    """The document after its scripts, as HTML."""
    requests: list[str]
    """Addresses that the page, not the browser itself, asked the network for."""
    complaints: list[str]
    """Lines of the console: script errors, and what the content security policy refused."""


def visit(page: str, folder: Path, *options: str) -> Visit:
    """Open HTML as a file in `folder`, with a new profile; skips where there is no browser."""
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        pytest.skip("no chromium here")
    (folder / "page.html").write_text(page, encoding="utf-8")
    log = folder / "network.json"
    places = (f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}", "--dump-dom")
    done = subprocess.run(
        [browser, *OPTIONS, *options, *places, (folder / "page.html").as_uri()],
        capture_output=True,
        text=True,
        check=True,
    )
    return Visit(done.stdout, _requests(log), CONSOLE.findall(done.stderr))


def _requests(log: Path) -> list[str]:
    asked = [event.get("params", {}) for event in json.loads(log.read_text(encoding="utf-8"))["events"]]
    # what the browser wants for itself (updates, the time) has "not an origin"
    return [a["url"] for a in asked if "url" in a and a.get("initiator", "not an origin") != "not an origin"]
