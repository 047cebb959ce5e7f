"""A folder of human speech → a small corpus in ASVspoof 2019 layout: recordings, and spoofs made of them.

Bona fide are the recordings, spoofs come from the generators of tools/spoofing; train and dev share their attacks,
those of eval are unseen. ASV scores make the t-DCF defined.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

from spoofcache.common import cli
from spoofcache.common.files import new_folder
from spoofcache.features.waveform import Waveform
from spoofcache.protocols.trial import UNKNOWN
from spoofcache.tools.demo_corpus import layout
from spoofcache.tools.demo_corpus.asv import Verifier, check_tdcf, embed
from spoofcache.tools.demo_corpus.finish import finish
from spoofcache.tools.demo_corpus.parallel import Mapper, spread
from spoofcache.tools.demo_corpus.plan import PARTITIONS, Plan, PlannedTrial, make_plan, recordings_wanted
from spoofcache.tools.demo_corpus.recordings import FIRST_FOLDER, Recording, find_speech, take_in
from spoofcache.tools.spoofing import ATTACKS
from spoofcache.tools.spoofing.request import Request, Voice, voice_of
from spoofcache.tools.spoofing.spectrum import FloatArray

MAX_SPEAKERS = 20
"""More would need many recordings: every speaker takes some for enrolment."""
CODECS = ("auto", "g722", "none")

EXAMPLES = """\b
Examples:
  python tools/build_demo_corpus.py --speech LibriSpeech/dev-clean --out demo/corpus
  python tools/build_demo_corpus.py --speech VCTK/wav48 --out demo/corpus --train 2000 --dev 500 --eval 500
  python tools/build_demo_corpus.py --speech flat/ --speaker '^([a-z]+)_' --out demo/corpus
"""


class Utterance(NamedTuple):
    """What a trial became, and how the speaker verification hears it."""

    waveform: Waveform
    """[n] at 16 kHz."""
    embedding: FloatArray
    """[38]."""


@dataclass(frozen=True)
class Maker:
    """Makes the utterances of a plan: bona fide trials from their recordings, spoofs by their generators."""

    voices: Mapping[str, Voice]
    coded: bool
    seed: int

    def bonafide(self, recording: Recording) -> Waveform:
        """What a recording becomes: [n]. A file that is G.722 already is not coded again."""
        return finish(recording.speech(), self.coded and not recording.is_g722)

    def enrol(self, recording: Recording) -> FloatArray:
        """A recording as the speaker verification hears it: [38]."""
        return embed(self.bonafide(recording))

    def make(self, numbered: tuple[int, PlannedTrial]) -> Utterance:
        """Trial `numbered` of the plan."""
        number, trial = numbered
        if trial.attack == UNKNOWN:
            waveform = self.bonafide(trial.source)
        else:
            rng = np.random.default_rng((self.seed, number))  # its own: no utterance depends on another
            request = Request(trial.source.speech(), self.voices[trial.speaker], rng)
            waveform = finish(ATTACKS[trial.attack].generator(request), self.coded)
        return Utterance(waveform, embed(waveform))


@dataclass(frozen=True)
class Options:
    """How a corpus is to be made."""

    sizes: Mapping[str, int]
    """Utterances in `train`, `dev`, `eval`."""
    speaker_pattern: str = FIRST_FOLDER
    """See `find_speech`."""
    codec: str = "auto"
    """`g722`: every utterance has gone through G.722 once; `none`; `auto`: g722 where recordings have."""
    seed: int = 0
    """The same seed and recordings give the same bytes."""


def build(speech: Path, out: Path, options: Options, mapping: Mapper = map) -> Iterator[str]:
    """Make the corpus and say, line by line, what came of it; `out` appears when all of it is there.

    Args:
        speech: folder of recordings.
        out: must not exist.
        options: how.
        mapping: `map`, or one that spreads its work over processes.

    Raises:
        SpeechError: speech that no corpus can be made of.
    """
    rng = np.random.default_rng(options.seed)
    files = find_speech(speech, options.speaker_pattern)
    if len(files) > MAX_SPEAKERS:
        yield f"Taking {MAX_SPEAKERS} of {len(files)} speakers, drawn by the seed"
        files = {speaker: files[speaker] for speaker in sorted(rng.choice(list(files), MAX_SPEAKERS, replace=False))}
    wanted = recordings_wanted(options.sizes, len(files))
    with cli.progress("Choosing recordings", wanted) as advance:
        intake = take_in(files, wanted, rng, advance, mapping)
    yield intake.summary()
    plan = make_plan(intake.by_speaker, options.sizes, rng)
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


FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
SIZE = click.IntRange(min=16)


@click.command(epilog=EXAMPLES)
@click.option(
    "--speech",
    type=FOLDER,
    required=True,
    help="Recordings of two speakers or more, in any audio format; searched with all folders below.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write; must not exist.")
@click.option(
    "--speaker",
    "pattern",
    default=FIRST_FOLDER,
    show_default=True,
    metavar="REGEX",
    help="Its first group, found in a file's path below --speech, is the speaker.",
)
@click.option(
    "--codec",
    type=click.Choice(CODECS),
    default="auto",
    show_default=True,
    help="g722: every utterance has gone through G.722 once. auto: g722 where the recordings have.",
)
@click.option("--train", type=SIZE, default=200, show_default=True, help="Utterances, half of them bona fide.")
@click.option("--dev", type=SIZE, default=100, show_default=True, help="Likewise.")
@click.option("--eval", "eval_", type=SIZE, default=140, show_default=True, help="Likewise.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same bytes.")
@click.option(
    "--workers", type=click.IntRange(min=1), default=os.cpu_count() or 1, help="Processes; as many as cores by default."
)
@cli.sentences()
def main(
    speech: Path,
    out: Path,
    pattern: str,
    codec: str,
    train: int,
    dev: int,
    eval_: int,
    seed: int,
    workers: int,
) -> None:
    """Make a small anti-spoofing corpus in ASVspoof 2019 layout from a folder of human speech."""
    if out.exists():
        raise cli.Sentence(f"{out} exists; expected a new folder")
    options = Options({"train": train, "dev": dev, "eval": eval_}, pattern, codec, seed)
    with spread(workers) as mapping:
        for line in build(speech, out, options, mapping):
            click.echo(line)
    click.echo(out)


if __name__ == "__main__":
    main()
