"""Fixtures of the protocol tests."""

import pytest

from protocols.trial import ProtocolError


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
