"""Builds the network of a run: the back-end, and the objective that it is trained with."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from spoofcache.engine.about import About, RunError, find_registered, first_line
from spoofcache.models import BACKENDS
from spoofcache.models.losses import LOSSES
from spoofcache.models.objective import Objective
from spoofcache.models.output import BackendOutput, require_output
from spoofcache.protocols.trial import CLASS_INDEX

OBJECTIVE = "objective."
"""Prefix of the objective's tensors in the state dict. Those of the back-end have no prefix."""

SPEECH_MODEL = "speech_model."
"""Prefix of the tensors of the trainable part of the speech model in the state dict."""


class Countermeasure(nn.Module):
    """A back-end with the objective that it is trained with: features [B, …] → BackendOutput, and its score [B].

    In fine-tuning, features pass through `speech_model`, the trainable part of the speech model, before the back-end.

    In the state dict, the back-end's tensors keep their own names, so that files of weights have the same names as
    those of the back-end alone. The tensors of the objective are called `objective.…`.
    """

    def __init__(self, backend: nn.Module, objective: Objective, speech_model: nn.Module | None = None) -> None:
        super().__init__()
        self.speech_model, self.backend, self.objective = speech_model, backend, objective
        self.register_state_dict_post_hook(_without_prefix)
        self.register_load_state_dict_pre_hook(_with_prefix)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        if self.speech_model is not None:
            features = self.speech_model(features)
        output: BackendOutput = self.backend(features)
        return output

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that are trained, by name."""
        return {name: each for name, each in self.named_parameters() if each.requires_grad}

    def score(self, output: BackendOutput) -> torch.Tensor:
        """The objective's countermeasure score [B] in float32. A higher score means more likely bona fide."""
        return self.objective.score(output)


def _without_prefix(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name in list(state):  # every one is renamed or put back, which keeps their order
        state[name.removeprefix(f"{prefix}backend.")] = state.pop(name)


def _with_prefix(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name in list(state):
        if not name.startswith(_kept_prefixes(module)):
            state[f"backend.{name}"] = state.pop(name)


def _kept_prefixes(module: nn.Module) -> tuple[str, ...]:
    """The prefixes of all entries that do not belong to the back-end, which may have a `speech_model` of its own."""
    return (OBJECTIVE,) if getattr(module, "speech_model", None) is None else (OBJECTIVE, SPEECH_MODEL)


def build_backend(name: str, feature_shape: tuple[int, ...], settings: Mapping[str, Any]) -> nn.Module:
    """Build the back-end with a registry name, or `package.module:Name`, for features of the given shape.

    Raises:
        RunError: there is no such name, or the back-end does not accept the shape or the settings.
    """
    make = find_registered("back-end", name, BACKENDS)
    try:
        return make(feature_shape, **settings)
    except ValueError as error:
        raise RunError(str(error)) from error
    except (TypeError, ArithmeticError, MemoryError, RuntimeError) as error:  # also of sizes that exceed the memory
        raise RunError(f"back-end {name} with settings {dict(settings)}: {first_line(error)}") from error


def build_countermeasure(
    about: About, class_weights: torch.Tensor | None = None, encoder: nn.Module | Callable[[], nn.Module] | None = None
) -> Countermeasure:
    """Build the network and the objective of a description, with random weights.

    Args:
        about: the description, whose `epoch` and dev figures are not used.
        class_weights: the weights [2] of the classes in the loss, by class index. Scores do not depend on them.
        encoder: the trainable part of the speech model, or a function that makes it. The function is called after the
            back-end was built, so that the random weights of the back-end are the same with and without an encoder.
            None if `about` has no encoder.

    Raises:
        RunError: a name is unknown, or settings or the feature shape are not accepted.
    """
    spec = about.encoder
    shape = spec.output_shape(about.feature_shape) if spec else about.feature_shape
    backend = build_backend(about.backend, shape, about.settings)
    size = _embedding_size(about.backend, backend, shape)
    try:
        weights = torch.ones(len(CLASS_INDEX)) if class_weights is None else class_weights
        objective = find_registered("loss", about.loss, LOSSES)(weights, size, **about.loss_settings)
    except ValueError as error:
        raise RunError(str(error)) from error
    except (TypeError, ArithmeticError, MemoryError, RuntimeError) as error:
        raise RunError(f"loss {about.loss} with settings {dict(about.loss_settings)}: {first_line(error)}") from error
    made = encoder if encoder is None or isinstance(encoder, nn.Module) else encoder()
    return Countermeasure(backend, objective, made)


def _embedding_size(name: str, backend: nn.Module, feature_shape: tuple[int, ...]) -> int:
    """The size E of the embeddings [B, E], determined by a forward pass of two utterances of zeros.

    Raises:
        RunError: The back-end cannot compute such features, or returns something other than a BackendOutput.
    """
    try:
        with torch.no_grad():
            output = backend.eval()(torch.zeros(2, *feature_shape))
    except Exception as error:  # whatever a back-end of the user's own raises
        raise RunError(f"back-end {name} on features [2, …] of shape {feature_shape}: {first_line(error)}") from error
    try:
        return require_output(f"back-end {name}", output, batch=2).embedding.shape[1]
    except ValueError as error:
        raise RunError(str(error)) from error
