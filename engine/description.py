"""Types of the fields in `model.json`, which anyone can edit."""

from collections.abc import Mapping
from typing import Any


def require_types(fields: Mapping[str, Any]) -> None:
    """TypeError for a field of a description that has another type than `About` says."""
    texts, tables = ("backend", "loss", "weights_sha256"), ("settings", "identity", "class_index", "versions", "data")
    kinds: dict[str, Any] = dict.fromkeys(texts, str) | dict.fromkeys(
        (*tables, "loss_settings", "plugins", "speech_model"), Mapping
    )
    for name, kind in kinds.items():
        if name in fields and not isinstance(fields[name], kind):
            raise TypeError(f"{name} is {str(fields[name])[:80]!r}")
    shape, trained_on = fields["feature_shape"], fields.get("trained_on", ())
    if not (isinstance(shape, list | tuple) and all(type(size) is int and size > 0 for size in shape)):
        raise TypeError(f"feature_shape is {str(shape)[:80]!r}")
    if not (isinstance(trained_on, list | tuple) and all(isinstance(name, str) for name in trained_on)):
        raise TypeError(f"trained_on is {str(trained_on)[:80]!r}")
