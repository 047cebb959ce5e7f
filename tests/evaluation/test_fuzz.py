"""10,000 damaged score files: every one is refused with a sentence, or read as slow, strict referees read it."""

import math
import random
import re
import unicodedata

import pytest

from spoofcache.evaluation.asvspoof2019 import as_text, evaluate_2019
from spoofcache.evaluation.checks import not_llr_warning, warnings_of
from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.trials import trials_of_scores
from spoofcache.metrics.asv_files import read_asv_scores
from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.score_files import read_scores

N_CASES = 10_000
INTACT = {
    "asvspoof2019": "u_1 - bonafide 0.9\nu_2 A07 spoof -1.5e-3\nu_3.wav A08 spoof 2\nu_4 - bonafide 1e2\n",
    "asvspoof2021": "u_1 0.9\nu_2 -1.5e-3\nu_3.wav 2\nu_4 1e2\n",
    "asvspoof5": "filename\tcm-score\nu_1\t0.9\nu_2\t-1.5e-3\nu_3.flac\t2\n",
    "track 2": "filename\tcm-score\tasv-score\tsasv-score\nu_1\t0.9\t1\t2\nu_2\t-1\t3\t4\n",
    "xieyuankun": "u_1_- 0.9 bonafide\nu_2_A07 -1.5e-3 spoof\nu_3_A08 2 spoof\nu_4_- 1e2 bonafide\nu_5_- 7 spoof\n",
    "tsv": "utt_id\tattack\tkey\tscore\nu_1\t-\tbonafide\t0.9\nu_2\tA07\tspoof\t-1.5e-3\nu_3\tA00\tbonafide\t2\n",
    "tsv in another order": "score\tlabel\ttrial\n0.9\tbonafide\tu_1\n-1.5e-3\tspoof\tu_2.mp3\n2\tspoof\tu_3\n",
    "asv": "bonafide target 3.5\nbonafide nontarget -1\nA07 spoof 2\nbonafide target 1e1\nA08 spoof .5\n",
}

# --- how files are damaged

BYTES = [*range(256), *b"\t \r\n\0\x1c\x85_.-+e0"]
BLANKS = ["\t", " ", "  ", "\t\t", "\r", "\n", "\r\n", *"\0\ufeff\xa0\u2003\u2028\x0b\x0c\x1c\x85\u200b\u00ad"]
CHARACTERS = [*BLANKS, *'é\U0001f600_#",;.', "bonafide", "spoof"]
NUMBERS = ["nan", "-NaN", "inf", "-Infinity", "1e999", "-1e999", "1e-999", "", "word", "1_0", "1e5_0", "0x1p3", "1,5"]
NUMBERS += ["--1", "1e", "1d0", "True", "١", "𝟏", "-0", "+1.", "5e-324", "1e38", "-1e38", "3.4028235e+38"]
NUMBERS += ["1.7976931348623157e308", "-1.7976931348623157e308"]
ENCODINGS = ["utf-16", "utf-16-le", "utf-32", "latin-1", "utf-7", "cp037", "utf-8-sig"]
WORD = re.compile(r"[^ \t\n]+")
NUMBER_LIKE = re.compile(r"(?<=[ \t\n])[-+]?[0-9.][0-9.e+-]*(?=[ \t\n])")


def damage_bytes(content, rng):
    at = rng.randrange(len(content) + 1)
    inserted = bytes([rng.choice(BYTES)])
    return rng.choice(
        [
            content[:at] + inserted + content[at:],
            content[:at] + inserted + content[at + 1 :],
            content[:at] + content[at + 1 :],
            content[:at],
        ]
    )


def damage_characters(content, rng):
    text, at = content.decode("utf-8", "replace"), rng.randrange(len(content) + 1)
    return (text[:at] + rng.choice(CHARACTERS) + text[at:]).encode()


def damage_lines(content, rng):
    lines = content.splitlines(keepends=True) or [b""]
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(4)
    if kind == 0:
        del lines[a]
    elif kind == 1:
        lines.insert(b, lines[a])
    elif kind == 2:
        lines[a], lines[b] = lines[b], lines[a]
    else:
        lines.insert(a, rng.choice([b"\n", b" \n", b"\r\n", b"# comment\n"]))
    return b"".join(lines)


def damage_columns(content, rng):
    text = content.decode("utf-8", "replace")
    words = list(WORD.finditer(text))
    if len(words) < 2:
        return content
    k = rng.randrange(len(words) - 1)
    first, second = words[k], words[k + 1]
    between = text[first.end() : second.start()]
    new = rng.choice([second[0], f"{second[0]}{between}{first[0]}", f"{first[0]}{second[0]}", f"{first[0]}{between}"])
    return (text[: first.start()] + new + text[second.end() :]).encode()


def damage_number(content, rng):
    text = content.decode("utf-8", "replace")
    numbers = list(NUMBER_LIKE.finditer(text))
    if not numbers:
        return content
    number = rng.choice(numbers)
    return (text[: number.start()] + rng.choice(NUMBERS) + text[number.end() :]).encode()


def damage_encoding(content, rng):
    text = content.decode("utf-8", "replace")
    return text.encode(rng.choice(ENCODINGS), "replace") if rng.random() < 0.5 else text.replace("\n", "\r\n").encode()


DAMAGES = [damage_bytes, damage_characters, damage_lines, damage_columns, damage_number, damage_encoding]
ODDS = [4, 4, 4, 4, 4, 1]


def damaged(content, rng):
    for damage in rng.choices(DAMAGES, ODDS, k=rng.choice([1, 1, 2, 3])):
        content = damage(content, rng)
    return content


# --- the referee: one strict grammar, character by character; None means refused

NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
ENDING = re.compile(r"(?<=.)\.(flac|wav|mp3|m4a|mp4|aac|ogg|opus|webm|g722|aiff|aif)$", re.IGNORECASE)
HEADER = {
    **dict.fromkeys(["utt_id", "utterance", "trial", "file", "filename"], "utt_id"),
    **dict.fromkeys(["score", "cm-score", "cm_score"], "score"),
    **dict.fromkeys(["key", "label", "cm-label"], "key"),
    **dict.fromkeys(["attack", "attack_id"], "attack"),
    **dict.fromkeys(["asv-score", "sasv-score"], None),
}


def referee_lines(content):
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    lines = lines[:-1] if lines[-1] == "" else lines
    for character in "".join(lines):
        if character not in " \t" and unicodedata.category(character)[0] in "CZ":
            return None
    return lines or None


def referee_number(text):
    number = float(text) if NUMBER.fullmatch(text) else math.nan
    return number if -1e38 <= number <= 1e38 else None


def referee_rows(lines):
    """Dicts of text by column, one per trial."""
    header = lines[0].split("\t")
    if set(header) & set(HEADER):
        if not set(header) <= set(HEADER):
            return None
        meanings = [HEADER[name] for name in header]
        named = [meaning for meaning in meanings if meaning]
        if len(set(named)) < len(named) or not {"utt_id", "score"} <= set(named) or len(lines) == 1:
            return None
        cells = [line.split("\t") for line in lines[1:]]
        if any(not cell or " " in cell for row in cells for cell in row):
            return None
    else:
        cells = [re.findall(r"[^ \t]+", line) for line in lines]
        forms = {4: ["utt_id", "attack", "key", "score"], 3: ["name", "score", "key"], 2: ["utt_id", "score"]}
        meanings = forms.get(len(cells[0]))
    if meanings is None or any(len(row) != len(meanings) for row in cells):
        return None
    return [dict(zip(meanings, row, strict=True)) for row in cells]


def referee_trial(row):
    """(utterance, attack, key, score) of one row; None where any of it is wrong."""
    attack, key, score = row.get("attack"), row.get("key"), referee_number(row["score"])
    utt_id = row.get("utt_id")
    if "name" in row:
        joined = re.fullmatch(r"(.+)_([^_]+)", row["name"])
        if not joined or (key == "bonafide" and joined[2] != "-"):
            return None
        utt_id, attack = joined.groups()
    if score is None or key not in (None, "bonafide", "spoof") or (key, attack) == ("spoof", "bonafide"):
        return None
    return ENDING.sub("", utt_id), "-" if attack and key == "bonafide" else attack, key, score


def referee_cm(content):
    lines = referee_lines(content)
    trials = [referee_trial(row) for row in (lines and referee_rows(lines)) or []]
    if not trials or None in trials or len({trial[0] for trial in trials}) < len(trials):
        return None
    return trials


def referee_asv(content):
    lines = referee_lines(content)
    trials = []
    for line in lines or []:
        row = re.findall(r"[^ \t]+", line)
        if len(row) != 3 or referee_number(row[2]) is None:
            return None
        attack, key, score = row[0], row[1], referee_number(row[2])
        if key not in ("target", "nontarget", "spoof") or (key == "spoof") == (attack == "bonafide"):
            return None
        trials.append((attack, key, score))
    return trials if {key for _, key, _ in trials} == {"target", "nontarget", "spoof"} else None


# --- the judgement

CLASSES = dict.fromkeys(["bonafide", "bona-fide", "genuine", "human", "real"], "bonafide") | dict.fromkeys(
    ["spoof", "fake"], "spoof"
)


def as_trials(file):
    n = len(file.utt_ids)
    bonafide = [None] * n if file.is_bonafide is None else file.is_bonafide.tolist()
    keys = [key if key is None else ("spoof", "bonafide")[key] for key in bonafide]
    columns = (file.utt_ids, file.attacks or [None] * n, keys, file.scores.tolist())
    return list(zip(*columns, strict=True))


def by_key(trials):
    return [
        [(a if key == "spoof" else "", s) for a, k, s in trials if k == key] for key in ("target", "nontarget", "spoof")
    ]


def asv_by_key(asv):
    bare = [[("", score) for score in scores.tolist()] for scores in (asv.target, asv.nontarget)]
    return [*bare, list(zip(asv.spoof_attacks, asv.spoof.tolist(), strict=True))]


def read_or_sentence(read, path):
    """What `read` makes of the file, or None after a look at its sentence; any other exception is a failure."""
    try:
        return read(path)
    except ScoreError as refusal:
        sentence = str(refusal)
        assert sentence.startswith(f"{path}:")
        assert "; expected " in sentence
        assert sentence.isprintable()  # one line, and nothing of a binary file on the terminal
        return None


def judge_cm(path, content):
    """As the strict referee reads the file, so do we; elsewhere each of our trials is a line of the file."""
    file, expected = read_or_sentence(read_scores, path), referee_cm(content)
    if file is None:
        return None
    trials = as_trials(file)
    if expected is not None:
        assert [(ENDING.sub("", name), key, score) for name, _, key, score in trials] == [
            (name, key, score) for name, _, key, score in expected
        ]
        assert all(ours[1] in (None, theirs[1]) for ours, theirs in zip(trials, expected, strict=True))
    else:
        require_every_line(content, trials)
    return file


def trial_lines(content):
    """The lines that hold something and are no comments."""
    lines = content.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    return [line for line in lines if line.strip() and not line.startswith("#")]


def require_every_line(content, trials):
    """Each line but a header's is one trial, whose name, class and number stand in it."""
    lines = trial_lines(content)
    if len(lines) == len(trials) + 1:
        assert not any(referee_number(token) is not None for token in tokens(lines[0])), lines[0]
        lines = lines[1:]
    for line, (name, _, key, score) in zip(lines, trials, strict=True):
        assert name in line.replace('""', '"')
        assert score in [referee_number(token) for token in tokens(line)]
        assert key is None or any(CLASSES.get(token.lower()) == key for token in tokens(line))


def tokens(line):
    return [token for token in re.split(r'[\s,;|"]+', line) if token]


def judge_asv(path, content):
    asv, expected = read_or_sentence(read_asv_scores, path), referee_asv(content)
    if asv is not None and expected is not None:
        assert asv_by_key(asv) == by_key(expected)
    elif asv is not None:
        scores = sorted(score for one in asv.classes for score in one.tolist())
        lines = trial_lines(content)[-len(scores) :]
        assert len(trial_lines(content)) - len(scores) in (0, 1)
        assert all(any(referee_number(token) in scores for token in tokens(line)) for line in lines)
    return asv


def read_with_keys(path):
    cm = read_scores(path)
    cm.require_keys()
    return cm


def evaluate(path):
    cm = read_or_sentence(read_with_keys, path)
    if cm is None:
        return
    evaluation = evaluate_2019(EvaluationSet("damaged", trials_of_scores(cm), {"damaged": cm.scores}))
    rates = [row.eer for row in (evaluation.pooled, *evaluation.per_attack.values())]
    assert all(0 <= rate <= 1 for rate in rates)
    assert "Countermeasure" in as_text(evaluation)
    warnings_of("damaged", cm.scores, cm.is_bonafide)
    not_llr_warning("damaged", cm.scores)


@pytest.mark.parametrize("form", INTACT)
def test_damaged_files_never_pass_unnoticed(tmp_path, form):
    rng = random.Random(form)
    path, intact = tmp_path / "scores.txt", INTACT[form].encode()
    judge = judge_asv if form == "asv" else judge_cm
    n_cases, n_read = N_CASES // len(INTACT), 0
    for _ in range(n_cases):
        content = damaged(intact, rng)
        path.write_bytes(content)
        try:
            was_read = judge(path, content)
            if was_read and form != "asv":
                evaluate(path)
        except Exception as error:
            pytest.fail(f"{content!r}: {type(error).__name__}: {error}")
        n_read += was_read is not None
    assert 0.1 < n_read / n_cases < 0.9  # neither side of the question is idle


@pytest.mark.parametrize("form", INTACT)
def test_intact_files_are_read(tmp_path, form):
    path, content = tmp_path / "scores.txt", INTACT[form].encode()
    path.write_bytes(content)
    assert (judge_asv if form == "asv" else judge_cm)(path, content) is not None
