"""The structure of the house: one import name, and which room may import which."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "spoofcache"
ROOMS = ("common", "protocols", "features", "models", "metrics", "engine", "evaluation")
MAY_IMPORT = {
    "common": {"common"},
    "protocols": {"common", "protocols"},
    "models": {"common", "models"},
    "metrics": {"common", "metrics"},
    "features": {"common", "features", "protocols"},
    "engine": {"common", "protocols", "features", "models", "metrics", "engine"},
    "evaluation": {"common", "protocols", "features", "metrics", "engine", "evaluation"},
}
SCRIPTS = sorted(path.stem for path in ROOT.glob("*.py"))
NOT_LINKED = {"tests", "docs", "spoofcache", "demo", "cache", "runs", "scores", "build", "__pycache__"}
"""Folders of the clone, some of them ignored by git, that are no part of the package."""


def sources():
    """All our Python files, each once: the links of the package are left aside."""
    rooms = [link.resolve() for link in PACKAGE.iterdir() if link.is_dir() and link.is_symlink()]
    return [
        *ROOT.glob("*.py"),
        *PACKAGE.glob("__*__.py"),
        *(p for room in [*rooms, ROOT / "tests"] for p in room.rglob("*.py")),
    ]


def imports(path):
    """Dotted names that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def ours(path):
    """What a file imports of ours, without the package's name."""
    return {name.removeprefix("spoofcache.") for name in imports(path) if name.startswith("spoofcache.")}


def test_the_package_has_a_link_to_each_room_and_script_and_no_other():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    places = {name.partition("/")[0] for name in tracked} or {path.name for path in ROOT.iterdir()}
    rooms = {name for name in places if (ROOT / name).is_dir() and not name.startswith(".")} - NOT_LINKED
    links = {link.name: link.readlink() for link in PACKAGE.iterdir() if link.is_symlink()}
    assert set(links) == rooms | {f"{script}.py" for script in SCRIPTS}
    assert all(target == Path("..") / name for name, target in links.items())


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_uses_a_bare_name(path):
    """Neither in an import nor in a string such as a monkeypatch takes: one file must not load as two modules."""
    bare = {*SCRIPTS, *(link.name for link in PACKAGE.iterdir() if link.is_dir() and link.is_symlink())}
    assert not {name for name in imports(path) if name.partition(".")[0] in bare}
    inside = "|".join(sorted(bare))
    text = path.read_text(encoding="utf-8")
    assert not re.findall(rf"(?:setattr|import_module|\"-m\",)\s*\(?\s*f?[\"'](?:{inside})\.[a-z]", text)
    assert not re.findall(rf"(?:^|[;\n]\s*|\bimport [\w, ]*)import (?:{inside})\b", text)


def test_no_bare_name_is_loaded():
    bare = {*SCRIPTS, *ROOMS, "tools", "configs", "benchmarks"}
    assert not bare & set(sys.modules)


def test_no_file_changes_the_search_path():
    for path in sources():
        if path != Path(__file__).resolve():
            assert "sys.path.insert" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_it_may(room):
    for path in (ROOT / room).rglob("*.py"):
        used = {name.partition(".")[0] for name in ours(path)}
        assert used <= MAY_IMPORT[room], path


def test_only_extraction_reaches_the_front_ends():
    allowed = {"preprocess.py", "detect.py", "features/extract.py", "features/online.py"}
    for path in [*ROOT.glob("*.py"), *(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))]:
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("features/frontends/") and name not in allowed:
            assert not any(used.startswith("features.frontends") for used in ours(path)), name


@pytest.mark.parametrize(
    ("room", "library"),
    [("protocols", "numpy"), ("protocols", "torch"), ("models", "h5py"), ("metrics", "torch"), ("metrics", "h5py")],
)
def test_a_room_does_without_that_library(room, library):
    for path in (ROOT / room).rglob("*.py"):
        assert library not in {name.partition(".")[0] for name in imports(path)}, path
