"""The words that people use: for the two classes, for trials without an attack, and for columns in a header."""

import re
from collections.abc import Mapping, Sequence

UNKNOWN = "-"
"""What files contain instead of an unknown value."""

BONAFIDE = ("bonafide", "bona-fide", "bona_fide", "bona fide", "genuine", "human", "real", "authentic")
SPOOF = (
    *("spoof", "spoofed", "spoofing", "fake", "deepfake", "deep-fake", "deep_fake", "deep fake", "machine"),
    *("synthetic", "synthesized", "synthesised", "generated", "ai-generated", "ai_generated", "ai generated"),
)
CLASSES: Mapping[str, str] = {**dict.fromkeys(BONAFIDE, "bonafide"), **dict.fromkeys(SPOOF, "spoof")}
"""Word for a class, in lower case → the class. 1 and 0 are not included, since files differ in their meaning."""

BINARY: Mapping[str, str] = {"0": "0", "0.0": "0", "false": "0", "1": "1", "1.0": "1", "true": "1"}
"""Spelling of the two values of a binary column, in lower case → 0 or 1."""

NO_ATTACK = frozenset({UNKNOWN, "", "none", "n/a", "nan", *BONAFIDE})
"""What files write, in any letter case, as the attack of a bona fide trial."""

ATTACK_ID = re.compile(r"[A-Z]{1,3}\d{1,3}")
"""How the organisers of challenges number attacks: A07, AC1, T2."""

HEADERS: Mapping[str, Sequence[tuple[str, ...]]] = {
    "utterance": (
        ("utt_id", "utterance", "trial", "file", "filename"),
        (
            *("utt", "uttid", "utterance_id", "trial_id", "trial_anon", "id", "name", "sample", "sample_id"),
            *("file_name", "filenames", "file_id", "fname", "filepath", "file_path", "path", "wav", "wav_path"),
            *("wav_file", "audio", "audio_file", "audio_path", "audio_filename"),
        ),
    ),
    "score": (("score", "cm_score"), ("scores", "cm_scores", "llr", "cm_llr")),
    "key": (
        ("key", "label", "cm_label"),
        ("labels", "class", "target", "cm_key", "ground_truth", "gt", "truth", "true_label", "y", "y_true"),
    ),
    "attack": (("attack", "attack_id"), ("attack_type", "attack_anon")),
    "speaker": (("speaker",), ("speaker_id", "spk", "spk_id", "speaker_name", "spk_anon", "tar_spk_anon")),
}
"""Meaning of a column → what headers call it, as `plain` writes them. Names of a later group count only where there is
none of an earlier one: `path` names the utterance unless there is a `file`."""
MEANING: Mapping[str, str] = {
    name: meaning for meaning, groups in HEADERS.items() for names in groups for name in names
}

FILE_NAMES = frozenset(name for name in MEANING if re.match(r"file|fname|path|audio|wav", name))
"""Headers of columns that hold files rather than utterances."""


NOT_SCORES = frozenset(
    (
        "duration",
        "dur",
        "seconds",
        "length",
        "samples",
        "n_samples",
        "frames",
        "sample_rate",
        "sr",
        "epoch",
        "snr",
        "age",
    )
)
"""Headers of columns of numbers that are not scores."""


NOT_KEYS = frozenset(
    {
        *("pred", "prediction", "predicted", "pred_label", "predicted_label", "pred_class", "predicted_class"),
        *("y_pred", "decision", "hard_decision", "verdict"),
    }
)
"""Headers of columns with the decisions of a system, which are not keys."""


def plain(header: str) -> str:
    """A header in lower case with underscores.

    >>> plain("CM-Score"), plain("cm score")
    ('cm_score', 'cm_score')
    """
    return re.sub(r"[\s_.-]+", "_", header.strip()).lower()


def class_of(word: str) -> str | None:
    """`bonafide` or `spoof` for a word that means it, in any letter case; None for any other."""
    return CLASSES.get(word.lower())
