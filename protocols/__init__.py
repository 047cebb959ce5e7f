"""Read corpora: the name of a corpus and a partition give trials with their audio files."""

from collections.abc import Mapping

from spoofcache.common.endings import AUDIO_ENDINGS
from spoofcache.common.plugins import EXPECTED, PluginError, is_plugin, load_plugin
from spoofcache.protocols import (
    asvspoof5,
    asvspoof19,
    asvspoof21,
    codecfake,
    codecfake_tseng,
    fake_or_real,
    folders,
    in_the_wild,
    mlaad,
    parquet,
    speechfake,
    table,
    wavefake,
)
from spoofcache.protocols.audio import find_audio
from spoofcache.protocols.corpus import Corpus, Location
from spoofcache.protocols.trial import ProtocolError
from spoofcache.protocols.trial_table import TrialTable

__all__ = ["AUDIO_ENDINGS", "CORPORA", "Corpus", "Location", "find_audio", "find_corpus", "load_trials"]

CORPORA: Mapping[str, Corpus] = {
    "asvspoof19_la": asvspoof19.LA,
    "asvspoof19_pa": asvspoof19.PA,
    "asvspoof21_la": asvspoof21.LA,
    "asvspoof21_df": asvspoof21.DF,
    "asvspoof21_pa": asvspoof21.PA,
    "asvspoof5": asvspoof5.CORPUS,
    "in_the_wild": in_the_wild.CORPUS,
    "fake_or_real": fake_or_real.CORPUS,
    "speechfake": speechfake.CORPUS,
    "wavefake": wavefake.CORPUS,
    "mlaad": mlaad.CORPUS,
    "codecfake": codecfake.CORPUS,
    "codecfake_tseng": codecfake_tseng.CORPUS,
    "asvspoof19_style": asvspoof19.STYLE,
    "csv": table.CSV,
    "folders": folders.CORPUS,
    "parquet": parquet.CORPUS,
}


def find_corpus(name: str) -> Corpus:
    """The corpus of that registry name, or the user's own `Corpus` that `package.module:NAME` names.

    Raises:
        ProtocolError: the corpus is unknown, or the object of the user cannot be loaded or is not a Corpus.
    """
    if name in CORPORA:
        return CORPORA[name]
    if not is_plugin(name):
        raise ProtocolError(f"corpus {name!r}; expected one of {', '.join(CORPORA)}, or {EXPECTED}")
    try:
        own = load_plugin(name).part
    except PluginError as error:
        raise ProtocolError(f"corpus {error}") from error
    if not isinstance(own, Corpus):
        raise ProtocolError(f"corpus {name} is {own!r}; expected a Corpus of spoofcache.protocols.corpus")
    return own


def load_trials(corpus: str, where: Location, partition: str) -> TrialTable:
    """The trials of one partition in the order of the protocol, each with its audio file, or None if there is none.

    Raises:
        ProtocolError: the corpus or partition is unknown, an option is missing or does not apply to the corpus, or the
            protocol is malformed.
        OSError: the protocol or the audio folder cannot be read.
    """
    found = find_corpus(corpus)
    found.check(corpus, where, partition)
    return TrialTable.of(found.read(where, partition))
