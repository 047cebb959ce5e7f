"""A call of a public function is compared with the annotations of the function."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from spoofcache.common.arguments import ArgumentError, check_fields, checked, real_array


@checked
def paint(
    wall: Path | str, coats: int = 1, thickness: float = 0.5, name: str = "", done: bool = False,
    shape: tuple[int, ...] = (), how: Literal["brush", "roll"] = "brush", after: Callable[[], None] | None = None,
    tools: Sequence[str] = (), colours: Mapping[str, str] | None = None, anything: Any = None,
) -> tuple[Any, ...]:  # fmt: skip
    return wall, coats, shape


@pytest.mark.parametrize("wall", ["a/b", Path("a/b")])
def test_a_text_is_a_path_and_numbers_of_numpy_are_numbers(wall):
    assert paint(wall, np.int64(2), np.float32(1), done=np.True_, shape=[np.int32(3), 4]) == (Path("a/b"), 2, (3, 4))
    assert paint(wall, thickness=1, how="roll", tools=["brush"], colours={}, after=print)[1] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"wall": None}, "paint with wall None (NoneType); expected a path"),
        ({"wall": b"a"}, "paint with wall b'a' (bytes); expected a path"),
        ({"wall": "a\0b"}, "paint with wall 'a\\x00b'; expected a path without NUL characters"),
        ({"coats": 1.5}, "paint with coats 1.5 (float); expected a whole number"),
        ({"coats": True}, "paint with coats True (bool); expected a whole number"),
        ({"thickness": "1"}, "paint with thickness '1' (str); expected a number"),
        ({"name": 3}, "paint with name 3 (int); expected a text"),
        ({"done": 1}, "paint with done 1 (int); expected True or False"),
        ({"shape": 3}, "paint with shape 3 (int); expected a tuple, each element a whole number"),
        ({"shape": (3, "4")}, "paint with shape (3, '4') (tuple); expected a tuple, each element a whole number"),
        ({"how": "spray"}, "paint with how 'spray' (str); expected 'brush' or 'roll'"),
        ({"after": 3}, "paint with after 3 (int); expected a function or None"),
        ({"tools": "brush"}, "paint with tools 'brush' (str); expected a sequence"),
        ({"colours": []}, "paint with colours [] (list); expected a mapping or None"),
        ({"name": ["x" * 90]}, f"paint with name ['{'x' * 58}… (list); expected a text"),
    ],
)
def test_an_argument_of_another_type_is_named(arguments, sentence):
    with pytest.raises(ArgumentError) as refusal:
        paint(**{"wall": "a"} | arguments)
    assert str(refusal.value) == sentence


def test_a_wrong_number_of_arguments_is_what_python_says():
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'wall'"):
        paint()


@dataclass(frozen=True)
class Room:
    wall: Path | None = None
    doors: int = 1

    def __post_init__(self) -> None:
        check_fields(self)


def test_the_attributes_of_a_dataclass_are_checked_alike():
    assert Room("a").wall == Path("a")
    with pytest.raises(ArgumentError, match=r"Room with doors '2' \(str\); expected a whole number"):
        Room(doors="2")


@pytest.mark.parametrize("values", [[1, 2.5], np.arange(3), torch.ones(2), [[1], [2]], (), range(3)])
def test_numbers_become_an_array(values):
    np.testing.assert_array_equal(real_array(values, "scores"), np.asarray(values))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("0.5", "scores of type <U3; expected numbers"),
        (["0.5", "1"], "scores of type <U3; expected numbers"),
        ([None, 1], "scores of type object; expected numbers"),
        ([True, False], "scores of type bool; expected numbers"),
        ([1j], "scores of type complex128; expected numbers"),
        ([[1], [1, 2]], "scores cannot be converted to an array"),
        (torch.ones(2, requires_grad=True), "scores cannot be converted to an array"),
        (np.ma.masked_equal([1, 2], 2), "scores with masked elements; expected numbers without a mask"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(values, sentence):
    with pytest.raises(ArgumentError, match=f"^{sentence}"):
        real_array(values, "scores")
