"""An augmented view of a corpus: the effect on its waveforms, and the random seed of each utterance."""

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
        EffectError: raised by `settings` and by a call if the effect cannot be used.
    """

    effect: str
    seed: int
    number: int

    def settings(self) -> Mapping[str, Any]:
        """The entry `augment` of a cache's identity."""
        return {**_effect(self.effect).settings(), "seed": self.seed, "view": self.number}

    def __call__(self, waveform: Waveform, utt_id: str) -> Waveform:
        """Waveform [n] at 16 kHz → a new one [n] that depends on effect, seed, number and utterance alone.

        Raises:
            EffectError: a recording of the effect's folder cannot be used.
        """
        return _effect(self.effect)(waveform, utterance_seed(self.seed, utt_id, self.number))


@cache  # so that a folder is hashed only once for all views
def _effect(spelling: str) -> Effect:
    return parse_effect(spelling)
