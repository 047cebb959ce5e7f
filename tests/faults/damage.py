"""Damage to the bytes of any file, for the harnesses that read what was damaged."""

import random
from collections.abc import Callable, Sequence

Change = Callable[[bytes, random.Random], bytes]
"""Damages the content of a file that is not empty."""


def flip(data: bytes, draw: random.Random) -> bytes:
    """One bit has changed."""
    place = draw.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]


def cut(data: bytes, draw: random.Random) -> bytes:
    """The end is missing."""
    return data[: draw.randrange(len(data))]


def inserting(junk: Sequence[bytes]) -> Change:
    """The damage that puts one of these pieces anywhere."""

    def insert(data: bytes, draw: random.Random) -> bytes:
        place = draw.randrange(len(data) + 1)
        return data[:place] + draw.choice(junk) + data[place:]

    return insert
