"""Fixtures of the protocol tests."""

import pytest

from spoofcache import protocols
from spoofcache.protocols.trial import ProtocolError


@pytest.fixture
def write(tmp_path):
    """`write("a b\\n")`: a file with this content, of a name that tells nothing."""

    def write_file(content):
        path = tmp_path / "protocol"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


@pytest.fixture
def refusal(write):
    """`refusal(read, "a b\\n")`: what a reader says to this content, with FILE for the path."""

    def read_file(read, content):
        path = write(content)
        with pytest.raises(ProtocolError) as refused:
            read(path)
        return str(refused.value).replace(str(path), "FILE")

    return read_file


@pytest.fixture
def touch(tmp_path):
    """`touch("a.flac", "b/c.wav")`: a folder with empty files of these names."""

    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return make


@pytest.fixture
def any_counts(monkeypatch):
    """The published counts, which are of whole corpora, are not checked."""
    counted = ("asvspoof19", "asvspoof21", "asvspoof5", "in_the_wild", "codecfake")
    for module in counted:
        monkeypatch.setattr(getattr(protocols, module), "check_counts", lambda *_: None)
