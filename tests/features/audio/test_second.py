"""The second decoder beside versions of PyAV that differ; what it reads is in test_read.py."""

import pytest

from spoofcache.features.audio.second import text_options


@pytest.mark.parametrize(("version", "options"), [("18.1.0", {"metadata_errors": "replace"}), ("19.0.0rc1", {})])
def test_a_pyav_without_metadata_errors_is_not_given_any(version, options):
    assert text_options(version) == options
