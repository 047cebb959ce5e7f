"""Find the speech model that a published checkpoint holds beside its back-end, and rename its weights."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from spoofcache.engine.about import RunError
from spoofcache.engine.countermeasure import SPEECH_MODEL
from spoofcache.features.encoder import EncoderSpec, encoder_name, library_name_of
from spoofcache.features.fairseq import (
    LAST_NORM,
    MASK,
    PRETRAINING,
    Found,
    fairseq_name,
    find_speech_models,
    library_name,
)

OPTIONAL = (MASK, LAST_NORM)
"""Prefixes, in transformers, of the names of weights that not every network needs."""


class SpeechEntries(NamedTuple):
    """The entries of a checkpoint that belong to a speech model, and all other entries.

    Attributes:
        weights: tensors by their names in the network, of which each begins with SPEECH_MODEL.
        rest: the other tensors of the checkpoint, by their names there.
        ignored: names in the checkpoint of tensors of the speech model that the network does without.
        names: names in the network → names in the checkpoint, also of weights that it lacks.
    """

    weights: dict[str, torch.Tensor]
    rest: dict[str, torch.Tensor]
    ignored: tuple[str, ...]
    names: dict[str, str]


def take_speech_model(
    path: Path, state: Mapping[str, torch.Tensor], spec: EncoderSpec, expected: Iterable[str], prefix: str
) -> SpeechEntries:
    """Separate the speech model's weights from the others.

    Tensors that only pre-training uses are ignored, and so is the normalisation behind the blocks where the back-end
    does not get the last hidden state. All other weights are returned, whether the network has them or not.

    Args:
        path: the checkpoint, for messages.
        state: its tensors.
        spec: the description of the speech model in the network.
        expected: names of the speech model's weights in the network.
        prefix: what the names of the whole network begin with, where the checkpoint holds several of them; or empty.

    Raises:
        RunError: the checkpoint holds no speech model, or several of them.
    """
    found = _only_one(path, find_speech_models(state), prefix)
    known, weights, names, ignored, rest = set(expected), {}, {}, [], {}
    for place in known:
        names[place] = _in_checkpoint(place, found)
    for name, tensor in state.items():
        inside = name.removeprefix(found.prefix)
        place = SPEECH_MODEL + encoder_name(library_name(inside), spec.norm_first)
        is_unused = inside.startswith(PRETRAINING) or (library_name(inside).startswith(OPTIONAL) and place not in known)
        # without a prefix, the back-end's weights stand beside those of the speech model
        if not name.startswith(found.prefix) or not (found.prefix or is_unused or place in known):
            rest[name] = tensor
        elif is_unused:
            ignored.append(name)
        else:
            weights[place], names[place] = tensor, name
    return SpeechEntries(weights, rest, tuple(ignored), names)


def _only_one(path: Path, found: Sequence[Found], prefix: str) -> Found:
    fitting = [each for each in found if each.prefix.startswith(prefix)] if len(found) > 1 else found
    if len(fitting) == 1:
        return fitting[0]
    if not found:
        raise RunError(
            f"{path}: no speech model in it, and a back-end alone takes the features of a front-end; expected "
            "--features or --frontend"
        )
    raise RunError(
        f"{path}: holds several speech models; expected --prefix {' or '.join(each.prefix for each in found)}"
    )


def _in_checkpoint(place: str, found: Found) -> str:
    """The name in the checkpoint of a weight of the network."""
    name = library_name_of(place.removeprefix(SPEECH_MODEL))
    return found.prefix + (fairseq_name(name) if found.is_fairseq else name)
