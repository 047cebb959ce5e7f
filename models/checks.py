"""The sentences for shapes of features and for settings that a back-end cannot take."""

from collections.abc import Collection


def require_frames(
    backend: str, feature_shape: tuple[int, ...], frames: int = 1, coefficients: int = 1
) -> tuple[int, int]:
    """(T, D) of features [T, D] with at least that many frames and coefficients.

    Raises:
        ValueError: other than two axes, or too short an axis.
    """
    if len(feature_shape) != 2 or feature_shape[0] < frames or feature_shape[1] < coefficients:
        least = f"T at least {frames} and D at least {coefficients}"
        raise ValueError(f"{backend} on features of shape {feature_shape}; expected (T, D), {least}")
    return feature_shape[0], feature_shape[1]


def require_rate(backend: str, setting: str, rate: float) -> None:
    """A dropout rate.

    Raises:
        ValueError: not in [0, 1).
    """
    if not 0 <= rate < 1:
        raise ValueError(f"{backend} with {setting} {rate}; expected 0 ≤ {setting} < 1")


def require_groups(backend: str, channels: int, groups: int, of: str = "channels") -> None:
    """Channels (or what `of` names) that split evenly.

    Raises:
        ValueError: none, or not a multiple of the groups.
    """
    if channels < groups or channels % groups:
        raise ValueError(f"{backend} with {channels} {of}; expected a multiple of {groups}")


def require_choice(backend: str, setting: str, value: object, choices: Collection[object]) -> None:
    """A setting with a few values.

    Raises:
        ValueError: not one of the choices.
    """
    if value not in choices:
        raise ValueError(f"{backend} with {setting} {value!r}; expected one of {', '.join(map(str, choices))}")
