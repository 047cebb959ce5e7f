"""Checks that every back-end shares: the shape of its features and the values of its settings."""

from collections.abc import Collection, Sequence
from functools import wraps
from types import FunctionType
from typing import Any, cast

import torch
from torch import nn

from spoofcache.common.errors import InputError


def require_frames(
    backend: str, feature_shape: tuple[int, ...], frames: int = 1, coefficients: int = 1
) -> tuple[int, int]:
    """Return (T, D) of features [T, D] that have at least that many frames and coefficients.

    Raises:
        ValueError: The features do not have two axes, or one of them is too short.
    """
    if len(feature_shape) != 2 or feature_shape[0] < frames or feature_shape[1] < coefficients:
        least = f"T at least {frames} and D at least {coefficients}"
        raise ValueError(f"{backend} on features of shape {feature_shape}; expected (T, D), {least}")
    return feature_shape[0], feature_shape[1]


def require_rate(backend: str, setting: str, rate: float) -> None:
    """Check that a dropout rate lies in [0, 1).

    Raises:
        ValueError: The rate lies outside.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"{backend} with {setting} {rate}; expected 0 ≤ {setting} < 1")


def require_groups(backend: str, channels: int, groups: int, of: str = "channels") -> None:
    """Check that the channels (or whatever `of` names) can be split into groups of equal size.

    Raises:
        ValueError: There are fewer channels than groups, or their number is not a multiple of the groups.
    """
    if channels < groups or channels % groups:
        raise ValueError(f"{backend} with {channels} {of}; expected a multiple of {groups}")


def require_choice(backend: str, setting: str, value: object, choices: Collection[object]) -> None:
    """Check that a setting has one of the values it may have.

    Raises:
        ValueError: The value is not among the choices.
    """
    if value not in choices:
        raise ValueError(f"{backend} with {setting} {value!r}; expected one of {', '.join(map(str, choices))}")


CHECKS = "checks_shape"
"""Attribute of a forward pass that checks the shape of its features."""


class ShapeError(InputError):
    """A back-end cannot take features of that shape or type."""


def hold_to_shape(backend: type[nn.Module]) -> None:
    """Make a class of back-ends refuse features [B, …] of any other shape than the one that it was built for.

    A convolution or a pooling computes something from features of another shape, too, so that the mistake would go
    unnoticed or end in an error about matrices.
    """
    build = backend.__init__

    @wraps(build)
    def build_and_note(self: nn.Module, feature_shape: tuple[int, ...], *args: Any, **settings: Any) -> None:
        shape = _shape(backend.__name__, feature_shape)
        build(self, shape, *args, **settings)
        vars(self)["feature_shape"] = shape  # if the class derives from another back-end, that one has noted its own

    backend.__init__ = build_and_note  # type: ignore[method-assign]
    if not hasattr(backend.forward, CHECKS):  # a class that derives from another back-end may have its forward pass
        _check_before(backend)


def _check_before(backend: type[nn.Module]) -> None:
    compute = backend.forward

    @wraps(compute)
    def check_and_compute(self: nn.Module, features: torch.Tensor, *args: Any) -> Any:
        if type(self).forward is check_and_compute:  # else a derived class has checked its own shape
            _require_shape(type(self).__name__, features, vars(self)["feature_shape"])
        return compute(self, features, *args)

    function = cast(FunctionType, check_and_compute)
    # a code object of its own, because the compiler counts its attempts by code object
    function.__code__ = function.__code__.replace(co_name=f"forward_of_{backend.__name__}")
    setattr(function, CHECKS, True)
    backend.forward = check_and_compute


def _shape(backend: str, given: object) -> tuple[int, ...]:
    is_shape = isinstance(given, Sequence) and all(isinstance(n, int) and type(n) is not bool and n > 0 for n in given)
    if not is_shape:
        raise ShapeError(f"{backend} on features of shape {given!r}; expected a tuple of positive whole numbers")
    return tuple(given)  # type: ignore[arg-type]


def _require_shape(backend: str, features: object, expected: tuple[int, ...]) -> None:
    if not isinstance(features, torch.Tensor) or not features.is_floating_point():
        found = features.dtype if isinstance(features, torch.Tensor) else type(features).__name__
        raise ShapeError(f"{backend} on features of type {found}; expected a tensor of floating-point numbers")
    if features.ndim == 0 or features.shape[1:] != expected:
        raise ShapeError(
            f"{backend} on features of shape {tuple(features.shape)}; expected (B, {', '.join(map(str, expected))})"
        )
