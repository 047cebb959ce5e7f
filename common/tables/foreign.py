"""Recognises files that look like score files or keys but are of another kind, and names the kind in an error."""

from spoofcache.common.names import is_audio
from spoofcache.common.tables.columns import Column, Table
from spoofcache.common.tables.layout import TableError

VERIFICATION = frozenset({"target", "nontarget", "tgt", "imp", "impostor"})
ASV_KEYS = VERIFICATION | {"spoof"}
ASV_2019 = "scores of a speaker verification system (attack, target|nontarget|spoof, score), which go to --asv-scores"
ASV_2021 = (
    "ASVspoof 2021's scores of a speaker verification system (speaker-codec, utterance-codec, score), which go to "
    "--asv-scores, with ASV/trial_metadata.txt as --asv-key"
)
ASV_KEY_2021 = "ASVspoof 2021's trial list of speaker verification (ASV/trial_metadata.txt), which goes to --asv-key"
KALDI_TRIALS = "a trial list of speaker verification in the form of Kaldi (speaker, utterance, target|nontarget)"
VOXCELEB = "a trial list of speaker verification as VoxCeleb has it (1|0, enrolment file, test file)"
KALDI_EER = "the input of Kaldi's compute-eer (score, target|nontarget), which names no utterances"
TRACK_2 = "a trial list of ASVspoof 5 track 2 (target|nontarget|spoof), which goes to --asv-key with --sasv-scores"


def refuse_foreign(table: Table, expected: str) -> None:
    """Raise a TableError if the table is recognised as a file of another kind.

    Args:
        table: the table.
        expected: what was expected instead, for the message.
    """
    what = _what_it_is(table)
    if what:
        raise TableError(f"{table.lines.path}: this looks like {what}; expected {expected}")


def _what_it_is(table: Table) -> str:
    columns = table.columns
    if any(one.is_class and (len(one.classes) == 2 or one.meaning == "key") for one in columns):
        return ""
    verification = [one for one in columns if one.consists_of(ASV_KEYS) and one.values & VERIFICATION]
    numeric = [one for one in columns if one.is_numeric]
    if is_2021(table):
        return ASV_2021
    if not verification:
        return VOXCELEB if _is_pair_of_files(table) else ""
    if numeric:
        return KALDI_EER if len(columns) == 2 else ASV_2019
    if is_key_2021(table):
        return ASV_KEY_2021
    return KALDI_TRIALS if len(columns) == 3 else TRACK_2


def _is_pair_of_files(table: Table) -> bool:
    """Whether each row has 0 or 1 and two files, as the pairs of speaker verification have."""
    if len(table.columns) != 3 or table.header or not table.columns[0].is_binary:
        return False
    return all(map(is_audio, (one.cells[0] for one in table.columns[1:]))) and not table.columns[1].is_unique


def is_2021(table: Table) -> bool:
    """Whether a table has the form of ASVspoof 2021's ASV scores, in any order of its columns."""
    names = [one for one in table.columns if not one.is_numeric]
    return len(table.columns) == 3 and len(names) == 2 and all(map(_has_codecs, names))


def is_key_2021(table: Table) -> bool:
    """Whether a table has the form of ASVspoof 2021's trial list of speaker verification."""
    return len(table.columns) in (8, 12) and all(map(_has_codecs, table.columns[:2]))


def _has_codecs(column: Column) -> bool:
    """Whether names have the form of the verification trials of ASVspoof 2021, such as LA_0009-alaw-ita_tx."""
    return not column.is_numeric and all(cell.count("-") >= 2 for cell in column.cells[:200])
