"""One table in any form gives one evaluation, or is refused: never another figure."""

import csv
import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spoofcache.common.errors import InputError
from spoofcache.evaluation.testsets import evaluation_sets, parse_named

PROTOCOL = "".join(
    f"S_{n % 3} X_E_{n} - {'-' if n < 4 else f'A0{n}'} {'bonafide' if n < 4 else 'spoof'}\n" for n in range(9)
)
SCORES = [2.25, 1.5, -0.5, 3.75, -2.5, -1.25, 0.125, -3.5, 1.0625]
HEADERS = {
    "utterance": ["filename", "Utt_ID", "FILE", "trial"],
    "score": ["score", "cm-score", "CM_Score"],
    "key": ["key", "Label", "cm_label"],
    "attack": ["attack", "Attack_ID"],
    "duration": ["duration", "Seconds"],
}
WORDS = [("bonafide", "spoof"), ("bona-fide", "spoof"), ("real", "fake"), ("Genuine", "Spoof"), ("1", "0")]


@st.composite
def forms(draw):
    """How one and the same table of trials may be written."""
    has_header = draw(st.booleans())
    extra = ["key", "attack"] + ["duration"] * has_header
    columns = ["utterance", "score", *draw(st.lists(st.sampled_from(extra), unique=True))]
    return {
        "columns": draw(st.permutations(columns)),
        "words": draw(st.sampled_from(WORDS)),
        "header": {name: draw(st.sampled_from(HEADERS[name])) for name in columns} if has_header else {},
        "separator": draw(st.sampled_from(["\t", ",", ";", " ", ", "])),
        "newline": draw(st.sampled_from(["\n", "\r\n"])),
        "quoting": draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
        "prefix": draw(st.sampled_from(["", "./", "wav/", "/data/wav/", "D:\\wav\\"])),
        "ending": draw(st.sampled_from(["", ".wav", ".FLAC"])),
        "mark": draw(st.sampled_from(["", "\ufeff"])),
        "comment": draw(st.sampled_from(["", "# made by our scorer\n", "\n"])),
        "order": draw(st.permutations(range(len(SCORES)))),
    }


def cells(form, n):
    word = form["words"][n >= 4]
    return {
        "utterance": f"{form['prefix']}X_E_{n}{form['ending']}",
        "score": repr(SCORES[n]),
        "key": word,
        "attack": "-" if n < 4 else f"A0{n}",
        "duration": f"{3 + n / 8}",
    }


def written(form):
    text = io.StringIO()
    table = csv.writer(text, delimiter=form["separator"][0], lineterminator=form["newline"], quoting=form["quoting"])
    if form["header"]:
        table.writerow(form["header"][name] for name in form["columns"])
    for n in form["order"]:
        row = cells(form, n)
        table.writerow(row[name] for name in form["columns"])
    body = text.getvalue()
    if form["separator"] == ", ":
        body = body.replace(",", ", ")
    return form["mark"] + form["comment"] + body


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    (folder / "P.txt").write_text(PROTOCOL)
    return folder


def scores_of(folder, content, name="scores.txt"):
    (folder / name).write_bytes(content.encode())
    (one,) = evaluation_sets(parse_named([str(folder / name)]), parse_named([str(folder / "P.txt")]))
    return one.systems[name.partition(".")[0]].tolist()


@settings(deadline=None, max_examples=150)
@given(forms())
def test_any_form_of_a_table_gives_the_same_scores(folder, form):
    assert scores_of(folder, written(form)) == SCORES


# --- forms that are damaged as a whole, not byte by byte


def shuffled_columns(form, rng):
    columns = list(form["columns"])
    rng.shuffle(columns)
    return form | {"columns": columns}


def foreign_header(form, rng):
    names = ["Datei", "Wert", "name", "x", "prob", "p", "0", "1", "real", "fake"]
    return form | {"header": {name: rng.choice(names) for name in HEADERS}}


def another_separator(form, rng):
    return form | {"separator": rng.choice(["\t", ",", ";", " ", "|", ":", "  "])}


def fewer_columns(form, rng):
    """The scores stay: a table without them is another table."""
    others = [name for name in form["columns"] if name != "score"]
    return form | {"columns": ["score", *rng.sample(others, k=rng.randint(0, len(others)))]}


def swapped_words(form, rng):
    return form | {"words": rng.choice([("0", "1"), ("spoof", "bonafide"), ("x", "y"), ("target", "nontarget")])}


def decimal_commas(text, rng):
    return text.replace(".", ",")


def another_output(text, rng):
    lines = text.splitlines()
    return "\n".join(f"{line}{rng.choice([',', ' ', ';'])}{n / 7:.3f}" for n, line in enumerate(lines)) + "\n"


def joined_lines(text, rng):
    return text.replace("\n", rng.choice([" ", "\n\n", "\r"]), rng.randint(1, 3))


FORM_DAMAGES = [shuffled_columns, foreign_header, another_separator, fewer_columns, swapped_words]
TEXT_DAMAGES = [decimal_commas, another_output, joined_lines]


@pytest.mark.parametrize("seed", range(8))
def test_a_form_that_is_damaged_is_refused_or_gives_the_same_scores(folder, seed):
    rng = random.Random(seed)
    n_read = 0
    for _ in range(150):
        form = forms_example(rng)
        for damage in rng.sample(FORM_DAMAGES, k=rng.randint(0, 2)):
            form = damage(form, rng)
        text = written(form)
        for damage in rng.sample(TEXT_DAMAGES, k=rng.randint(0, 1)):
            text = damage(text, rng)
        found = scores_or_sentence(folder, text)
        assert found == SCORES or "; expected " in found, text
        n_read += found == SCORES
    assert 10 < n_read < 140  # neither side of the question is idle


def scores_or_sentence(folder, text):
    try:
        return scores_of(folder, text)
    except InputError as refusal:
        return str(refusal)


def forms_example(rng):
    columns = ["utterance", "score", *rng.sample(["key", "attack", "duration"], k=rng.randint(0, 3))]
    rng.shuffle(columns)
    return {
        "columns": columns,
        "words": rng.choice(WORDS),
        "header": {name: rng.choice(names) for name, names in HEADERS.items()} if rng.random() < 0.7 else {},
        "separator": rng.choice(["\t", ",", ";", " "]),
        "newline": "\n",
        "quoting": csv.QUOTE_MINIMAL,
        "prefix": rng.choice(["", "wav/"]),
        "ending": rng.choice(["", ".wav"]),
        "mark": "",
        "comment": "",
        "order": rng.sample(range(len(SCORES)), k=len(SCORES)),
    }
