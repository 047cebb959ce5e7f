"""README and docs/: every link leads somewhere, and every block that claims to be runnable runs.

A fence after `<!-- runnable -->` is run, one after `<!-- file: NAME -->` is written to that file, and the lines of one
after `<!-- prints -->` must be printed by the block before it, whatever their numbers. The blocks of a page run in
order, in one new folder that holds links to the scripts.
"""

import importlib
import os
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import NamedTuple, get_type_hints

import pytest

from spoofcache.engine.config import ExperimentConfig, without_none
from spoofcache.engine.config_file import load_config
from spoofcache.tools import config_reference
from tests.test_architecture import MAY_IMPORT

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^<!-- (runnable|prints|file: (\S+)) -->\n```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ANY_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PROMISED = (
    "onnx fine-tuning layer-study cluster caches sharing "
    "quickstart corpora augmentation front-ends systems evaluation cache-format configuration several-gpus speed "
    "library reliability architecture sources glossary"
)


class Block(NamedTuple):
    """A marked fence: what it is for ("runnable", "prints" or "file: NAME"), its file, its language and its text."""

    purpose: str
    file: str
    language: str
    text: str


def blocks(page):
    return [Block(*match) for match in FENCE.findall(page.read_text(encoding="utf-8"))]


def prose(page):
    return ANY_FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page):
    """The anchors of a page's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def numberless(text):
    """A text with its numbers and the hashes of folder names masked, and its spaces made one."""
    return " ".join(re.sub(r"-[0-9a-f]{8}\b|\d[\d.,:]*", "#", text).split())


def runnable_pages():
    return [page for page in PAGES if any(block.purpose == "runnable" for block in blocks(page))]


def name(page):
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page):
    for target in LINK.findall(prose(page)):
        if not re.match(r"https?://|mailto:", target):
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), target
            assert file.is_relative_to(ROOT), target
            assert not anchor or anchor in anchors(file), target


def test_every_promised_page_is_there_and_the_readme_is_short():
    assert set(PROMISED.split()) <= {page.stem for page in PAGES}
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES[1:], ids=name)
def test_every_page_is_reached_from_the_readme(page):
    assert f"(docs/{page.name})" in PAGES[0].read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_marker_belongs_to_a_fence(page):
    markers = re.findall(r"^<!-- (?:runnable|prints|file: )", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(markers) == len(blocks(page))


def commands(text):
    """Every `python SCRIPT.py …` of a text as (script, words after it); lines that end in a backslash are joined."""
    joined = re.sub(r"\\\n[# ]*", " ", text)
    for script, rest in re.findall(r"python ((?:tools/)?\w+\.py)\b([^\n`|#;]*)", joined):
        if (ROOT / script).exists():
            yield script, rest.split()


def test_a_command_over_several_lines_is_found_whole():
    found = list(commands("# python detect.py --run a \\\n#   --hop 1 # text\n`python tools/demo.py`"))
    assert found == [("detect.py", ["--run", "a", "--hop", "1"]), ("tools/demo.py", [])]


def documents():
    return [*PAGES, *sorted((ROOT / "configs").rglob("*.toml"))]


@pytest.mark.parametrize("page", documents(), ids=name)
def test_every_option_of_a_command_exists(page):
    for script, words in commands(page.read_text(encoding="utf-8")):
        module = importlib.import_module("spoofcache." + script.removesuffix(".py").replace("/", "."))
        named = getattr(module.main, "commands", {}).get((words or [""])[0], module.main)  # a command of a group
        options = {option for parameter in named.params for option in parameter.opts} | {"--help"}
        used = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
        assert used <= options, f"{script} {used - options}"


@pytest.mark.parametrize("page", documents(), ids=name)
def test_every_script_of_a_command_exists(page):
    for script in re.findall(r"python ((?:tools/|benchmarks/)?\w+\.py)", page.read_text(encoding="utf-8")):
        assert (ROOT / script).exists(), script


@pytest.fixture
def clone(tmp_path):
    """A new folder from which the scripts, tools/ and configs/ are reached as from the root of a clone."""
    for path in [*ROOT.glob("*.py"), ROOT / "tools", ROOT / "configs"]:
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


def run(block, folder):
    """What a runnable block prints; `python` in it is the Python of the tests."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    command = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}[block.language]
    done = subprocess.run([*command, block.text], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.parametrize("page", runnable_pages(), ids=name)
def test_runnable_blocks_run_and_print_what_the_page_says(page, clone):
    printed = ""
    for block in blocks(page):
        if block.purpose == "runnable":
            printed = run(block, clone)
        elif block.file:
            path = clone / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        else:
            for line in filter(str.strip, block.text.splitlines()):
                assert numberless(line) in numberless(printed), line


def test_the_quick_start_is_run():
    assert ROOT / "docs/quickstart.md" in runnable_pages()


def leaves(keys, prefix=""):
    """Every key of an experiment as `section.key`."""
    for key, of_key in get_type_hints(keys).items():
        kind = without_none(of_key)
        yield from leaves(kind, f"{prefix}{key}.") if is_dataclass(kind) else [f"{prefix}{key}"]


def documented():
    """Every key in the tables of docs/configuration.md with its row: {"train.epochs": [type, default, meaning]}."""
    rows, section = {}, ""
    for line in (ROOT / "docs/configuration.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = "".join(re.findall(r"`\[(.*)\]`", line))
        elif line.startswith("| `"):
            key, *rest = (cell.strip() for cell in line.strip("|").split(" | "))
            rows[f"{section}.{key.strip('` ')}".lstrip(".")] = rest
    return rows


def test_the_configuration_reference_is_up_to_date():
    assert (ROOT / "docs/configuration.md").read_text(encoding="utf-8") == config_reference.page()


def test_the_configuration_reference_has_every_key_with_a_meaning():
    rows = documented()
    assert set(rows) == set(leaves(ExperimentConfig))
    assert all(len(row) == 3 and row[0] and row[1] and row[2].endswith(".") for row in rows.values())


def test_the_documented_defaults_are_what_an_experiment_gets(tmp_path):
    """Each default, written into a file as the page spells it, changes nothing."""
    (tmp_path / "plain.toml").write_text('[backend]\nname = "lcnn"\n[encoder]\ntrainable_from = 22\n')
    plain = load_config(tmp_path / "plain.toml")
    for key, (_, default, _) in documented().items():
        if default not in ("required", "`{}`"):
            assert load_config(tmp_path / "plain.toml", [f"{key}={default.strip('`')}"]) == plain, key
    assert {field.name for field in fields(plain)} >= {"backend", "loss", "optimizer", "schedule", "train", "features"}


ARCHITECTURE = ROOT / "docs/architecture.md"


def test_every_file_of_the_architecture_exists():
    text = ARCHITECTURE.read_text(encoding="utf-8")
    named = re.findall(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|toml)|(?:\w+/)+)(?:::\w+)?`", text)
    assert len(named) > 40
    assert not [path for path in named if not (ROOT / path).exists()]


def test_every_name_of_the_architecture_is_defined_in_its_file():
    named = re.findall(r"`([\w/-]+\.py)::(\w+)`", ARCHITECTURE.read_text(encoding="utf-8"))
    assert len(named) > 30
    for path, name_in_file in named:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(?:(?:async )?def|class) {name_in_file}\b|^{name_in_file}\b.*=", text, re.MULTILINE), (
            f"{path}::{name_in_file}"
        )


def test_every_package_is_in_the_architecture_with_its_arrows():
    text = ARCHITECTURE.read_text(encoding="utf-8")
    drawn = {
        package: set(re.findall(r"\w+", to)) - {"none"} for package, to in re.findall(r"^(\w+) +──▶ (.*)$", text, re.M)
    }
    allowed = {
        package: packages - {package, "common"} for package, packages in MAY_IMPORT.items() if package != "common"
    }
    assert drawn == allowed
    assert all(f"| `{package}/` |" in text for package in MAY_IMPORT)
