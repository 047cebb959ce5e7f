"""Write the files of a corpus in the layout of ASVspoof 2019."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import soundfile

from spoofcache.features.waveform import SAMPLE_RATE, Waveform
from spoofcache.protocols.asvspoof19 import PROTOCOL_SUFFIX
from spoofcache.protocols.trial import UNKNOWN
from spoofcache.tools.demo_corpus.asv import AsvScore
from spoofcache.tools.demo_corpus.plan import Plan, PlannedTrial
from spoofcache.tools.spoofing import ATTACKS

NAME = "DEMO"
CREDIT_WORDS = ("credit", "licen", "copying", "copyright", "readme")

README = """{name}: a small anti-spoofing corpus, made by tools/build_demo_corpus.py of SpoofCache.

A demonstration, not a benchmark: {n_speakers} speakers, who occur in all partitions, and {n_attacks} simple generators.

  protocols/  {name}.cm.train.trn.txt, {name}.cm.dev.trl.txt, {name}.cm.eval.trl.txt:
              speaker utterance - attack key
  flac/       the utterances, 16 kHz mono 16 bit
  {name}.asv.dev.gi.trl.scores.txt, {name}.asv.eval.gi.trl.scores.txt:
              attack-or-bonafide target|nontarget|spoof score (MFCC statistics, cosine)
  mapping.csv the source of each utterance; text-to-speech uses only the length of its source

The recordings are the bona fide utterances. {sharing}
Spoofs:
{attacks}

Changes made to the recordings: cut to at most 5 s, silence trimmed from both ends, {codec},
mean removed, RMS set to -26 dB of full scale, peaks limited to 3.5 times that. Spoofs also went through a generator.

Speech taken from: {speech}
Everything here is derived from those recordings, and their licences apply. Licences found beside them are given below.
{credits}
"""


def write_flac(folder: Path, utt_id: str, waveform: Waveform) -> None:
    """Write one utterance [n] as 16-bit FLAC; OSError if that fails."""
    path = folder / f"{utt_id}.flac"
    try:
        soundfile.write(path, waveform, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
    except soundfile.LibsndfileError as error:
        raise OSError(f"{path}: {error} Expected free space on the disk") from error


def write_protocol(folder: Path, partition: str, trials: Sequence[PlannedTrial]) -> None:
    """Write the five-column protocol of a partition."""
    lines = [f"{t.speaker} {t.utt_id} {UNKNOWN} {t.attack} {t.key}\n" for t in trials]
    (folder / f"{NAME}.cm.{PROTOCOL_SUFFIX[partition]}.txt").write_text("".join(lines), encoding="utf-8")


def write_asv_scores(folder: Path, partition: str, rows: Sequence[AsvScore]) -> None:
    """Write the ASV scores of a partition."""
    lines = [f"{attack} {key} {score:.6f}\n" for attack, key, score in rows]
    (folder / f"{NAME}.asv.{partition}.gi.trl.scores.txt").write_text("".join(lines), encoding="utf-8")


def write_mapping(folder: Path, speech: Path, trials: Sequence[PlannedTrial]) -> None:
    """Write the source of each utterance; text-to-speech uses only the length of its source."""
    with (folder / "mapping.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("utterance", "partition", "speaker", "attack", "generator", "source", "source_speaker"))
        for t in trials:
            generator = UNKNOWN if t.attack == UNKNOWN else ATTACKS[t.attack].generator.__name__
            source = t.source.path.relative_to(speech).as_posix()
            table.writerow((t.utt_id, t.partition, t.speaker, t.attack, generator, source, t.source.speaker))


def write_readme(folder: Path, speech: Path, plan: Plan, coded: bool) -> None:
    """Write a description of the corpus, with the credits found beside the recordings."""
    sharing = "They are also sources of spoofs" if plan.shares_sources else "None of them is the source of a spoof"
    text = README.format(
        name=NAME,
        n_speakers=len(plan.enrolment),
        n_attacks=len(ATTACKS),
        sharing=f"{sharing}; no recording is used in two partitions.",
        attacks="\n".join(_describe(attack) for attack in ATTACKS),
        codec="coded with G.722 once" if coded else "not coded",
        speech=speech,
        credits="".join(f"\n--- {name} ---\n{credit}" for name, credit in find_credits(speech).items()),
    )
    (folder / "README.txt").write_text(text, encoding="utf-8")


def find_credits(speech: Path) -> Mapping[str, str]:
    """The text of the files beside the recordings that name authors and licences (README, LICENSE, CREDITS, …)."""
    found = [
        path
        for path in sorted(speech.iterdir())
        if path.is_file() and path.name.lower().startswith(CREDIT_WORDS) and path.stat().st_size < 100_000
    ]
    return {path.name: path.read_text(encoding="utf-8", errors="replace") for path in found}


def _describe(name: str) -> str:
    attack = ATTACKS[name]
    where = "train, dev" if attack.known else "eval"
    first_line = (attack.generator.__doc__ or "").split("\n")[0]
    return f"  {name} ({where}; {attack.family}) {attack.generator.__name__}: {first_line}"
