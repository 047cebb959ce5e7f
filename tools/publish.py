"""Publish a run on the model hub, with a model card."""

import spoofcache.common.signals  # noqa: F401

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from spoofcache.common import cli
from spoofcache.common.files import new_folder

EXAMPLES = """\b
Examples:
  # look at everything that would be published
  python tools/publish.py --run runs/lcnn --to someone/lcnn --results lcnn.json --dry-run --out published/
\b
  # publish it, after `hf auth login`
  python tools/publish.py --run runs/lcnn --to someone/lcnn --results lcnn.json --license mit
\b
Afterwards, hf://someone/lcnn stands for the run folder in every command that reads one.
"""
TO_HELP = "Publish in this repository of the model hub, which is created if it does not exist."
RESULTS_HELP = (
    "Fill the card with the figures in this file, which evaluate.py --json wrote. Whether the scores were made by this "
    "run cannot be checked."
)
SYSTEM_HELP = (
    "Take the figures of this system in --results.  [default: the only system, or else the one with the name of the "
    "run folder]"
)
LICENSE_HELP = (
    "State this licence in the card, by its identifier on the hub, such as mit or cc-by-4.0.  [default: no licence]"
)


@click.command(epilog=EXAMPLES, no_args_is_help=True)
@click.option("--run", type=cli.input_folder, required=True, help="Publish this run folder.")
@click.option("--to", "repository", metavar="OWNER/NAME", required=True, help=TO_HELP)
@click.option("--results", type=cli.input_file, help=RESULTS_HELP)
@click.option("--system", metavar="NAME", help=SYSTEM_HELP)
@click.option("--license", "licence", metavar="NAME", help=LICENSE_HELP)
@click.option("--private", is_flag=True, help="Create the repository as a private one.")
@click.option("--dry-run", is_flag=True, help="Upload nothing, and write the files into --out instead.")
@click.option("--out", type=cli.output, help="Write the files into this new folder; requires --dry-run.")
@cli.sentences()
def main(
    run: Path,
    repository: str,
    results: Path | None,
    system: str | None,
    licence: str | None,
    private: bool,
    dry_run: bool,
    out: Path | None,
) -> None:
    """Publish the weights of a run with their description, its settings, its calibration, and a model card.

    The card states what the run was trained on, the figures of --results, the limits and how to use it. Paths of this
    machine and the names of the training utterances are not published. Of a fine-tuned speech model, the trained
    blocks are.
    """
    if dry_run != bool(out):
        raise click.UsageError("--dry-run and --out FOLDER belong together; expected both, or neither")
    if system and not results:
        raise click.UsageError("--system selects figures of --results; expected both")
    if out and out.exists():
        raise cli.Sentence(f"{out} exists already; expected a new folder")
    from spoofcache.common import hub
    from spoofcache.tools.publishing.card import Published, model_card
    from spoofcache.tools.publishing.folder import Contents
    from spoofcache.tools.publishing.results import read_results

    place = hub.find_place(f"hf://{repository}")
    if place is None or place.revision:
        raise cli.Sentence(f"--to {repository}; expected owner/name, without a revision")
    contents = Contents(run)
    judged = read_results(results, system, run.resolve().name) if results else []
    decision = contents.decisions.get("best")
    card = model_card(Published(repository, contents.about, contents.n_parameters, decision, judged, licence))
    if out:
        with new_folder(out) as folder:
            contents.write(folder, card)
        click.echo(out)
        return
    with TemporaryDirectory() as temporary:
        contents.write(Path(temporary), card)
        click.echo(hub.upload(Path(temporary), repository, private))


if __name__ == "__main__":
    main()
