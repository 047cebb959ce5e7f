"""Damaged text files by the thousand: scores, protocols, tables, costs, test sets and configurations.

    python -m tests.faults.text_mutants 10000

damages one small file of each kind at a time, in bytes or in lines and cells, and reads it as the commands do. Each has
to be read or refused in a sentence. What the numbers of a damaged score file may be is held elsewhere, by
tests/evaluation/test_any_form.py.
"""

import random
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from spoofcache.common.errors import InputError
from spoofcache.engine.config_file import load_config
from spoofcache.evaluation.crosscorpus import read_test_sets
from spoofcache.evaluation.testsets import read_costs
from spoofcache.metrics.asv_files import read_asv_2021, read_asv_scores
from spoofcache.metrics.score_files import read_scores
from spoofcache.metrics.track2_files import read_track_2
from spoofcache.protocols import Location, load_trials
from spoofcache.protocols.forms import read_any_protocol
from spoofcache.protocols.snapshot import read_snapshot
from tests.faults.damage import Change, cut, flip, inserting
from tests.faults.outcome import Outcome, run_command, time_limit

SECONDS = 20
"""A reader that takes longer for a few lines hangs. Generous, because the machine may be busy."""

ENCODINGS = ("utf-16", "utf-32-be", "utf-8-sig", "latin-1", "cp500")
JUNK = (
    *(
        b"\x00",
        b"\xff\xfe",
        b"\r",
        b"\n\n\r",
        b"\x0b",
        b"\x1c",
        b"\x85",
        b"\xe2\x80\xa8",
        b"\t",
        b",",
        b";",
        b'"',
        b'""',
        b"#",
    ),
    *(b"nan", b"-inf", b"1e999", b"1_0", b"0x1p3", b"9" * 5_000, b"-" * 70, b"\xd9\xa1\xd9\xa2", b"1,5", b"+-1"),
    *(
        b"[" * 3_000,
        b"{a=" * 1_500,
        b"a." * 3_000 + b"b = 1\n",
        b"[[x]]\n",
        b"'''",
        b"1979-05-27",
        b"= =",
        b"[]",
        b"{}",
    ),
    *(b"bonafide", b"spoof", b"-", b"../../x", b"C:\\x", b"\xcc\x81", b"A07", b"target", b"none"),
)


class Kind(NamedTuple):
    """A file that is damaged, and the reader that the commands use for it."""

    name: str
    text: str
    read: Callable[[Path], object]


def _lines(*rows: str) -> str:
    return "\n".join(rows) + "\n"


NAMES = tuple(f"LA_E_{number:07d}" for number in range(1_000_001, 1_000_009))
CLASSES = ("bonafide", "spoof") * 4
TRACK_2_KEY = _lines(
    *(f"S1 {name} F - {part}" for name, part in zip(NAMES, ("target", "nontarget", "spoof") * 3, strict=False))
)
ASV_2021_KEY = _lines(
    *(
        f"LA_0009-alaw-ita_tx {name}-alaw-ita_tx alaw ita_tx {attack} {state} notrim eval"
        for name, attack, state in zip(
            NAMES,
            ("bonafide", "bonafide", "A07", "A08") * 2,
            ("target", "nontarget", "spoof", "spoof") * 2,
            strict=True,
        )
    )
)


def _corpus(name: str, partition: str) -> Callable[[Path], object]:
    return lambda path: load_trials(name, Location(protocol=path, audio_dir=path.parent), partition)


def _keyed(reader: Callable[[Path, Path], object], key: str) -> Callable[[Path], object]:
    """A reader that joins the damaged file with a key of its own, and then takes it for the key of a whole file."""

    def read(path: Path) -> object:
        whole = path.with_suffix(".key")
        whole.write_text(key)
        return reader(path, whole)

    return read


KINDS = (
    Kind("scores, two columns", _lines(*(f"{name} {index / 3:.6f}" for index, name in enumerate(NAMES))), read_scores),
    Kind(
        "scores of ASVspoof 2019",
        _lines(
            *(
                f"{name} {'-' if key == 'bonafide' else 'A07'} {key} {index:.3f}"
                for index, (name, key) in enumerate(zip(NAMES, CLASSES, strict=True))
            )
        ),
        read_scores,
    ),
    Kind(
        "scores, CSV",
        _lines(
            "filename,cm-score,label",
            *(f'"{name}.flac",{index:.3f},{key}' for index, (name, key) in enumerate(zip(NAMES, CLASSES, strict=True))),
        ),
        read_scores,
    ),
    Kind(
        "ASV scores of 2019",
        _lines(
            *(
                f"{'bonafide' if part != 'spoof' else 'A07'} {part} {index:.3f}"
                for index, part in enumerate(("target", "nontarget", "spoof") * 4)
            )
        ),
        read_asv_scores,
    ),
    Kind(
        "ASV scores of 2021",
        _lines(*(f"LA_0009-alaw-ita_tx {name}-alaw-ita_tx {index:.3f}" for index, name in enumerate(NAMES))),
        _keyed(lambda path, key: read_asv_2021(path, key, (), ()), ASV_2021_KEY),
    ),
    Kind(
        "key of ASV scores of 2021",
        ASV_2021_KEY,
        _keyed(
            lambda path, whole: read_asv_2021(whole, path, (), ()),
            _lines(*(f"LA_0009-alaw-ita_tx {name}-alaw-ita_tx {index:.3f}" for index, name in enumerate(NAMES))),
        ),
    ),
    Kind(
        "scores of track 2",
        _lines(
            "spk\tfilename\tcm-score\tasv-score\tsasv-score",
            *(f"S1\t{name}\t{index}.5\t0.1\t-1" for index, name in enumerate(NAMES)),
        ),
        _keyed(read_track_2, TRACK_2_KEY),
    ),
    Kind(
        "costs",
        _lines("condition\tc0\tc1\tc2", "pooled\t0.1\t1.2\t0.3", "A07\t0.2\t1.0\t0.4"),
        read_costs,
    ),
    Kind("test sets", '[itw]\ncache = "itw"\nwhere = ["codec=none"]\n\n[la]\ncache = ["a", "b"]\n', read_test_sets),
    Kind(
        "configuration",
        _lines(
            *("[backend]", 'name = "lcnn"', "", "[loss]", 'name = "cross_entropy"'),
            *("class_weights = { bonafide = 0.9, spoof = 0.1 }", "", "[train]", "epochs = 3", "batch_size = 8"),
            *('average = "swa"', "", "[optimizer]", "lr = 1e-4"),
        ),
        load_config,
    ),
    Kind(
        "protocol of ASVspoof 2019",
        _lines(
            *(
                f"LA_0039 {name} - {'-' if key == 'bonafide' else 'A07'} {key}"
                for name, key in zip(NAMES, CLASSES, strict=True)
            )
        ),
        _corpus("asvspoof19_style", "eval"),
    ),
    Kind(
        "protocol of ASVspoof 2021",
        _lines(
            *(
                f"LA_0009 {name} alaw ita_tx {'bonafide' if key == 'bonafide' else 'A07'} {key} notrim eval"
                for name, key in zip(NAMES, CLASSES, strict=True)
            )
        ),
        read_any_protocol,
    ),
    Kind(
        "protocol of ASVspoof 5",
        _lines(
            *(
                f"E_1 {name} F - - - AC1 {'-' if key == 'bonafide' else 'A17'} {key} -"
                for name, key in zip(NAMES, CLASSES, strict=True)
            )
        ),
        read_any_protocol,
    ),
    Kind(
        "trial list of a cache",
        _lines("utt_id\tspeaker\tattack\tkey\tcodec", *(f"{name}\tS1\tunknown\tspoof\talaw" for name in NAMES)),
        read_snapshot,
    ),
    Kind(
        "table of trials",
        _lines(
            "file,speaker,label,attack",
            *(
                f"clips/{name}.wav,Ann Lee,{'bona-fide' if key == 'bonafide' else key},"
                for name, key in zip(NAMES, CLASSES, strict=True)
            ),
        ),
        _corpus("csv", "eval"),
    ),
    Kind(
        "table without header",
        _lines(*(f"{name}.wav;{index % 2};s{index}" for index, name in enumerate(NAMES))),
        lambda path: read_any_protocol(path, {"utterance": "1", "spoof": "2"}),
    ),
)


def recode(data: bytes, draw: random.Random) -> bytes:
    """The same text in another encoding, or with other line ends."""
    text = data.decode("latin-1").replace("\n", draw.choice(("\r", "\r\n", "\n", "\n\n", "\u2028")))
    return text.encode(draw.choice(ENCODINGS), "replace")


def change_lines(data: bytes, draw: random.Random) -> bytes:
    """A line that is repeated, lost or moved."""
    lines = data.split(b"\n")
    picked = draw.randrange(len(lines))
    line = lines.pop(picked)
    for _ in range(draw.randrange(3)):
        lines.insert(draw.randrange(len(lines) + 1), line)
    return b"\n".join(lines)


def change_cells(data: bytes, draw: random.Random) -> bytes:
    """A cell that is lost, or replaced by junk, in one line or in all of them."""
    junk = draw.choice((b"", *JUNK))
    lines = data.split(b"\n")
    cell = draw.randrange(6)
    picked = range(len(lines)) if draw.random() < 0.3 else [draw.randrange(len(lines))]
    for number in picked:
        words = lines[number].split(b" ")
        words[cell % len(words)] = junk
        lines[number] = b" ".join(words)
    return b"\n".join(lines)


CHANGES: tuple[Change, ...] = (flip, cut, inserting(JUNK), recode, change_lines, change_cells)


def run(count: int, seed: int, folder: Path, keep: Path | None = None) -> Outcome:
    """Make and read that many mutants; (kind of file, verdict) → how many. Faulty ones go to `keep`."""
    draw, outcome = random.Random(seed), Counter[tuple[str, str]]()
    for index in range(count):
        kind = KINDS[index % len(KINDS)]
        data = kind.text.encode()
        for _ in range(draw.choice((1, 1, 1, 2, 4))):
            data = draw.choice(CHANGES)(data, draw) if data else data
        path = folder / "mutant.txt"
        path.write_bytes(data)
        verdict = _verdict(kind, path)
        outcome[kind.name, verdict] += 1
        if verdict not in ("refused", "read") and keep:
            (keep / f"{seed}-{index}-{kind.name.replace(' ', '-')}.txt").write_bytes(data)
    return outcome


def _verdict(kind: Kind, path: Path) -> str:
    try:
        with time_limit(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind.read(path)
    except InputError:
        return "refused"
    except TimeoutError:
        return "hang"
    except Exception:
        print(f"{kind.name}:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
        return "trace"
    return "read"


def whole(folder: Path) -> Mapping[str, str]:
    """Kind of file → its verdict where nothing is damaged."""
    verdicts = {}
    for kind in KINDS:
        path = folder / "whole.txt"
        path.write_text(kind.text)
        verdicts[kind.name] = _verdict(kind, path)
    return verdicts


if __name__ == "__main__":
    run_command(run, default=10_000, harmless=("refused", "read"), width=28)
