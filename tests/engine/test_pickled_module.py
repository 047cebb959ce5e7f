"""Whole modules that were pickled: their weights are read, and nothing in the file is ever called."""

import builtins
import functools
import operator
import os
import pickle
import re
import runpy
import subprocess
import sys
import types
import zipfile

import pytest
import torch
from torch import nn

from spoofcache.engine.about import RunError
from spoofcache.engine.foreign import load_foreign
from spoofcache.engine.foreign_entries import Choice, read_entries
from spoofcache.models import BACKENDS
from tests.corpora import IDENTITY
from tests.recipe import fill, ssl_last

SHAPE = (201, 1024)


@pytest.fixture
def their_module(monkeypatch):
    """`their_module(LCNN)`: a subclass in a module of the authors, which can be imported until `.forget()`."""
    module = types.ModuleType("authors_network")
    monkeypatch.setitem(sys.modules, "authors_network", module)

    def make(base):
        kind = type(base.__name__, (base,), {"__module__": "authors_network"})
        setattr(module, base.__name__, kind)
        return kind

    make.forget = lambda: monkeypatch.delitem(sys.modules, "authors_network")
    return make


@pytest.fixture
def entries(tmp_path):
    """`entries(content)`: the tensors in a file of torch.save with that content."""

    def read(content):
        torch.save(content, tmp_path / "theirs.pt")
        return read_entries(tmp_path / "theirs.pt", Choice(), ()).weights

    return read


@pytest.mark.parametrize("wrap", [lambda net: net, nn.DataParallel, lambda net: {"model": net, "epoch": 3}])
def test_the_published_lcnn_is_read_from_its_pickled_module_without_its_class(their_module, wrap, tmp_path):
    net = fill(their_module(type(BACKENDS["lcnn"](SHAPE)))(SHAPE))
    torch.save(wrap(net), tmp_path / "anti-spoofing_feat_model.pt")
    their_module.forget()
    model = load_foreign(tmp_path / "anti-spoofing_feat_model.pt", "lcnn", SHAPE, IDENTITY).model
    with torch.no_grad():
        assert torch.equal(model(ssl_last()).logits, net(ssl_last()).logits)


class Unusual(nn.Module):
    """Everything that decides which tensors a state dict has."""

    def __init__(self):
        super().__init__()
        self.first, self.again = nn.Linear(3, 3), None
        self.again = self.first  # shared, under two names
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("passing", torch.ones(2), persistent=False)
        self.register_parameter("absent", None)
        self.blocks = nn.ModuleList([nn.BatchNorm1d(3), nn.GRU(3, 2)])
        self.table = nn.ParameterDict({"a": torch.ones(1)})
        self.activation, self.dtype, self.names = nn.functional.relu, torch.float16, {"x", "y"}
        self.plain = torch.ones(5)


def test_the_tensors_are_those_of_the_state_dict(entries):
    module = Unusual()
    expected, found = module.state_dict(), entries({"net": module})
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in found)
    assert not any(tensor.requires_grad for tensor in found.values())


class Reduced:
    """An object whose pickle is a call."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.fixture
def marker(tmp_path):
    """A file that hostile code would write."""
    path = tmp_path / "it_ran"
    yield path
    assert not path.exists()


def attacks(marker):
    """What hostile pickles call, with arguments that would leave the marker."""
    write = f"open({str(marker)!r}, 'w').close()"
    return {
        "os.system": Reduced(os.system, f"touch {marker}"),
        "eval": Reduced(builtins.eval, write),
        "exec": Reduced(builtins.exec, write),
        "open": Reduced(builtins.open, str(marker), "w"),
        "subprocess": Reduced(subprocess.check_call, ["touch", str(marker)]),
        "runpy": Reduced(runpy.run_path, str(marker)),
        "import": Reduced(builtins.__import__, "os"),
        "getattr": Reduced(builtins.getattr, Reduced(builtins.__import__, "os"), "system"),
        "chain": Reduced(operator.methodcaller, "system", Reduced(operator.attrgetter, "os")),
        "partial": Reduced(functools.partial, os.system, f"touch {marker}"),
        "reduce": Reduced(functools.reduce, os.system, [f"touch {marker}", ""]),
        "pickle": Reduced(pickle.loads, pickle.dumps(Reduced(os.system, f"touch {marker}"))),
        "torch.load": Reduced(torch.load, str(marker)),
        "torch.hub": Reduced(torch.hub.load, str(marker)),
        "rebuilt": Reduced(torch._tensor._rebuild_from_type_v2, os.system, torch.Tensor, (f"touch {marker}",), {}),
        "enum": Reduced(type, "Sneaky", (), {}),
    }


NAMES = tuple(attacks("x"))


def in_module(attack):
    module = nn.Linear(2, 2)
    module.hook = attack
    return module


@pytest.mark.parametrize("place", [lambda each: each, lambda each: {"w": torch.ones(1), "x": [each]}, in_module])
@pytest.mark.parametrize("name", NAMES)
def test_calls_are_never_made_and_refused_in_a_sentence(name, place, entries, marker):
    with pytest.raises(RunError) as refusal:
        entries(place(attacks(marker)[name]))
    sentence = str(refusal.value)
    assert re.search(r"theirs\.pt: (unpickling it would call|holds a pickled) [\w.]+, ", sentence)
    assert sentence.count("\n") == 0
    assert "expected a state dict, exported by torch.save(model.state_dict(), …)" in sentence


class Stateful:
    """An object whose state is set by code of its class."""

    def __setstate__(self, state):
        raise AssertionError("the class was used")


def test_no_class_of_the_file_is_used_even_where_it_can_be_imported(entries):
    module = nn.Linear(2, 2)
    module.hook = Stateful()
    module.hook.x = 1
    assert list(entries(module)) == ["weight", "bias"]


def rewrite(path, data):
    """A file of torch.save whose pickle is replaced by these bytes."""
    torch.save({"w": torch.ones(1)}, path)
    with zipfile.ZipFile(path) as file:
        records = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, record in records.items():
            file.writestr(name, data if name.endswith("data.pkl") else record)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02}r\xf0\xff\xff\xff.",  # a place in the memo of 4 thousand million
        b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00echo\x85R.",
        b"\x80\x02cposix\nsystem\n(X\x04\x00\x00\x00echotR.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",  # the instruction for names on the stack
        b"\x80\x02(ios\nsystem\n.",  # the instruction that creates objects of old classes
        b"\x80\x02X\xff\xff\xff\x7f.",  # a text longer than the file
        b"\x80\x02}h\x07.",
        b"\x80\x02",
        b"",
    ],
)
def test_pickles_written_by_hand_are_refused(data, tmp_path):
    rewrite(tmp_path / "theirs.pt", data)
    with pytest.raises(RunError, match=r"theirs\.pt: .*; expected "):
        read_entries(tmp_path / "theirs.pt", Choice(), ())


def test_trees_that_grow_without_end_are_refused(entries):
    knot = nn.Module()
    knot._modules["x"] = knot
    with pytest.raises(RunError, match="more than 100000 modules, or 64 within each other"):
        entries(knot)
    wide = nn.Linear(2, 2)
    for _ in range(25):  # 2^25 modules by their names, in a file of a few kilobytes
        parent = nn.Module()
        parent._modules.update(a=wide, b=wide)
        wide = parent
    with pytest.raises(RunError, match="more than 100000 modules"):
        entries(wide)


def test_tables_that_contain_each_other_are_read_once(entries):
    table = {"w": torch.ones(1)}
    table["self"] = table
    for _ in range(12):
        table = {str(number): table for number in range(12)}
    with pytest.raises(RunError, match="no state dict in it"):
        entries(table)
