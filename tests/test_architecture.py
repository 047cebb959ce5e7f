"""The structure of the code: one import name, and which package may import which."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spoofcache.common.children import child_environment

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "spoofcache"
PACKAGES = ("common", "protocols", "features", "models", "metrics", "engine", "evaluation")
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
    """All our Python files, each once: the links in spoofcache/ are not followed."""
    packages = [link.resolve() for link in PACKAGE.iterdir() if link.is_dir() and link.is_symlink()]
    return [
        *ROOT.glob("*.py"),
        *PACKAGE.glob("__*__.py"),
        *(p for package in [*packages, ROOT / "tests"] for p in package.rglob("*.py")),
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


def test_spoofcache_has_a_link_to_each_package_and_script_and_no_other():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    places = {name.partition("/")[0] for name in tracked} or {path.name for path in ROOT.iterdir()}
    packages = {name for name in places if (ROOT / name).is_dir() and not name.startswith(".")} - NOT_LINKED
    links = {link.name: link.readlink() for link in PACKAGE.iterdir() if link.is_symlink()}
    assert set(links) == packages | {f"{script}.py" for script in SCRIPTS}
    assert all(target == Path("..") / name for name, target in links.items())


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_uses_a_bare_name(path):
    """Neither in an import nor in a string such as a monkeypatch takes: one file must not load as two modules."""
    bare = {*SCRIPTS, *(link.name for link in PACKAGE.iterdir() if link.is_dir() and link.is_symlink())}
    assert not {name for name in imports(path) if name.partition(".")[0] in bare}
    inside = "|".join(sorted(bare))
    text = path.read_text(encoding="utf-8")
    assert not re.findall(
        rf"(?:setattr|delattr|import_module|patch|__import__|\"-m\",)\s*\(?\s*f?[\"'](?:{inside})\b[.\"']", text
    )
    assert not re.findall(rf"(?:^|[;\n]\s*|\bimport [\w, ]*)import (?:{inside})\b", text)


def test_no_bare_name_is_loaded():
    bare = {*SCRIPTS, *PACKAGES, "tools", "configs", "benchmarks"}
    assert not bare & set(sys.modules)


def test_no_file_changes_the_search_path():
    for path in sources():
        if path != Path(__file__).resolve():
            assert "sys.path.insert" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_the_packages_that_it_may(package):
    for path in (ROOT / package).rglob("*.py"):
        used = {name.partition(".")[0] for name in ours(path)}
        assert used <= MAY_IMPORT[package], path


def test_only_extraction_reaches_the_front_ends():
    names = ("options", "request", "extract", "tasks", "estimate", "online", "encoder", "extracting", "preprocessing")
    extraction = {f"features/{name}.py" for name in names}
    allowed = {"preprocess.py", "detect.py", *extraction}
    for path in [*ROOT.glob("*.py"), *(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))]:
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("features/frontends/") and name not in allowed:
            assert not any(used.startswith("features.frontends") for used in ours(path)), name


@pytest.mark.parametrize(
    ("package", "library"),
    [("protocols", "numpy"), ("protocols", "torch"), ("models", "h5py"), ("metrics", "torch"), ("metrics", "h5py")],
)
def test_a_package_never_imports_that_library(package, library):
    for path in (ROOT / package).rglob("*.py"):
        assert library not in {name.partition(".")[0] for name in imports(path)}, path


def product():
    """Our Python files that an installation has."""
    return [path for path in sources() if not path.is_relative_to(ROOT / "tests") and "benchmarks" not in path.parts]


@pytest.mark.parametrize("path", product(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_child_of_python_finds_our_modules_and_not_those_of_the_current_folder(path):
    """A user's numpy.py would end it: `-m` puts the current folder first, unless `-P` says otherwise."""
    text = path.read_text(encoding="utf-8")
    if "sys.executable" in text:
        assert '"-P"' in text or "child_environment()" in text
    if '"-m", "spoofcache' in text or '"-m", module' in text:
        assert '"-P", "-m"' in text


def test_pythonpath_of_the_user_comes_after_ours_and_stays(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    *before, last = child_environment()["PYTHONPATH"].split(os.pathsep)
    assert last == "/somewhere"
    assert set(before) <= {str(ROOT)}


@pytest.mark.parametrize("path", [*ROOT.glob("*.py"), *(ROOT / "tools").glob("*.py")], ids=lambda path: path.name)
def test_a_script_whose_work_is_spread_over_processes_defines_no_class(path):
    """Other processes unpickle by the module's name, and a script's is `__main__`."""
    text = path.read_text(encoding="utf-8")
    if "spread(" in text or "multiprocessing" in text:
        assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]


def test_a_clone_without_symbolic_links_says_so_at_the_first_import(tmp_path):
    """git writes the targets of the links into text files where `core.symlinks` is false."""
    package = tmp_path / "spoofcache"
    package.mkdir()
    for path in PACKAGE.iterdir():
        if path.is_symlink():
            (package / path.name).write_text(os.fspath(path.readlink()))
        elif path.is_file():
            shutil.copy(path, package)
    for command in (["-c", "import spoofcache.preprocess"], ["-m", "spoofcache", "--help"]):
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=without_ours(), capture_output=True, text=True
        )
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(f"ImportError: {package} should hold symbolic links, but ")


def without_ours():
    """The environment without our place in it."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_a_linked_package_is_loaded_only_once():
    from spoofcache import detect
    from spoofcache.common import files

    assert Path(files.__file__).resolve() == ROOT / "common" / "files.py"
    assert Path(detect.__file__).resolve() == ROOT / "detect.py"
    assert (files.__name__, detect.__name__) == ("spoofcache.common.files", "spoofcache.detect")


@pytest.mark.parametrize("path", [*ROOT.glob("*.py"), *ROOT.glob("tools/[a-z]*.py")], ids=lambda path: path.name)
def test_a_command_imports_the_handling_of_signals_before_anything_else(path):
    """So that a signal during the other imports ends it with a sentence too."""
    first = next(node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.Import))
    assert [alias.name for alias in first.names] == ["spoofcache.common.signals"]
