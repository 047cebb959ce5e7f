"""An augmented view of a corpus: what acts on its waveforms, and whose chance it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from spoofcache.features.augment import parse_effect, utterance_seed
from spoofcache.features.augment.base import Effect
from spoofcache.features.waveform import Waveform


@dataclass(frozen=True)
class View:
    """View `number`, from 1 on (0 is the clean one), of an effect as `parse_effect` reads it.

    Raises:
        EffectError: by `settings` and by a call, an effect that cannot be had.
    """

    effect: str
    seed: int
    number: int

    def settings(self) -> Mapping[str, Any]:
        """What it adds to a cache's identity, as `augment`."""
        return {**_effect(self.effect).settings(), "seed": self.seed, "view": self.number}

    def __call__(self, waveform: Waveform, utt_id: str) -> Waveform:
        """Waveform [n] at 16 kHz → a new one [n]: a function of effect, seed, number and utterance alone.

        Raises:
            EffectError: a recording of the effect's folder cannot be used.
        """
        return _effect(self.effect)(waveform, utterance_seed(self.seed, utt_id, self.number))


@cache  # so that a folder is hashed once, however many its views
def _effect(spelling: str) -> Effect:
    return parse_effect(spelling)
