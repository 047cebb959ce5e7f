"""A folder of recordings such as MUSAN or measured impulse responses: its files, their hash, and random draws."""

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np

from spoofcache.common.endings import AUDIO_ENDINGS
from spoofcache.features.coverage import SHOWN, header_problem
from spoofcache.features.waveform import AudioError
from spoofcache.protocols.audio import walk


class Recordings:
    """The audio files in a folder and its subfolders, recognised by their endings. Hidden files are ignored.

    Attributes:
        folder: the folder.
        files: the files in the order of their relative names, which is the same on every machine.

    Raises:
        ValueError: the folder does not exist, or contains no audio.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = sorted(walk(folder).files if folder.is_dir() else [], key=self._relative)
        if not self.files:
            raise ValueError(f"{folder}: no audio; expected a folder with {', '.join(AUDIO_ENDINGS)} files")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the files' relative names and contents. Every file is opened and read once.

        Raises:
            AudioError: files cannot be opened.
        """
        self._require_audio()
        whole = hashlib.sha256()
        for path in self.files:
            with path.open("rb") as file:
                whole.update(f"{self._relative(path)}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
        return f"sha256:{whole.hexdigest()}"

    def draw(self, rng: np.random.Generator) -> Path:
        """Draw a recording at random; returns its file."""
        return self.files[rng.integers(len(self.files))]

    def _require_audio(self) -> None:
        reasons = [reason for reason in map(header_problem, self.files) if reason]
        if reasons:
            raise AudioError(
                f"{self.folder}: {len(reasons)} of {len(self.files)} recordings cannot be opened, first "
                f"{', '.join(reasons[:SHOWN])}; expected audio"
            )

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()
