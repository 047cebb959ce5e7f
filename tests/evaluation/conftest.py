"""Fixtures for runs that are trained and then judged."""

from tests.engine.conftest import caches, experiment  # noqa: F401
