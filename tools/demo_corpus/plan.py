"""Which recording becomes what: enrolment, bona fide or the source of a spoof, and in which partition.

No recording stands in two partitions or serves an enrolment and a trial. Where there are enough of them, none is
both a bona fide trial and the source of a spoof either. Speakers are shared by the partitions: a handful of voices
could not be divided.
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
"""Recordings of each speaker that the speaker verification system learns from."""
LEAST = ENROLMENT + 4
"""Recordings of a speaker who is to take part."""


@dataclass(frozen=True, eq=False)
class PlannedTrial:
    """One utterance to be made."""

    utt_id: str
    partition: str
    speaker: str
    """Who the utterance claims to be."""
    attack: str
    source: Recording

    @property
    def key(self) -> str:
        """`bonafide` or `spoof`."""
        return "bonafide" if self.attack == UNKNOWN else "spoof"


@dataclass(frozen=True, eq=False)
class Plan:
    """What the corpus will hold."""

    enrolment: dict[str, list[Recording]]
    trials: list[PlannedTrial]
    shares_sources: bool
    """Recordings were too few: bona fide trials also are sources of spoofs (of the same partition)."""


def recordings_wanted(sizes: Mapping[str, int], n_speakers: int) -> int:
    """Recordings that give every trial one of its own, and every speaker enough to take part."""
    return max(ENROLMENT * n_speakers + sum(sizes.values()), LEAST * n_speakers)


def make_plan(
    by_speaker: Mapping[str, Sequence[Recording]], sizes: Mapping[str, int], rng: np.random.Generator
) -> Plan:
    """Deal recordings to enrolment, eval, dev and train; half of each partition is bona fide.

    Args:
        by_speaker: recordings of each speaker.
        sizes: utterances wanted in `train`, `dev` and `eval`.

    Raises:
        SpeechError: fewer recordings than enrolment and bona fide trials take, or fewer than two speakers.
    """
    usable = {s: list(found) for s, found in by_speaker.items() if len(found) >= LEAST}
    if len(usable) < 2:
        counts = ", ".join(f"{speaker} {len(found)}" for speaker, found in by_speaker.items())
        raise SpeechError(
            f"usable recordings by speaker: {counts}; expected two speakers or more with {LEAST} or more each"
        )
    enrolment = {speaker: found[:ENROLMENT] for speaker, found in usable.items()}
    pool = _alternate([found[ENROLMENT:] for found in usable.values()])
    n_bonafide = {partition: size // 2 for partition, size in sizes.items()}
    shares = len(pool) < sum(sizes.values())
    needed = n_bonafide if shares else sizes
    if len(pool) < sum(needed.values()):
        raise SpeechError(
            f"{len(pool)} usable recordings beside those for enrolment; expected at least {sum(needed.values())} "
            "(or ask for a smaller corpus with --train, --dev, --eval)"
        )
    trials: list[PlannedTrial] = []
    for partition in ("eval", "dev", "train"):  # eval first: while it lasts, every speaker has an equal share
        own, pool = pool[: needed[partition]], pool[needed[partition] :]
        bonafide, sources = own[: n_bonafide[partition]], own[n_bonafide[partition] :] or own
        n_spoof = sizes[partition] - n_bonafide[partition]
        trials += _partition(partition, bonafide, _repeat(sources, n_spoof, rng), list(usable), rng)
    return Plan(enrolment, trials, shares)


def _alternate(groups: Sequence[Sequence[Recording]]) -> list[Recording]:
    return [one for turn in zip_longest(*groups) for one in turn if one is not None]


def _repeat(sources: Sequence[Recording], n: int, rng: np.random.Generator) -> list[Recording]:
    """`n` sources in random order, each as often as the next."""
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
    order = rng.permutation(len(wanted))  # or the number of an utterance would tell its class
    return [
        PlannedTrial(f"DEMO_{PARTITIONS[partition]}_{number:06d}", partition, speaker, attack, source)
        for number, (attack, speaker, source) in enumerate((wanted[k] for k in order), 1)
    ]


def _claimed(attack: str, speaker: str, speakers: Sequence[str], rng: np.random.Generator) -> str:
    if not ATTACKS[attack].imitates:
        return speaker
    others = [other for other in speakers if other != speaker]
    return others[rng.integers(len(others))]
