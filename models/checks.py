"""Checks that every back-end shares: the shape of its features and the values of its settings."""

from collections.abc import Collection


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
