"""Where a checkpoint comes from: a local folder, this machine's cache of the hub, or the hub itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from spoofcache.features.frontends.base import FrontEndError, FrontEndOptions

HUB_NAMES: Mapping[str, str] = {
    "xls-r-300m": "facebook/wav2vec2-xls-r-300m",
    "xls-r-1b": "facebook/wav2vec2-xls-r-1b",
    "xls-r-2b": "facebook/wav2vec2-xls-r-2b",
    "wav2vec2-base": "facebook/wav2vec2-base",
    "wav2vec2-large": "facebook/wav2vec2-large",
    "hubert-base": "facebook/hubert-base-ls960",
    "hubert-large": "facebook/hubert-large-ll60k",
    "wavlm-base": "microsoft/wavlm-base",
    "wavlm-large": "microsoft/wavlm-large",
    "mms-300m": "facebook/mms-300m",
    "mms-1b": "facebook/mms-1b",
    "w2v-bert-2.0": "facebook/w2v-bert-2.0",
    "whisper-tiny": "openai/whisper-tiny",
    "whisper-base": "openai/whisper-base",
    "whisper-small": "openai/whisper-small",
    "whisper-medium": "openai/whisper-medium",
    "whisper-large": "openai/whisper-large",
    "whisper-large-v2": "openai/whisper-large-v2",
    "whisper-large-v3": "openai/whisper-large-v3",
    "whisper-large-v3-turbo": "openai/whisper-large-v3-turbo",
}
CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.safetensors.index.json", "pytorch_model.bin.index.json")
SECONDS_TO_ANSWER = 5.0


class Source(NamedTuple):
    """The place from which transformers loads a checkpoint.

    Attributes:
        name: a folder, or the `owner/name` of a repository on the hub.
        only_local: whether no file of it may be downloaded.
    """

    name: str
    only_local: bool


def checkpoint_source(name: str, options: FrontEndOptions) -> Source:
    """The place of a front-end's checkpoint: `options.weights`, else the hub, else an earlier download.

    The hub is contacted once and has five seconds to answer; transformers itself would try six times.

    Args:
        name: key of HUB_NAMES, or `owner/name`.
        options: options of the front-end.

    Raises:
        FrontEndError: the folder does not exist, or the hub does not answer and nothing was downloaded earlier.
    """
    if options.weights:
        _require_folder(options.weights)
        return Source(str(options.weights), only_local=True)
    repository = HUB_NAMES.get(name, name)
    obstacle = _obstacle(repository)
    if obstacle and not is_downloaded(repository):
        raise FrontEndError(
            f"{repository}: the hub cannot be reached ({obstacle}) and the checkpoint was not downloaded earlier; "
            "expected its local folder with --weights"
        )
    return Source(repository, only_local=bool(obstacle))


def _require_folder(weights: Path) -> None:
    """Raise FrontEndError if there is no folder of that name; transformers would look for the name on the hub."""
    if weights.is_file():
        raise FrontEndError(
            f"{weights}: a file; expected the folder of a checkpoint in the hub's format. A checkpoint of fairseq "
            "(.pt) becomes one by the conversion script of its model in transformers, "
            "convert_wav2vec2_original_pytorch_checkpoint_to_pytorch.py for wav2vec 2.0 and XLS-R"
        )
    if not weights.is_dir():
        raise FrontEndError(f"{weights}: no such folder; expected a checkpoint in the hub's format")


def is_downloaded(repository: str) -> bool:
    """Whether this machine's cache of the hub holds the configuration and the weights of a repository."""
    from huggingface_hub import try_to_load_from_cache

    def is_here(file: str) -> bool:
        return isinstance(try_to_load_from_cache(repository, file), str)

    return is_here(CONFIG) and any(map(is_here, WEIGHTS))


def _obstacle(repository: str) -> str:
    """The reason, in words, why the hub does not answer; empty if it does, whatever the answer is."""
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        get_session().head(hf_hub_url(repository, CONFIG), timeout=SECONDS_TO_ANSWER)
    except Exception as error:  # an error of the HTTP library, which differs between versions
        return (str(error) or repr(error)).splitlines()[0]
    return ""
