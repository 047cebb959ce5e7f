"""Build the utterances and files of a small corpus from recordings of people. Every spoof has a source recording."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spoofcache.common import cli
from spoofcache.common.files import new_folder
from spoofcache.features.waveform import Waveform
from spoofcache.protocols.trial import UNKNOWN
from spoofcache.tools.demo_corpus import FIRST_FOLDER, layout
from spoofcache.tools.demo_corpus.asv import Verifier, check_tdcf, embed
from spoofcache.tools.demo_corpus.finish import finish
from spoofcache.tools.demo_corpus.parallel import Mapper
from spoofcache.tools.demo_corpus.plan import PARTITIONS, Plan, PlannedTrial, make_plan, recordings_wanted
from spoofcache.tools.demo_corpus.recordings import Recording, find_speech, select_recordings
from spoofcache.tools.spoofing import ATTACKS
from spoofcache.tools.spoofing.request import Request, Voice, voice_of
from spoofcache.tools.spoofing.spectrum import FloatArray

MAX_SPEAKERS = 20
"""Each speaker needs recordings for enrolment, so more speakers would need many more recordings."""


class Utterance(NamedTuple):
    """The waveform of a trial, and its embedding for the speaker verification system."""

    waveform: Waveform
    """[n] at 16 kHz."""
    embedding: FloatArray
    """[38]"""


@dataclass(frozen=True)
class Maker:
    """Makes the utterances of a plan: bona fide trials from recordings, spoofs with the generator of their attack."""

    voices: Mapping[str, Voice]
    coded: bool
    seed: int

    def bonafide(self, recording: Recording) -> Waveform:
        """The bona fide utterance [n] of a recording. A file that is already in G.722 is not coded again."""
        return finish(recording.speech(), self.coded and not recording.is_g722)

    def enrol(self, recording: Recording) -> FloatArray:
        """The embedding [38] of a recording for the speaker verification system."""
        return embed(self.bonafide(recording))

    def make(self, numbered: tuple[int, PlannedTrial]) -> Utterance:
        """The utterance of a trial, which is given together with its number in the plan."""
        number, trial = numbered
        if trial.attack == UNKNOWN:
            waveform = self.bonafide(trial.source)
        else:
            rng = np.random.default_rng(
                (self.seed, number)
            )  # one generator per utterance, so that none depends on another
            request = Request(trial.source.speech(), self.voices[trial.speaker], rng)
            waveform = finish(ATTACKS[trial.attack].generator(request), self.coded)
        return Utterance(waveform, embed(waveform))


@dataclass(frozen=True)
class Options:
    """The sizes of a corpus and how it is made."""

    sizes: Mapping[str, int]
    """Number of utterances in `train`, `dev` and `eval`."""
    speaker_pattern: str = FIRST_FOLDER
    """See `find_speech`."""
    codec: str = "auto"
    """`g722` codes every utterance with G.722 once, `none` codes none, `auto` codes all if any recording is G.722."""
    seed: int = 0
    """Random seed. The same seed and the same recordings give the same bytes."""


def build(speech: Path, out: Path, options: Options, mapping: Mapper = map) -> Iterator[str]:
    """Build the corpus, and yield a line about each step. `out` appears only when the corpus is complete.

    Args:
        speech: folder of recordings.
        out: folder of the corpus; it must not exist.
        options: sizes of the corpus and how it is made.
        mapping: `map`, or a function like it that distributes the work over processes.

    Raises:
        SpeechError: no corpus can be made from this speech.
    """
    rng = np.random.default_rng(options.seed)
    files = find_speech(speech, options.speaker_pattern)
    if len(files) > MAX_SPEAKERS:
        yield f"Using {MAX_SPEAKERS} of {len(files)} speakers, drawn at random with --seed"
        files = {speaker: files[speaker] for speaker in sorted(rng.choice(list(files), MAX_SPEAKERS, replace=False))}
    wanted = recordings_wanted(options.sizes, len(files))
    with cli.progress("Selecting recordings", wanted) as advance:
        selection = select_recordings(files, wanted, rng, advance, mapping)
    yield selection.summary()
    plan = make_plan(selection.by_speaker, options.sizes, rng)
    coded = options.codec == "g722" or (options.codec == "auto" and any(t.source.is_g722 for t in plan.trials))
    voices = {speaker: voice_of(speaker, [r.speech() for r in found]) for speaker, found in plan.enrolment.items()}
    with new_folder(out) as folder:
        (folder / "flac").mkdir()
        (folder / "protocols").mkdir()
        maker = Maker(voices, coded, options.seed)
        yield from _write(folder, plan, maker, mapping)
        layout.write_mapping(folder, speech, plan.trials)
        layout.write_readme(folder, speech, plan, coded)


def _write(folder: Path, plan: Plan, maker: Maker, mapping: Mapper) -> Iterator[str]:
    embeddings: list[FloatArray] = []
    with cli.progress("Making utterances", len(plan.trials)) as advance:
        utterances = mapping(maker.make, enumerate(plan.trials))
        for trial, utterance in zip(plan.trials, utterances, strict=True):
            layout.write_flac(folder / "flac", trial.utt_id, utterance.waveform)
            embeddings.append(utterance.embedding)
            advance(1)
    verifier = Verifier({speaker: list(mapping(maker.enrol, found)) for speaker, found in plan.enrolment.items()})
    for partition in PARTITIONS:
        heard = [(t, e) for t, e in zip(plan.trials, embeddings, strict=True) if t.partition == partition]
        trials = [trial for trial, _ in heard]
        layout.write_protocol(folder / "protocols", partition, trials)
        yield _count(partition, trials)
        if partition != "train":
            rows = verifier.judge((t.attack, t.speaker, e) for t, e in heard)
            layout.write_asv_scores(folder, partition, rows)
            yield f"{partition}: EER of the speaker verification {check_tdcf(rows, partition):.1%}"


def _count(partition: str, trials: list[PlannedTrial]) -> str:
    counts = Counter(trial.attack for trial in trials)
    n_bonafide = counts.pop(UNKNOWN, 0)
    attacks = ", ".join(f"{attack} {count}" for attack, count in sorted(counts.items()))
    return f"{partition}: {n_bonafide} bona fide + {counts.total()} spoof ({attacks})"
