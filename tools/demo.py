"""Run the whole pipeline on real speech in a few minutes; `make demo` calls this.

The steps are speech → a small corpus with spoofs → features → training → scores → result. Each command is printed when
it runs. Steps that an earlier demo has finished are not repeated. All files are written below demo/.
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
"""Relative to the root of the clone, in which all commands run, so that they can be copied."""

SIZES: Mapping[str, Mapping[str, int]] = {
    "full": {"train": 200, "dev": 100, "eval": 140},
    "small": {"train": 64, "dev": 32, "eval": 48},
}


@dataclass(frozen=True)
class Recipe:
    """How a back-end is trained on the features of a front-end in the demo."""

    config: str
    epochs: Mapping[str, int]
    """Size of the demo → number of epochs."""
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


FRONTEND_HELP = "Show this front-end. With xls-r-300m, a large speech model is downloaded."
SIZE_HELP = "Make a corpus of this size. With small, training is too short to learn much."


class Failed(Exception):
    """A command of the demo failed and has printed the reason; `status` is its exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def run(*command: str | Path) -> str:
    """Print a command and run it. Its standard output is printed and returned.

    Raises:
        Failed: the exit status is not 0.
    """
    words = [str(word) for word in command]
    click.secho(f"\n$ {shlex.join(['python', *words])}", bold=True)
    child = subprocess.Popen([sys.executable, *words], env=child_environment(), stdout=subprocess.PIPE, text=True)
    try:
        output, _ = child.communicate()
    except KeyboardInterrupt:  # the child has received Ctrl-C too: let it clean up
        child.wait()
        raise
    click.echo(output, nl=False)
    if child.returncode:
        raise Failed(child.returncode)
    return output


def skip(what: str, path: Path) -> None:
    """Report that the result of a step exists already."""
    click.echo(f"\n{what}: {path} exists already")


def speech_for(given: Path | None) -> Speech:
    """The recordings in the given folder, or else those that `obtain` provides."""
    if given is None:
        return obtain(DEMO / "speech")
    place = hashlib.sha256(str(given).encode()).hexdigest()[:6]
    return Speech(given, f"{given.name}-{place}", f"the recordings in {given}")


def demonstrate(frontend: str, size: str, speech: Speech) -> None:
    """Run every step of the demo; raises Failed if a command fails."""
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
    """The folder with the features of a partition. preprocess.py itself skips what is finished."""
    trials = ("--protocol", _protocol(corpus, partition), "--audio-dir", corpus / "flac", "--partition", partition)
    where = ("--name", "demo", "--out", base / "cache")
    output = run("preprocess.py", "--corpus", "asvspoof19_style", *trials, "--frontend", frontend, *where)
    return output.splitlines()[-1]


def _train(recipe: Recipe, epochs: int, caches: Mapping[str, str], out: Path) -> bool:
    """Train, or resume an unfinished training; returns False if the training was finished already."""
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
@click.option("--frontend", type=click.Choice(list(RECIPES)), default="lfcc", show_default=True, help=FRONTEND_HELP)
@click.option("--size", type=click.Choice(list(SIZES)), default="full", show_default=True, help=SIZE_HELP)
@click.option(
    "--speech",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Use recordings of your own from this folder, which has one subfolder per speaker; by default, the recorded "
    "prompts of Debian are used.",
)
@cli.sentences()
def main(frontend: str, size: str, speech: Path | None) -> None:
    """Run the whole pipeline on real speech: corpus, features, training, scores, result."""
    given = speech and speech.resolve()
    os.chdir(ROOT)
    found = speech_for(given)
    click.echo(f"Speech: {found.description}.")
    try:
        demonstrate(frontend, size, found)
    except Failed as failure:
        click.get_current_context().exit(failure.status)
    brief = " In its small form, training is too short to learn much: it shows that every step works." * (
        size == "small"
    )
    click.echo(f"\nA demonstration, not a benchmark.{brief} Speech: {found.description}.")


if __name__ == "__main__":
    main()
