"""The files of a corpus in ASVspoof 2019 layout."""

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

A demonstration, not a benchmark: {n_speakers} speakers, shared by the partitions, and {n_attacks} simple generators.

  protocols/  {name}.cm.train.trn.txt, {name}.cm.dev.trl.txt, {name}.cm.eval.trl.txt:
              speaker utterance - attack key
  flac/       the utterances, 16 kHz mono 16 bit
  {name}.asv.dev.gi.trl.scores.txt, {name}.asv.eval.gi.trl.scores.txt:
              attack-or-bonafide target|nontarget|spoof score (MFCC statistics, cosine)
  mapping.csv what each utterance was made from; text-to-speech takes only the length of its source

Bona fide are the recordings. {sharing}
Spoofs:
{attacks}

Changes made to the recordings: cut to at most 5 s, silence trimmed off both ends, {codec},
mean removed, RMS set to -26 dB of full scale, peaks limited to 3.5 times that; in the spoofs, what the generators did.

Speech taken from: {speech}
Everything here derives from those recordings: their licences, below where any lay beside them, go for it too.
{credits}
"""


def write_flac(folder: Path, utt_id: str, waveform: Waveform) -> None:
    """Write one utterance [n], 16 bit; OSError where that fails."""
    path = folder / f"{utt_id}.flac"
    try:
        soundfile.write(path, waveform, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
    except soundfile.LibsndfileError as error:
        raise OSError(f"{path}: {error} Expected room on the disk") from error


def write_protocol(folder: Path, partition: str, trials: Sequence[PlannedTrial]) -> None:
    """Write one partition's five-column protocol."""
    lines = [f"{t.speaker} {t.utt_id} {UNKNOWN} {t.attack} {t.key}\n" for t in trials]
    (folder / f"{NAME}.cm.{PROTOCOL_SUFFIX[partition]}.txt").write_text("".join(lines), encoding="utf-8")


def write_asv_scores(folder: Path, partition: str, rows: Sequence[AsvScore]) -> None:
    """Write one partition's ASV scores."""
    lines = [f"{attack} {key} {score:.6f}\n" for attack, key, score in rows]
    (folder / f"{NAME}.asv.{partition}.gi.trl.scores.txt").write_text("".join(lines), encoding="utf-8")


def write_mapping(folder: Path, speech: Path, trials: Sequence[PlannedTrial]) -> None:
    """Write what each utterance was made from; text-to-speech takes only the length of its source."""
    with (folder / "mapping.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("utterance", "partition", "speaker", "attack", "generator", "source", "source_speaker"))
        for t in trials:
            generator = UNKNOWN if t.attack == UNKNOWN else ATTACKS[t.attack].generator.__name__
            source = t.source.path.relative_to(speech).as_posix()
            table.writerow((t.utt_id, t.partition, t.speaker, t.attack, generator, source, t.source.speaker))


def write_readme(folder: Path, speech: Path, plan: Plan, coded: bool) -> None:
    """Write what the corpus is, and the credits found beside the recordings."""
    sharing = "They are sources of spoofs too" if plan.shares_sources else "None of them is the source of a spoof"
    text = README.format(
        name=NAME,
        n_speakers=len(plan.enrolment),
        n_attacks=len(ATTACKS),
        sharing=f"{sharing}; no recording stands in two partitions.",
        attacks="\n".join(_describe(attack) for attack in ATTACKS),
        codec="coded by G.722 once" if coded else "not coded",
        speech=speech,
        credits="".join(f"\n--- {name} ---\n{credit}" for name, credit in find_credits(speech).items()),
    )
    (folder / "README.txt").write_text(text, encoding="utf-8")


def find_credits(speech: Path) -> Mapping[str, str]:
    """Text of the files beside the recordings that say whose they are (README, LICENSE, CREDITS, …)."""
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
