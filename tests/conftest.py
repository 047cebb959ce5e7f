"""Fixtures that the whole test tree shares."""

from pathlib import Path

import pytest

from spoofcache.common import machine

machine.sleep_soon()  # before any test imports torch, as common/cli.py does


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of third-party data beside the checkout; skips where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder
