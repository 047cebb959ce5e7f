"""One table in thousands of forms: it must give the figure of its undamaged twin, or be refused in a sentence.

    python -m tests.faults.form_mutants 10000

writes a small table of each kind (scores, key files, ASV scores, scores of track 2) in a random form: order of columns
and rows, header, separator, quotation marks, line ends, comments, paths. Then it damages the form as a whole: foreign
headers, other separators, lost columns, other words for the classes, contradictory columns, decimal commas, joined
lines. `text_mutants` damages single bytes, lines and cells instead.
"""

import csv
import io
import random
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from spoofcache.common.errors import InputError
from spoofcache.evaluation.testsets import evaluation_sets, parse_named
from spoofcache.metrics.asv_files import read_asv_scores
from spoofcache.metrics.score_files import read_scores
from spoofcache.metrics.track2_files import TandemScores, read_track_2
from tests.faults.outcome import Outcome, run_command, time_limit

SECONDS = 20
"""A reader that takes longer for a few lines hangs. Generous, because the machine may be busy."""
BONAFIDE = 4
"""Number of bona fide trials; the others are spoof."""
SCORES = (2.25, 1.5, -0.5, 3.75, -2.5, -1.25, 0.125, -3.5, 1.0625)
TRIALS = range(len(SCORES))
HEADERS: Mapping[str, Sequence[str]] = {
    "utterance": ("filename", "Utt_ID", "FILE", "trial"),
    "score": ("score", "cm-score", "CM_Score"),
    "key": ("key", "Label", "cm_label"),
    "attack": ("attack", "Attack_ID"),
    "duration": ("duration", "Seconds"),
    "speaker": ("speaker", "SPK"),
    "subset": ("subset", "split"),
    "prefix": ("logger", "stage"),
    "truth": ("correct", "flag"),
    "state": ("key", "asv_label"),
    "spk": ("spk", "SPK"),
    "cm": ("cm-score", "CM_Score"),
    "asv": ("asv-score", "ASV-score"),
    "sasv": ("sasv-score", "SASV-Score"),
}
WORDS = (("bonafide", "spoof"), ("bona-fide", "spoof"), ("real", "fake"), ("Genuine", "Spoof"), ("human", "machine"))
DIGITS = (("1", "0"), ("True", "False"))
PROTOCOL = "".join(
    f"S_{n % 3} X_E_{n} - {'-' if n < BONAFIDE else f'A0{n}'} {'bonafide' if n < BONAFIDE else 'spoof'}\n"
    for n in TRIALS
)


@dataclass(frozen=True)
class Form:
    """How a table is written."""

    columns: tuple[str, ...]
    header: Mapping[str, str]
    """Column → its header; empty where there is none."""
    words: tuple[str, str] = WORDS[0]
    separator: str = "\t"
    newline: str = "\n"
    quoting: int = csv.QUOTE_MINIMAL
    prefixes: tuple[str, ...] = ("",)
    """Folders before the names of utterances, in turn."""
    ending: str = ""
    mark: str = ""
    comment: str = ""
    order: tuple[int, ...] = tuple(TRIALS)


def cell(form: Form, column: str, n: int) -> str:
    """What a table holds about trial `n`."""
    is_bonafide = n < BONAFIDE
    state = "spoof" if not is_bonafide else ("target", "nontarget")[n % 2]
    return {
        "utterance": f"{form.prefixes[n % len(form.prefixes)]}X_E_{n}{form.ending}",
        "score": repr(SCORES[n]),
        "key": form.words[not is_bonafide],
        "attack": "-" if is_bonafide else f"A0{n}",
        "duration": f"{3 + n / 8}",
        "speaker": f"S_{n % 3}",
        "subset": ("progress", "eval")[n % 2],
        "prefix": "Output",
        "truth": str(n % 3 == 0),
        "state": state,
        "spk": f"S_{n % 3}",
        "cm": repr(SCORES[n]),
        "asv": repr(SCORES[-n - 1]),
        "sasv": repr(SCORES[n] + SCORES[-n - 1]),
    }[column]


def written(form: Form) -> str:
    """The table in this form."""
    text = io.StringIO()
    table = csv.writer(text, delimiter=form.separator[0], lineterminator=form.newline, quoting=form.quoting)  # type: ignore[arg-type]
    if form.header:
        table.writerow(form.header[name] for name in form.columns)
    for n in form.order:
        table.writerow(cell(form, name, n) for name in form.columns)
    body = text.getvalue()
    return form.mark + form.comment + (body.replace(",", ", ") if form.separator == ", " else body)


class Kind(NamedTuple):
    """A kind of table."""

    name: str
    needed: tuple[str, ...]
    optional: tuple[str, ...]
    figure: Callable[[Path], Mapping[str, object]]
    """What is read from the file, besides the order of its rows."""
    has_protocol: bool = False
    """Whether another file states the classes, so that contradictory ones are noticed."""
    needs_header: bool = False
    may_repeat: bool = False
    """Whether two equal rows are two trials."""
    words: Sequence[tuple[str, str]] = WORDS


def _scores_beside_a_protocol(path: Path) -> Mapping[str, object]:
    path.with_name("P.txt").write_text(PROTOCOL)
    (one,) = evaluation_sets(parse_named([f"s={path}"]), parse_named([str(path.with_name("P.txt"))]))
    return {"scores": one.systems["s"].tolist()}


def _scores_with_keys(path: Path) -> Mapping[str, object]:
    scores = read_scores(path)
    return {"trials": sorted(zip(scores.require_keys().tolist(), scores.scores.tolist(), strict=True))}


def _key_file(path: Path) -> Mapping[str, object]:
    scores = path.with_name("S.txt")
    scores.write_text("".join(f"X_E_{n} {SCORES[n]}\n" for n in TRIALS))
    (one,) = evaluation_sets(parse_named([f"s={scores}"]), parse_named([f"p={path}"]))
    return {"trials": sorted(zip(one.systems["s"].tolist(), one.trials.is_bonafide.tolist(), strict=True))}


def _asv_scores(path: Path) -> Mapping[str, object]:
    asv = read_asv_scores(path)
    attacks = sorted(zip(asv.spoof.tolist(), asv.spoof_attacks, strict=True))
    return {"classes": [sorted(one.tolist()) for one in asv.classes], "attacks": attacks}


def _track_2(path: Path) -> Mapping[str, object]:
    """The joint scores, and those of both systems where the file has them."""
    key = path.with_name("key.txt")
    trials = (f"S_{n % 3} X_E_{n} {cell(Form((), {}), 'state', n)}\n" for n in TRIALS)
    key.write_text("".join(trials))
    scores = read_track_2(path, key)
    parts = {"sasv": scores} | ({"asv": scores.asv, "cm": scores.cm} if isinstance(scores, TandemScores) else {})
    return {name: [each.tolist() for each in one.classes] for name, one in parts.items()}


KINDS = (
    Kind(
        *("scores with a protocol", ("utterance", "score"), ("key", "attack", "duration", "prefix", "truth")),
        *(_scores_beside_a_protocol, True),
        words=(*WORDS, *DIGITS),
    ),
    Kind(
        *("scores with keys", ("utterance", "score", "key"), ("attack", "duration", "prefix", "speaker", "truth")),
        _scores_with_keys,
    ),
    Kind("key file", ("utterance", "key"), ("attack", "speaker", "subset", "truth"), _key_file),
    Kind("ASV scores", ("attack", "state", "score"), ("utterance", "prefix"), _asv_scores, may_repeat=True),
    Kind(
        *("track 2", ("spk", "utterance", "cm", "asv", "sasv"), ("duration", "prefix"), _track_2),
        needs_header=True,
    ),
)


def drawn(kind: Kind, draw: random.Random) -> Form:
    """A form of a kind of table that people write."""
    columns = [*kind.needed, *draw.sample(kind.optional, k=draw.randint(0, len(kind.optional)))]
    has_header = kind.needs_header or draw.random() < 0.6
    return Form(
        tuple(draw.sample(columns, k=len(columns))),
        {name: draw.choice(HEADERS[name]) for name in HEADERS} if has_header else {},
        draw.choice(kind.words),
        draw.choice(("\t", ",", ";", " ", ", ")),
        draw.choice(("\n", "\n", "\r\n")),
        draw.choice((csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
        draw.choice((("",), ("wav/",), ("./",), ("/data/wav/",), ("D:\\wav\\",), ("", "a/", "./b/"))),
        draw.choice(("", ".wav", ".FLAC")),
        draw.choice(("", "", "\ufeff")),
        draw.choice(("", "", "# made by our scorer\n", "\n")),
        tuple(draw.sample(TRIALS, k=len(TRIALS))),
    )


def foreign_header(kind: Kind, form: Form, draw: random.Random) -> Form:
    """Headers that say nothing, or a number, or a class."""
    names = ("Datei", "Wert", "name", "x", "prob", "p", "0", "1", "real", "fake", "")
    return replace(form, header={name: draw.choice(names) for name in HEADERS})


def lost_header(kind: Kind, form: Form, draw: random.Random) -> Form:
    """No header at all."""
    return replace(form, header={})


def another_separator(kind: Kind, form: Form, draw: random.Random) -> Form:
    """A separator that nobody expects, or several blanks."""
    return replace(form, separator=draw.choice(("\t", ",", ";", " ", "|", ":", "  ")))


def fewer_columns(kind: Kind, form: Form, draw: random.Random) -> Form:
    """A column is lost. The scores stay, and with them the classes where no other file states them."""
    kept = {"score", "sasv", "state"} if kind.has_protocol else {"score", "sasv", "state", "key"}
    others = [name for name in form.columns if name not in kept]
    lost = set(draw.sample(others, k=draw.randint(0, len(others))))
    return replace(form, columns=tuple(name for name in form.columns if name not in lost))


def another_word(kind: Kind, form: Form, draw: random.Random) -> Form:
    """Words for the classes that mean something else, or the opposite where a protocol contradicts them."""
    words = [("x", "y"), ("target", "nontarget"), ("0", "1"), ("False", "True"), ("1.0", "0.0"), ("-", "spoof")]
    return replace(form, words=draw.choice([*words, *[("spoof", "bonafide")] * kind.has_protocol]))


def decimal_commas(kind: Kind, text: str, draw: random.Random) -> str:
    """Every point is a comma."""
    return text.replace(".", ",")


def another_output(kind: Kind, text: str, draw: random.Random) -> str:
    """A second number stands behind each line."""
    lines = text.splitlines()
    return "\n".join(f"{line}{draw.choice(',; ')}{n / 7:.3f}" for n, line in enumerate(lines)) + "\n"


def joined_lines(kind: Kind, text: str, draw: random.Random) -> str:
    """Some line ends are lost, doubled or those of another system.

    Without a protocol, a trial that becomes a part of a comment is lost as any line may be.
    """
    comment, table = ("", text) if kind.has_protocol or "#" not in text else text.split("\n", 1)
    return comment + "\n" * bool(comment) + table.replace("\n", draw.choice((" ", "\n\n", "\r")), draw.randint(1, 3))


def repeated_header(kind: Kind, text: str, draw: random.Random) -> str:
    """Two files were joined: the first line occurs again."""
    lines = text.splitlines(keepends=True)
    if not kind.may_repeat:
        lines.insert(draw.randint(1, len(lines)), lines[0])
    return "".join(lines)


def surrounded(kind: Kind, text: str, draw: random.Random) -> str:
    """A sentence before or behind the table."""
    sentence = draw.choice(("EER: 16.667 %\n", "Results of our model\n", "done\n", "---\n"))
    return sentence + text if draw.random() < 0.5 else text + sentence


OF_FORMS = (foreign_header, lost_header, another_separator, fewer_columns, another_word)
OF_TEXTS = (decimal_commas, another_output, joined_lines, repeated_header, surrounded)


def damaged(kind: Kind, form: Form, draw: random.Random) -> str:
    """The text of a form with up to two damages of the form and one of the text."""
    for change_form in draw.sample(OF_FORMS, k=draw.randint(0, 2)):
        form = change_form(kind, form, draw)
    text = written(form)
    for change_text in draw.sample(OF_TEXTS, k=draw.randint(0, 1)):
        text = change_text(kind, text, draw)
    return text


def run(count: int, seed: int, folder: Path, keep: Path | None = None) -> Outcome:
    """Write and read that many forms; (kind of file, verdict) → how many. Faulty ones go to `keep`."""
    draw, outcome = random.Random(seed), Counter[tuple[str, str]]()
    twins = {kind.name: kind.figure(_write(folder, written(twin(kind)))) for kind in KINDS}
    for index in range(count):
        kind = KINDS[index % len(KINDS)]
        text = damaged(kind, drawn(kind, draw), draw)
        verdict = _verdict(kind, _write(folder, text), twins[kind.name])
        outcome[kind.name, verdict] += 1
        if verdict not in ("refused", "same") and keep:
            (keep / f"{seed}-{index}-{kind.name.replace(' ', '-')}.txt").write_bytes(text.encode())
    return outcome


def twin(kind: Kind) -> Form:
    """The plain form of a kind of table, which is not damaged."""
    return Form(kind.needed, {name: names[0] for name, names in HEADERS.items()})


def _write(folder: Path, text: str) -> Path:
    path = folder / "form.txt"
    path.write_bytes(text.encode())
    return path


def _verdict(kind: Kind, path: Path, expected: Mapping[str, object]) -> str:
    try:
        with time_limit(SECONDS):
            found = kind.figure(path)
    except InputError as refusal:
        return "refused" if "expected" in str(refusal) else "unclear"
    except TimeoutError:
        return "hang"
    except Exception:
        print(f"{kind.name}:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
        return "trace"
    return "same" if all(expected[name] == value for name, value in found.items()) else "differs"


if __name__ == "__main__":
    run_command(run, default=10_000, harmless=("refused", "same", "unclear"), width=24)
