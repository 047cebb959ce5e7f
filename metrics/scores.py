"""The scores of a countermeasure and those of an automatic speaker verification (ASV) system, in memory."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spoofcache.metrics.det import EqualErrorRate, FloatArray, ScoreError, equal_error_rate

UNKNOWN = "-"
"""The attack of a bona fide trial, and of a spoof trial whose attack is not known."""
KEYS = ("spoof", "bonafide")
LARGEST = 1e38
"""The largest magnitude of a score. Larger numbers stand for infinity (`nan_to_num` writes the largest float), and
their differences overflow."""


@dataclass(frozen=True, eq=False)
class CmScores:
    """Countermeasure scores of N trials, with what their file states about each trial, in the order of the file."""

    utt_ids: Sequence[str]
    """Names of the utterances as the file writes them."""
    attacks: Sequence[str] | None
    """Attack of each trial, UNKNOWN for bona fide and if it is not known; None if the file has no attacks."""
    is_bonafide: NDArray[np.bool_] | None
    """Whether each trial [N] is bona fide; None if the file does not state it."""
    scores: FloatArray
    """Score of each trial [N]; a higher score means more likely bona fide."""
    path: Path | None = None
    """The file that the scores were read from; None for scores that were computed."""
    layout: str = ""
    """How the text was split into rows and columns, in words."""
    understood: str = ""
    """The meaning of its columns, in words, for messages."""
    ones: NDArray[np.bool_] | None = None
    """Whether each cell [N] is 1 in a column of 0 and 1 that may be the key; None if there is no such column."""
    remarks: tuple[str, ...] = ()
    """Sentences on what was assumed because the file does not state it."""

    @property
    def bonafide(self) -> FloatArray:
        """Scores of the bona fide trials; raises ScoreError as `require_keys` does."""
        return self.scores[self.require_keys()]

    @property
    def spoof(self) -> FloatArray:
        """Scores of all spoof trials; raises ScoreError as `require_keys` does."""
        return self.scores[~self.require_keys()]

    def require_keys(self) -> NDArray[np.bool_]:
        """The key of each trial [N].

        Raises:
            ScoreError: the scores have no keys, or all trials are of one class.
        """
        whose = self.path or "these scores"
        if self.is_bonafide is None:
            raise ScoreError(
                f"{whose}: no column states whether a trial is bonafide or spoof"
                f"{f' ({self.understood})' if self.understood else ''}; expected a file that does, or a protocol "
                "(evaluate.py --protocol)"
            )
        if self.is_bonafide.all() or not self.is_bonafide.any():
            only = KEYS[bool(self.is_bonafide[0])]
            raise ScoreError(
                f"{whose}: all {self.is_bonafide.size} trials are {only}; expected both bonafide and spoof"
            )
        return self.is_bonafide


@dataclass(frozen=True, eq=False)
class AsvScores:
    """Scores of an ASV system; a higher score means that the voice is more like the target speaker's."""

    target: FloatArray
    nontarget: FloatArray
    spoof: FloatArray
    spoof_attacks: list[str]
    """Attack of each spoof score."""
    notes: tuple[str, ...] = field(default=(), kw_only=True)
    """Sentences on how the file was read."""

    @cached_property
    def eer(self) -> EqualErrorRate:
        """The equal error rate between target and nontarget trials, computed once for all groups of trials."""
        return equal_error_rate(self.target, self.nontarget)

    @cached_property
    def _attack_codes(self) -> tuple[NDArray[np.str_], NDArray[np.intp]]:
        """The attacks, each once [A], and the index of each spoof score's among them."""
        return np.unique(np.array(self.spoof_attacks, dtype=np.str_), return_inverse=True)

    @property
    def attacks(self) -> frozenset[str]:
        """The attacks that have spoof scores."""
        return frozenset(self._attack_codes[0].tolist())

    def spoof_of(self, attacks: Collection[str]) -> FloatArray:
        """The spoof scores of some attacks, in their order."""
        names, codes = self._attack_codes
        return self.spoof[np.isin(names, sorted(attacks))[codes]]

    @property
    def classes(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Scores of target, nontarget and spoof trials, in this order."""
        return self.target, self.nontarget, self.spoof
