"""The arrows of the house: who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("protocols", "features", "models", "metrics", "engine")
MAY_IMPORT = {
    "protocols": {"protocols"},
    "models": {"models"},
    "metrics": {"metrics"},
    "features": {"features", "protocols"},
    "engine": set(ROOMS),
}


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_it_may(room):
    for path in (ROOT / room).rglob("*.py"):
        used = {name.partition(".")[0] for name in imports(path)} & {*ROOMS, "cli", "tools"}
        assert used <= MAY_IMPORT[room], path


def test_only_extraction_reaches_the_front_ends():
    allowed = {"preprocess.py", "detect.py", "features/extract.py", "features/online.py"}
    for path in [*ROOT.glob("*.py"), *(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))]:
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("features/frontends/") and name not in allowed:
            assert not any(used.startswith("features.frontends") for used in imports(path)), name


@pytest.mark.parametrize(
    ("room", "library"),
    [("protocols", "numpy"), ("protocols", "torch"), ("models", "h5py"), ("metrics", "torch"), ("metrics", "h5py")],
)
def test_a_room_does_without_that_library(room, library):
    for path in (ROOT / room).rglob("*.py"):
        assert library not in {name.partition(".")[0] for name in imports(path)}, path
