"""The one command `spoofcache`, whose subcommands are the commands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import spoofcache
from spoofcache.__main__ import COMMANDS, main
from spoofcache.common.children import child_environment

ROOT = Path(spoofcache.__file__).resolve().parent.parent
TOOLS = sorted(f"tools/{path.name}" for path in (ROOT / "tools").glob("[!_]*.py"))
SLOW = ("torch", "transformers", "matplotlib", "sklearn", "librosa", "accelerate")
"""What takes a second or more to import, and what no help text needs."""


def run(*arguments):
    """Exit status and output of `spoofcache …`, in this process."""
    done = CliRunner().invoke(main, arguments, prog_name="spoofcache")
    return done.exit_code, done.output


def test_its_help_names_every_command_in_a_line():
    status, text = run("--help")
    assert status == 0
    for name, command in COMMANDS.items():
        assert f"  {name} " in text
        assert command.summary.split()[0] in text
    assert "Example:\n    spoofcache preprocess " in text


def test_every_script_and_tool_of_the_user_is_a_command():
    """The others make the demonstration, data for it, or a page of the documentation."""
    scripts = {path.name for path in ROOT.glob("*.py")} | set(TOOLS)
    others = {f"tools/{name}.py" for name in ("demo", "demo_speech", "build_demo_corpus", "config_reference")}
    assert {command.script for command in COMMANDS.values()} == scripts - others


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_explains_itself_under_its_own_name(name):
    status, text = run(name, "--help")
    assert status == 0
    assert text.startswith(f"Usage: spoofcache {name} [OPTIONS]")
    assert f"spoofcache {name} " in text.partition("Example")[2]
    assert " python " not in text


def test_examples_start_several_processes_without_a_script():
    assert "torchrun --no-python --nproc_per_node 2 spoofcache train …" in run("train", "--help")[1]


def test_an_unknown_command_is_refused():
    status, text = run("trian")
    assert status == 2
    assert "No such command 'trian'" in text


def test_its_version_is_that_of_the_package():
    assert run("--version") == (0, f"spoofcache, version {spoofcache.__version__}\n")


def imported_by(*command):
    """Modules that a command of Python imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command], env=child_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Usage:" in done.stdout
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("script", [*sorted(path.name for path in ROOT.glob("*.py")), *TOOLS])
def test_help_waits_for_no_slow_library(script):
    assert not imported_by(ROOT / script, "--help") & set(SLOW)


def test_its_help_imports_no_command_and_no_array():
    modules = imported_by("-P", "-m", "spoofcache", "--help")
    assert not modules & {*SLOW, "numpy", "rich", "spoofcache.common.cli"}


def test_started_by_its_module_it_finds_nothing_in_the_current_folder(tmp_path):
    """As `torchrun -m spoofcache train …` starts it."""
    for name in ("click", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the file of the user was imported')\n")
    command = [sys.executable, "-m", "spoofcache", "convert-scores", "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=child_environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("option", ["lfcc_lcnn", "configs/lfcc_lcnn.toml", "mine.toml"])
def test_a_config_is_a_file_or_the_name_of_one_of_ours(option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    for path in ("configs/lfcc_lcnn.toml", "mine.toml"):
        (tmp_path / path).write_text("[backend]\nname = 'absent'\n")
    (tmp_path / "dev").mkdir()
    text = run("train", "--config", option, "--train", "dev", "--dev", "dev", "--out", "run", "--device", "cpu")[1]
    if option == "lfcc_lcnn":
        assert "no manifest.json" in text  # the experiment was read, the cache is none
    else:
        assert f"{os.fspath(Path(option))}: backend.name is 'absent'" in text


def test_a_config_that_is_neither_is_refused_with_the_known_names(tmp_path):
    status, text = run("train", "--config", "lfcc-lcnn", "--train", "t", "--dev", "d", "--out", "run")
    assert status == 2
    assert "lfcc-lcnn: no such file; expected the path of a file, or one of aasist, aasist_l, " in text
