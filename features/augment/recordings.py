"""A folder of recordings (MUSAN, measured impulse responses): its files, its content's hash, one drawn at random."""

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np

from features.waveform import Waveform, load_waveform

AUDIO_ENDINGS = frozenset({".aif", ".aiff", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav"})


class Recordings:
    """The audio files in a folder and the folders below it, by their names' endings.

    Attributes:
        folder: where they lie.
        files: in the order of their relative names, the same on every machine.

    Raises:
        ValueError: no such folder, or no audio in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        found = (path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_ENDINGS and path.is_file())
        self.files = sorted(found, key=self._relative)
        if not self.files:
            raise ValueError(f"{folder}: no audio; expected a folder with {', '.join(sorted(AUDIO_ENDINGS))} files")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the files' relative names and contents; reads every byte once."""
        whole = hashlib.sha256()
        for path in self.files:
            with path.open("rb") as file:
                whole.update(f"{self._relative(path)}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
        return f"sha256:{whole.hexdigest()}"

    def draw(self, rng: np.random.Generator) -> Waveform:
        """One recording [n] at 16 kHz.

        Raises:
            AudioError: it cannot be used.
        """
        return load_waveform(self.files[rng.integers(len(self.files))])

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()
