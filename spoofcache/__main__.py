"""The command `spoofcache`, whose subcommands are the commands. Only the one that is run is imported.

Run as `spoofcache …` where it is installed, or as `python -m spoofcache …`.
"""

import os
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
if __name__ == "__main__" and Path.cwd() != HOME and sys.path[0] == os.getcwd():
    del sys.path[0]  # `python -m` puts the current folder first, where a numpy.py of the user's would be found

import spoofcache.common.signals

import copy
import importlib
import re
from collections.abc import Mapping
from typing import NamedTuple

import click

import spoofcache


class Subcommand(NamedTuple):
    """A command by the name of its script, and what it does in one line."""

    script: str
    summary: str

    @property
    def module(self) -> str:
        return "spoofcache." + self.script.removesuffix(".py").replace("/", ".")


COMMANDS: Mapping[str, Subcommand] = {
    "preprocess": Subcommand("preprocess.py", "Write the features of a corpus into a cache."),
    "train": Subcommand("main_train.py", "Train a back-end on cached features."),
    "score": Subcommand("generate_score.py", "Score a cached partition with a trained network."),
    "evaluate": Subcommand("evaluate.py", "Compare systems on test sets, with intervals and a report."),
    "evaluate-2019": Subcommand("evaluate_tDCF_asvspoof19.py", "Print EER and min t-DCF as ASVspoof 2019 did."),
    "detect": Subcommand("detect.py", "Score audio files of your own."),
    "calibrate": Subcommand("tools/calibrate.py", "Fit a run's threshold and calibration on other scores."),
    "publish": Subcommand("tools/publish.py", "Publish a run on the model hub, with a model card."),
    "search": Subcommand("main_search.py", "Search for a network architecture on cached features."),
    "probe": Subcommand("tools/probe_layers.py", "Find out which layers of a speech model to cache."),
    "verify": Subcommand("tools/verify.py", "Check finished caches against their checksums."),
    "cache": Subcommand("tools/cache.py", "List, compare, cut, join, convert and remove caches."),
    "export": Subcommand("tools/export_onnx.py", "Export a trained network as an ONNX model."),
    "convert-scores": Subcommand("tools/convert_scores.py", "Write a score file in another format."),
    "prepare-corpus": Subcommand("tools/prepare_corpus.py", "Survey a data set without a protocol, and split it."),
    "import-checkpoint": Subcommand("tools/import_checkpoint.py", "Make a run folder of a published checkpoint."),
    "make-random-ssl": Subcommand("tools/make_random_ssl.py", "Write a speech model with random weights, for trials."),
}

EXAMPLES = """\b
Example:
  spoofcache preprocess --corpus folders --root recordings/ --partition train --frontend lfcc --out cache/
  spoofcache train --config lfcc_lcnn --train cache/…/train --dev cache/…/dev --out runs/lcnn
  spoofcache score --run runs/lcnn --features cache/…/eval --out scores/lcnn.txt
  spoofcache evaluate lcnn=scores/lcnn.txt --html report.html
\b
`spoofcache COMMAND --help` explains a command.
"""


class LazyGroup(click.Group):
    """A group that knows its commands by name and summary, and imports one when it is run."""

    def list_commands(self, context: click.Context) -> list[str]:
        """In the order of the work, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return _renamed(importlib.import_module(COMMANDS[name].module).main, name)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in COMMANDS.items()])


def _renamed(original: click.Command, name: str) -> click.Command:
    """A copy of a command, and of the commands of a group, whose examples start it as a subcommand."""
    command = copy.copy(original)
    command.name = name
    command.epilog = command.epilog and named_as_subcommands(command.epilog)
    if isinstance(command, click.Group):
        command.commands = {each: _renamed(of_group, each) for each, of_group in command.commands.items()}
    return command


def named_as_subcommands(text: str) -> str:
    """Examples that start the scripts of a clone, as examples that start the installed command.

    >>> named_as_subcommands("python main_train.py --config configs/sls.toml; torchrun main_train.py")
    'spoofcache train --config sls; torchrun --no-python spoofcache train'
    """
    for name, command in COMMANDS.items():
        script, started = re.escape(command.script), f"spoofcache {name}"
        text = re.sub(rf"python {script}", started, text)
        text = re.sub(rf"torchrun ([^\n;]*){script}", rf"torchrun --no-python \1{started}", text)
        text = re.sub(rf"accelerate launch ([^\n;]*){script}", rf"accelerate launch --no_python \1{started}", text)
    return re.sub(r"configs/(?:test_sets/)?(\w+)\.toml", r"\1", text)


@click.command(cls=LazyGroup, epilog=EXAMPLES, no_args_is_help=True, context_settings={"max_content_width": 100})
@click.version_option(spoofcache.__version__)
def main() -> None:
    """Cache the hidden states of a speech model once, and train countermeasures against spoofed speech on them."""


if __name__ == "__main__":
    main(prog_name="spoofcache")
