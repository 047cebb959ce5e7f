"""The user's own recordings → scores, by a network and the front-end whose features it was trained on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from spoofcache.engine.about import RunError
from spoofcache.engine.countermeasure import Countermeasure
from spoofcache.engine.recordings import Track
from spoofcache.engine.score import run_batch
from spoofcache.features.audio.levels import is_clipped, is_silent
from spoofcache.features.online import OnlineFeatures
from spoofcache.features.waveform import SAMPLE_RATE, AudioError, Recording, Waveform, load_recording
from spoofcache.models.output import BackendOutput

SCORES: Mapping[str, Callable[[Countermeasure, BackendOutput], torch.Tensor]] = {
    "llr": lambda model, output: model.score(output),
    "bonafide-logit": lambda model, output: output.logits[:, 1].float(),
    "probability": lambda model, output: output.logits.float().softmax(1)[:, 1],
}
"""Kinds of scores [B] in float32, higher = more bona fide: the score of the loss (the log-odds for most losses), the
logit for bona fide out of the logits [B, 2], or their soft-max."""

SHORT_SECONDS = 1.0
"""Recordings that are shorter than this are scored with a warning."""


@dataclass(frozen=True)
class Detector:
    """A network in evaluation mode and its features, on `device`; `score` is a key of SCORES.

    Raises:
        RunError: a score of logits that were never trained.
    """

    model: Countermeasure
    features: OnlineFeatures
    device: torch.device
    score: str = "llr"
    batch_size: int = 8

    def __post_init__(self) -> None:
        if self.score != "llr" and not self.model.objective.uses_logits:
            raise RunError(f"score {self.score} of a network whose loss left its logits untrained; expected llr")

    def track(self, path: Path | str, hop: int | None = None) -> Track:
        """Scores of an audio file's first window, or with a `hop` in samples of windows over the whole file.

        The scores of a file do not depend on the files that are scored with it.

        Raises:
            AudioError: the file has no usable audio.
            StoreError: a feature is too large for the number type that the cache is stored in.
        """
        path, length = Path(path), self.features.n_samples
        recording = load_recording(path, at_most=None if hop else length)
        waveform = recording.waveform
        starts = window_starts(len(waveform), length, hop) if hop else [0]
        windows = [waveform[start : start + length] for start in starts]
        batches = [windows[at : at + self.batch_size] for at in range(0, len(windows), self.batch_size)]
        scores = np.concatenate([self._scores(batch, str(path)) for batch in batches])
        if not np.isfinite(scores).all():
            raise AudioError(f"{path}: the score is not a finite number; expected samples around ±1")
        first = np.array(starts, np.float64)
        ends = np.minimum(first + length, len(waveform)) / SAMPLE_RATE
        return Track(first / SAMPLE_RATE, ends, scores, tuple(_remarks(recording)))

    @torch.inference_mode()
    def _scores(self, windows: Sequence[Waveform], name: str) -> NDArray[np.float64]:
        output = run_batch(self.model, self.features.extract(windows, name), self.device)
        return SCORES[self.score](self.model, output).cpu().numpy().astype(np.float64)


def _remarks(recording: Recording) -> Iterator[str]:
    """Remarks on a recording that make its score doubtful."""
    waveform = recording.waveform
    seconds = len(waveform) / SAMPLE_RATE
    if not recording.is_whole:
        yield f"only the first {seconds:.2f} s were scored; --windows scores the whole file"
    if seconds < SHORT_SECONDS:
        yield f"only {seconds:.2f} s long; scores of files shorter than {SHORT_SECONDS:g} s are unreliable"
    if is_silent(waveform):
        yield "silent; the score says nothing"
    if is_clipped(waveform):
        yield "clipped at full scale; the score may be unreliable"
    yield from recording.notes


def window_starts(n_samples: int, length: int, hop: int) -> list[int]:
    """First samples of windows of that length, a hop apart; the last one ends with the waveform.

    >>> window_starts(10, 4, 3), window_starts(9, 4, 3), window_starts(2, 4, 3)
    ([0, 3, 6], [0, 3, 5], [0])
    """
    last = max(n_samples - length, 0)
    return [*range(0, last, hop), last]
