"""Build a network of SpoofCache from a checkpoint that others published. No code in the checkpoint is executed."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from spoofcache.engine.about import FORMAT_VERSION, About, RunError, versions
from spoofcache.engine.countermeasure import Countermeasure, build_countermeasure
from spoofcache.engine.foreign_entries import COUNTER, Choice, read_entries
from spoofcache.features.encoder import EncoderSpec, rebuild_encoder
from spoofcache.features.plan import Identity
from spoofcache.models.losses import LOG_ODDS
from spoofcache.protocols.trial import CLASS_INDEX

HEAR_WAVEFORMS = ("aasist", "aasist_l", "rawnet2")
"""Back-ends that read waveforms. A checkpoint of any other back-end does not state which front-end it needs."""

SHOWN = 12
"""Number of entries that a message names."""


@dataclass(frozen=True)
class ForeignSettings:
    """What the user must add, since a checkpoint does not state it.

    Attributes:
        settings: settings of the back-end.
        bonafide_index: class index of bona fide in the checkpoint. If it is 0, the two output rows are swapped.
        choice: which entries of the checkpoint belong to the network.
        speech_model: the speech model that the checkpoint holds beside the back-end; None if it holds none.
        score: a key of `models.losses.SCORES`.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    bonafide_index: int = 1
    choice: Choice = field(default_factory=Choice)
    speech_model: EncoderSpec | None = None
    score: str = LOG_ODDS


class Imported(NamedTuple):
    """A network in evaluation mode on the CPU, its description, and the ignored entries of the checkpoint."""

    model: Countermeasure
    about: About
    ignored: tuple[str, ...]

    @property
    def note(self) -> str:
        """A sentence that names the ignored entries; empty if there are none."""
        if not self.ignored:
            return ""
        shown = ", ".join(self.ignored[:SHOWN]) + (", …" if len(self.ignored) > SHOWN else "")
        noun = "entry" if len(self.ignored) == 1 else "entries"
        return f"Ignored {len(self.ignored)} {noun} of the checkpoint outside the network: {shown}"


def load_foreign(
    path: Path | str,
    backend: str,
    feature_shape: tuple[int, ...],
    identity: Identity,
    given: ForeignSettings = ForeignSettings(),
) -> Imported:
    """Build a back-end, or a speech model with its back-end, with the weights of a published checkpoint.

    Args:
        path: the checkpoint. It holds the entries of a network, alone or among other things that a trainer stored.
        backend: registry name of the back-end.
        feature_shape: shape of the features of one utterance; with a speech model, that of a waveform.
        identity: identity of the features that the network was trained on.
        given: what the checkpoint does not state.

    Raises:
        RunError: the file does not contain exactly that network, or there are no two output rows to swap.
    """
    path = Path(path)
    about = About(
        format_version=FORMAT_VERSION,
        backend=backend,
        settings=dict(given.settings),
        feature_shape=tuple(feature_shape),
        identity=identity.settings,
        class_index=dict(CLASS_INDEX),
        epoch=None,
        dev_eer=None,
        dev_loss=None,
        versions=versions() | {"imported_from": f"{path.name} (SHA-256 {_sha256(path)})"},
        loss_settings={} if given.score == LOG_ODDS else {"score": given.score},
        speech_model={} if given.speech_model is None else asdict(given.speech_model),
    )
    encoder = None if given.speech_model is None else rebuild_encoder(given.speech_model, None)
    model = build_countermeasure(about, encoder=encoder)
    expected = model.state_dict()
    weights, ignored, names = read_entries(path, given.choice, expected, given.speech_model)
    weights |= {name: tensor for name, tensor in expected.items() if name.endswith(COUNTER) and name not in weights}
    output = output_layer(model.backend)
    what = backend if given.speech_model is None else f"{backend} with {given.speech_model.name or 'its speech model'}"
    _require_fit(Fit(weights, expected, names), output, f"{path}: not the weights of {what}")
    model.load_state_dict(weights)
    if given.bonafide_index != CLASS_INDEX["bonafide"]:
        _swap_outputs(model, output, backend)
    return Imported(model.eval(), about, ignored)


class OutputLayer(NamedTuple):
    """The layer whose two rows are the logits, and its name in the network."""

    name: str
    layer: nn.Linear


def output_layer(model: nn.Module) -> OutputLayer | None:
    """Return the last linear layer with two outputs; None if the network has a single logit."""
    pairs = [
        OutputLayer(name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == len(CLASS_INDEX)
    ]
    return pairs[-1] if pairs else None


def _swap_outputs(model: nn.Module, output: OutputLayer | None, backend: str) -> None:
    """Swap the rows of the output layer, and the classes in the layers that are applied to the logits after it."""
    if output is None:
        raise RunError(f"{backend} has a single output, so no classes to swap; expected --bonafide-index 1")
    modules = list(model.modules())
    behind = modules[modules.index(output.layer) + 1 :]
    on_logits = [module for module in behind if getattr(module, "num_features", None) == len(CLASS_INDEX)]
    with torch.no_grad():
        for module in (output.layer, *on_logits):
            for tensor in (*module.parameters(), *module.buffers()):
                if tensor.dim():
                    tensor.copy_(tensor.flip(0))


class Fit(NamedTuple):
    """Tensors that were found and those of the network, and names in the network → names to show."""

    weights: Mapping[str, torch.Tensor]
    expected: Mapping[str, torch.Tensor]
    names: Mapping[str, str]


def _require_fit(fit: Fit, output: OutputLayer | None, what: str) -> None:
    """Raise RunError, whose message begins with `what`, unless all names and shapes match and all values are finite."""
    weights, expected, names = fit
    problems = {
        "missing": [name for name in expected if name not in weights],
        "unexpected": [name for name in weights if name not in expected],
        "of another shape": [
            f"{names.get(name, name)} {tuple(weights[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if name in weights and weights[name].shape != tensor.shape
        ],
        "not finite": [name for name, tensor in weights.items() if not tensor.isfinite().all()],
    }
    found = [
        f"{len(which)} {problem} ({', '.join(names.get(name, name) for name in which[:3])}{', …' * (len(which) > 3)})"
        for problem, which in problems.items()
        if which
    ]
    if output and {f"{output.name}.weight", f"{output.name}.bias"} == set(problems["missing"]):
        found.append(f"{output.name} is the 2-class output, without which bona fide and spoof cannot be distinguished")
    if [problem for problem, which in problems.items() if which] == ["unexpected"]:
        found.append("--drop PREFIX ignores the entries whose names begin with PREFIX")
    if found:
        raise RunError(f"{what}: {'; '.join(found)}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
