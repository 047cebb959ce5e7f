"""The whole road on real speech, in minutes: what `make demo` runs.

Speech → a small corpus with spoofs → features → training → scores → result. Every command is printed as it runs, and
what an earlier demo finished is taken as it is. All of it lies below demo/.
"""

import spoofcache.common.signals  # noqa: F401

import hashlib
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from spoofcache.common import cli
from spoofcache.common.children import child_environment
from spoofcache.protocols.asvspoof19 import PROTOCOL_SUFFIX
from spoofcache.tools.demo_speech import Speech, obtain

ROOT = Path(__file__).resolve().parent.parent
DEMO = Path("demo")
"""Relative to the root, where the driver works: its commands can be copied."""

SIZES: Mapping[str, Mapping[str, int]] = {
    "full": {"train": 200, "dev": 100, "eval": 140},
    "small": {"train": 64, "dev": 32, "eval": 48},
}


@dataclass(frozen=True)
class Recipe:
    """How a front-end is trained on a corpus of the demo's size."""

    config: str
    epochs: Mapping[str, int]
    """By the size of the demo."""
    settings: tuple[str, ...] = ()


RECIPES: Mapping[str, Recipe] = {
    "lfcc": Recipe("lfcc_lcnn", {"full": 12, "small": 4}),
    "xls-r-300m": Recipe("xlsr300m_lcnn", {"full": 12, "small": 4}, ("train.batch_size=16",)),
}

EXAMPLES = """\b
Examples:
  python tools/demo.py
  python tools/demo.py --size small --speech ~/LibriSpeech/dev-clean
"""


class Failed(Exception):
    """A command of the road ended badly, and has said why; `status` is its exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def run(*command: str | Path) -> str:
    """Print a command and run it; its standard output is shown and returned.

    Raises:
        Failed: an exit status other than 0.
    """
    words = [str(word) for word in command]
    click.secho(f"\n$ {shlex.join(['python', *words])}", bold=True)
    child = subprocess.Popen([sys.executable, *words], env=child_environment(), stdout=subprocess.PIPE, text=True)
    try:
        output, _ = child.communicate()
    except KeyboardInterrupt:  # the terminal has told the child too: let it clean up
        child.wait()
        raise
    click.echo(output, nl=False)
    if child.returncode:
        raise Failed(child.returncode)
    return output


def skip(what: str, path: Path) -> None:
    """Say that something is there already."""
    click.echo(f"\n{what}: {path} is there already")


def speech_for(given: Path | None) -> Speech:
    """The user's own recordings, or those that `obtain` finds."""
    if given is None:
        return obtain(DEMO / "speech")
    place = hashlib.sha256(str(given).encode()).hexdigest()[:6]
    return Speech(given, f"{given.name}-{place}", f"the recordings in {given}")


def demonstrate(frontend: str, size: str, speech: Speech) -> None:
    """Walk the road; raises Failed where a command does."""
    recipe, base = RECIPES[frontend], DEMO / f"{speech.label}-{size}"
    corpus = base / "corpus"
    if corpus.exists():
        skip("Corpus", corpus)
    else:
        sizes = [word for partition, n in SIZES[size].items() for word in (f"--{partition}", str(n))]
        run("tools/build_demo_corpus.py", "--speech", speech.folder, "--out", corpus, *sizes)
    caches = {partition: _preprocess(partition, corpus, frontend, base) for partition in SIZES[size]}
    run_folder, scores = base / "runs" / recipe.config, base / "scores" / f"{recipe.config}_eval.txt"
    if _train(recipe, recipe.epochs[size], caches, run_folder):
        scores.unlink(missing_ok=True)  # of an earlier training
    if scores.exists():
        skip("Scores", scores)
    else:
        run("generate_score.py", "--run", run_folder, "--features", caches["eval"], "--out", scores)
    _evaluate(corpus, scores, base / "results")


def _protocol(corpus: Path, partition: str) -> Path:
    return corpus / "protocols" / f"DEMO.cm.{PROTOCOL_SUFFIX[partition]}.txt"


def _preprocess(partition: str, corpus: Path, frontend: str, base: Path) -> str:
    """The folder of a partition's features; preprocess.py itself finds what is finished."""
    trials = ("--protocol", _protocol(corpus, partition), "--audio-dir", corpus / "flac", "--partition", partition)
    where = ("--name", "demo", "--out", base / "cache")
    output = run("preprocess.py", "--corpus", "asvspoof19_style", *trials, "--frontend", frontend, *where)
    return output.splitlines()[-1]


def _train(recipe: Recipe, epochs: int, caches: Mapping[str, str], out: Path) -> bool:
    """Train, or go on with a training; False where it is finished already."""
    metrics = out / "metrics.jsonl"
    done = len(metrics.read_text(encoding="utf-8").splitlines()) if metrics.exists() else 0
    if done == epochs:
        skip("Training", out)
        return False
    settings = [word for setting in (f"train.epochs={epochs}", *recipe.settings) for word in ("--set", setting)]
    if out.exists():
        settings.append("--resume")
    data = ("--train", caches["train"], "--dev", caches["dev"])
    run("main_train.py", "--config", f"configs/{recipe.config}.toml", *data, "--out", out, *settings)
    return True


def _evaluate(corpus: Path, scores: Path, results: Path) -> None:
    asv_scores = corpus / "DEMO.asv.eval.gi.trl.scores.txt"
    inputs = ("--cm-scores", scores, "--asv-scores", asv_scores, "--protocol", _protocol(corpus, "eval"))
    outputs = ("--json", results / f"{scores.stem}.json", "--plots", results)
    run("evaluate_tDCF_asvspoof19.py", *inputs, *outputs, "--overwrite")


@click.command(epilog=EXAMPLES)
@click.option("--frontend", type=click.Choice(list(RECIPES)), default="lfcc", show_default=True)
@click.option("--size", type=click.Choice(list(SIZES)), default="full", show_default=True)
@click.option(
    "--speech",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with recordings of your own, one subfolder per speaker; by default, the recorded prompts of Debian.",
)
@cli.sentences()
def main(frontend: str, size: str, speech: Path | None) -> None:
    """Show the whole road on real speech: corpus, features, training, scores, result."""
    given = speech and speech.resolve()
    os.chdir(ROOT)
    found = speech_for(given)
    click.echo(f"Speech: {found.description}.")
    try:
        demonstrate(frontend, size, found)
    except Failed as failure:
        click.get_current_context().exit(failure.status)
    brief = " The small form trains too briefly to learn much: it shows that the road is open." * (size == "small")
    click.echo(f"\nA demonstration, not a benchmark.{brief} Speech: {found.description}.")


if __name__ == "__main__":
    main()
