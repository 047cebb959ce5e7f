"""Decide what each recording is used for (enrolment, a bona fide trial, the source of a spoof) and in which partition.

No recording is used in two partitions, or for both enrolment and a trial. If there are enough recordings, none is both
a bona fide trial and the source of a spoof either. Every speaker occurs in all partitions, because a handful of
speakers could not be divided.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from spoofcache.protocols.trial import UNKNOWN
from spoofcache.tools.demo_corpus.recordings import Recording, SpeechError
from spoofcache.tools.spoofing import ATTACKS

PARTITIONS: Mapping[str, str] = {"train": "T", "dev": "D", "eval": "E"}
ENROLMENT = 8
"""Number of recordings per speaker that are used to enrol the speaker in the verification system."""
MIN_RECORDINGS = ENROLMENT + 4
"""Smallest number of recordings with which a speaker is used."""


@dataclass(frozen=True, eq=False)
class PlannedTrial:
    """An utterance to make."""

    utt_id: str
    partition: str
    speaker: str
    """The speaker whom the utterance claims to be."""
    attack: str
    source: Recording

    @property
    def key(self) -> str:
        """`bonafide` or `spoof`."""
        return "bonafide" if self.attack == UNKNOWN else "spoof"


@dataclass(frozen=True, eq=False)
class Plan:
    """The contents of the corpus."""

    enrolment: dict[str, list[Recording]]
    trials: list[PlannedTrial]
    shares_sources: bool
    """Whether bona fide trials are also sources of spoofs of their partition, because there were too few recordings."""


def recordings_wanted(sizes: Mapping[str, int], n_speakers: int) -> int:
    """Number of recordings for which every trial has its own and every speaker has enough to be used."""
    return max(ENROLMENT * n_speakers + sum(sizes.values()), MIN_RECORDINGS * n_speakers)


def make_plan(
    by_speaker: Mapping[str, Sequence[Recording]], sizes: Mapping[str, int], rng: np.random.Generator
) -> Plan:
    """Distribute recordings over enrolment, eval, dev and train; half of each partition is bona fide.

    Args:
        by_speaker: the recordings of each speaker.
        sizes: number of utterances in `train`, `dev` and `eval`.
        rng: source of the random choices.

    Raises:
        SpeechError: enrolment and bona fide trials need more recordings, or there are fewer than two speakers.
    """
    usable = {s: list(found) for s, found in by_speaker.items() if len(found) >= MIN_RECORDINGS}
    if len(usable) < 2:
        counts = ", ".join(f"{speaker} {len(found)}" for speaker, found in by_speaker.items())
        raise SpeechError(
            f"usable recordings by speaker: {counts}; expected two speakers or more with {MIN_RECORDINGS} or more each"
        )
    enrolment = {speaker: found[:ENROLMENT] for speaker, found in usable.items()}
    pool = _alternate([found[ENROLMENT:] for found in usable.values()])
    n_bonafide = {partition: size // 2 for partition, size in sizes.items()}
    shares = len(pool) < sum(sizes.values())
    needed = n_bonafide if shares else sizes
    if len(pool) < sum(needed.values()):
        raise SpeechError(
            f"{len(pool)} usable recordings in addition to those for enrolment; expected at least "
            f"{sum(needed.values())} (or a smaller corpus with --train, --dev, --eval)"
        )
    trials: list[PlannedTrial] = []
    # eval comes first: the speakers have equal shares until some run out of recordings
    for partition in ("eval", "dev", "train"):
        own, pool = pool[: needed[partition]], pool[needed[partition] :]
        bonafide, sources = own[: n_bonafide[partition]], own[n_bonafide[partition] :] or own
        n_spoof = sizes[partition] - n_bonafide[partition]
        trials += _partition(partition, bonafide, _repeat(sources, n_spoof, rng), list(usable), rng)
    return Plan(enrolment, trials, shares)


def _alternate(groups: Sequence[Sequence[Recording]]) -> list[Recording]:
    return [one for turn in zip_longest(*groups) for one in turn if one is not None]


def _repeat(sources: Sequence[Recording], n: int, rng: np.random.Generator) -> list[Recording]:
    """`n` sources in random order, each used equally often (give or take one)."""
    return [sources[k] for k in rng.permutation(np.arange(n) % len(sources))]


def _partition(
    partition: str,
    bonafide: Sequence[Recording],
    sources: Sequence[Recording],
    speakers: Sequence[str],
    rng: np.random.Generator,
) -> list[PlannedTrial]:
    attacks = [name for name, attack in ATTACKS.items() if attack.known == (partition != "eval")]
    wanted = [(UNKNOWN, recording.speaker, recording) for recording in bonafide]
    for k, source in enumerate(sources):
        attack = attacks[k % len(attacks)]
        wanted.append((attack, _claimed(attack, source.speaker, speakers, rng), source))
    order = rng.permutation(len(wanted))  # otherwise the number of an utterance would reveal its class
    return [
        PlannedTrial(f"DEMO_{PARTITIONS[partition]}_{number:06d}", partition, speaker, attack, source)
        for number, (attack, speaker, source) in enumerate((wanted[k] for k in order), 1)
    ]


def _claimed(attack: str, speaker: str, speakers: Sequence[str], rng: np.random.Generator) -> str:
    if not ATTACKS[attack].imitates:
        return speaker
    others = [other for other in speakers if other != speaker]
    return others[rng.integers(len(others))]
