"""A trained network × audio files → scores of the user's own recordings."""

import spoofcache.common.signals  # noqa: F401

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spoofcache.common import cli
from spoofcache.common.files import atomic_path
from spoofcache.common.machine import keep_freed_memory
from spoofcache.engine.recordings import (
    Judgement,
    Scored,
    Track,
    as_csv,
    as_json,
    find_recordings,
    name_pictures,
    one_line,
)
from spoofcache.features.plan import StoreError
from spoofcache.features.waveform import SAMPLE_RATE, AudioError

if TYPE_CHECKING:  # `--help` must not wait for torch
    from spoofcache.engine.detection import Detector
    from spoofcache.metrics.decision import Decision

EXAMPLES = """\b
Examples:
  # a run of main_train.py or tools/import_checkpoint.py
  python detect.py --run runs/lcnn sample.wav recordings/
\b
  # a published checkpoint of a network that takes raw waveforms, scored as its authors do
  python detect.py --model aasist --checkpoint AASIST.pth --input sample.wav --score bonafide-logit
\b
  # for a place where one recording in ten is fake
  python detect.py --run runs/lcnn calls/ --prior 0.9 --csv calls.csv
\b
  # find the suspicious places in a long recording, with a picture of each file
  python detect.py --run runs/lcnn interview.mp3 --windows --hop 1 --json interview.json --plot pictures/
\b
The score of a file does not depend on the other files that are scored with it. Scores only rank recordings. A run of
main_train.py also knows the threshold and the calibration that fit its dev set (tools/calibrate.py fits them on other
scores): then each line goes on with the calibrated log-likelihood ratio, the probability of bona fide, and a verdict.
All three hold for recordings like those of that set; elsewhere, they can be far off.
\b
Files that cannot be used are named on standard error; the others are still scored, and the exit status is then 2.
"""
RUN_HELP = (
    "Score with the best epoch of this run folder, or of this run on the hub (hf://owner/name), and with the front-end "
    "that it was trained on."
)
MODEL_HELP = (
    "Score with this back-end on raw waveforms instead of a run: aasist, aasist_l or rawnet2. It requires "
    "--checkpoint, in which class 1 must be bona fide."
)
WEIGHTS_HELP = (
    "Load the run's speech model from this local folder in the format of the Hugging Face hub.  [default: the folder "
    "that the run's features were made with, if it still exists; otherwise the hub]"
)
SCORES = ("llr", "bonafide-logit", "probability")
SCORE_HELP = (
    "Print this kind of score. llr: the score of the run's loss, which for most losses is the log-odds of bona fide "
    "(not calibrated). bonafide-logit: the network's output for bona fide, unchanged. probability: the soft-max of the "
    "outputs, which saturates. A higher score always means more likely bona fide."
)
THRESHOLD_HELP = (
    "Add a decision to each file: bonafide if its score is at least this value, otherwise spoof.  [default: the "
    "threshold that the run knows, if it knows one]"
)
PRIOR_HELP = (
    "Share of recordings that are bona fide where the probability is meant to hold; requires a run with a "
    "calibration.  [default: 0.5]"
)
WINDOWS_HELP = (
    "Score windows over the whole file, not only its beginning. The score of the file is then the mean of its windows."
)
HOP_HELP = (
    "Time between the starts of two windows, in seconds; requires --windows. The last window ends with the file.  "
    "[default: half a window]"
)
JSON_HELP = "Write all results in full precision to this JSON file; with --windows, also the scores of all windows."
PLOT_HELP = "Draw the scores over time, one PNG file per recording, into this folder; requires --windows."
CSV_HELP = "Write a line with a header for each file to this CSV file, with the values that are printed."
PATH = click.Path(exists=True, path_type=Path)


@click.command(epilog=EXAMPLES, no_args_is_help=True)
@click.argument("recordings", nargs=-1, type=PATH)
@click.option(
    "--input", "inputs", multiple=True, type=PATH, help="Score this audio file or folder, too. May be repeated."
)
@click.option("--run", type=cli.run_folder, metavar="RUN", help=RUN_HELP)
@click.option("--model", metavar="BACKEND", help=MODEL_HELP)
@click.option("--checkpoint", type=cli.input_file, help="Load the weights of --model from this published file.")
@click.option("--weights", type=cli.checkpoint_folder, help=WEIGHTS_HELP)
@click.option("--score", type=click.Choice(SCORES), default="llr", show_default=True, help=SCORE_HELP)
@click.option("--threshold", type=float, help=THRESHOLD_HELP)
@click.option("--prior", type=click.FloatRange(0, 1, min_open=True, max_open=True), help=PRIOR_HELP)
@click.option("--windows", is_flag=True, help=WINDOWS_HELP)
@click.option("--hop", type=click.FloatRange(0.01, 600), metavar="SECONDS", help=HOP_HELP)
@click.option("--json", type=cli.output, help=JSON_HELP)
@click.option("--csv", type=cli.output, help=CSV_HELP)
@click.option("--plot", type=click.Path(file_okay=False, path_type=Path), help=PLOT_HELP)
@click.option("--overwrite", is_flag=True, help="Replace output files that already exist.")
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Number of windows that the network scores at once.",
)
@cli.device_option
@cli.requeue_option
@cli.sentences()
def main(**given: Any) -> None:
    """Score audio files, and all audio files in folders and their subfolders.

    A line with the path and the score is printed for each file, and a verdict if the run knows a threshold. If a file
    is longer than the network's window (4 s by default), only its beginning is scored, unless --windows is given.
    """
    options = Options(**given)
    options.check()
    files = find_recordings([*options.recordings, *options.inputs])
    pictures = name_pictures(options.plot, files) if options.plot else {}
    outputs = [path for path in (options.json, options.csv, *pictures.values()) if path]
    cli.check_outputs(outputs, [*files, *([options.checkpoint] if options.checkpoint else [])], options.overwrite)
    scored = _score(options, files)
    if options.csv:
        _write(options.csv, as_csv(scored))
    if options.json:
        made_by = {name: getattr(options, name) for name in ("run", "model", "checkpoint", "score")}
        _write(options.json, as_json(scored, made_by, pictures))
    if pictures:
        _draw(scored, pictures)
    if scored.unusable:
        raise cli.Sentence(f"{len(scored.unusable)} of {len(files)} files could not be scored")


@dataclass(frozen=True)
class Options:
    """The options of the command, by their names in Python."""

    recordings: tuple[Path, ...]
    inputs: tuple[Path, ...]
    run: Path | None
    model: str | None
    checkpoint: Path | None
    weights: Path | None
    score: str
    threshold: float | None
    prior: float | None
    windows: bool
    hop: float | None
    json: Path | None
    csv: Path | None
    plot: Path | None
    overwrite: bool
    batch_size: int
    device: str

    def check(self) -> None:
        """Raise UsageError if options do not go together."""
        if bool(self.run) == bool(self.model) or bool(self.model) != bool(self.checkpoint):
            raise click.UsageError("expected --run, or --model with --checkpoint")
        if self.model and self.weights:
            raise click.UsageError(
                "--weights is for the speech model of a --run; the networks of --model take waveforms"
            )
        if not (self.recordings or self.inputs):
            raise click.UsageError("no recordings; expected audio files or folders of them")
        if (self.hop or self.plot) and not self.windows:
            raise click.UsageError("--hop and --plot require --windows")
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise click.UsageError(f"--threshold {self.threshold}; expected a finite number")


def _score(options: Options, files: Sequence[Path]) -> Scored:
    """The scores of the files. Each is printed as soon as it is made, so that an interruption keeps those before it."""
    detector, calibration = _detector(options)
    judgement = _judgement(options, calibration)
    length, hop = detector.features.n_samples, None
    if options.windows:
        hop = round(options.hop * SAMPLE_RATE) if options.hop else length // 2
    tracks, unusable = {}, {}
    with cli.progress("scoring", len(files)) as advance:
        for path in files:
            try:
                tracks[path] = detector.track(path, hop)
                _print(path, tracks[path], judgement)
            except (AudioError, StoreError) as error:  # not audio, or too loud for the stored type
                unusable[path] = str(error)
                click.echo(one_line(str(error)), err=True)
            advance(1)
    return Scored(tracks, unusable, length, hop, judgement)


def _judgement(options: Options, calibration: "Decision | None") -> Judgement:
    """What is said of the scores; where that comes from is printed first."""
    if calibration is None or options.score != "llr":
        why = "this network has none" if calibration is None else f"it is not for --score {options.score}"
        if options.prior is not None:
            raise cli.Sentence(f"--prior needs the calibration of a run, and {why}; tools/calibrate.py fits one")
        if options.run:
            click.echo(f"no calibration: {why}; the scores rank recordings, and say no more", err=True)
        return Judgement(options.threshold)
    threshold, origin = options.threshold, "--threshold"
    if threshold is None:
        threshold, origin = calibration.threshold, calibration.origin
    judgement = Judgement(threshold, calibration, 0.5 if options.prior is None else options.prior)
    click.echo(
        "columns: path, score, calibrated log-likelihood ratio, probability of bona fide at prior "
        f"{judgement.prior:g}, verdict\nbona fide from a score of {threshold:.7g} on: {origin}",
        err=True,
    )
    return judgement


def _print(path: Path, track: Track, judgement: Judgement) -> None:
    name = one_line(click.format_filename(path))
    said = judgement.of(track.score).values()
    click.echo("\t".join((name, *(each if isinstance(each, str) else f"{each:.7g}" for each in said))))
    sys.stdout.flush()  # also where the output is a file
    for remark in track.remarks:
        click.echo(f"Warning: {name}: {one_line(remark)}", err=True)


def _detector(options: Options) -> "tuple[Detector, Decision | None]":
    """The network of a run or of a published checkpoint with its features, and what the run knows of its scores."""
    from spoofcache.engine.calibration_file import read_decision, weights_sha256
    from spoofcache.engine.detection import Detector
    from spoofcache.engine.foreign import HEAR_WAVEFORMS, load_foreign
    from spoofcache.engine.loaded_run import load_run
    from spoofcache.features.extract_options import ExtractOptions
    from spoofcache.features.frontends import make_frontend
    from spoofcache.features.frontends.base import FrontEndOptions
    from spoofcache.features.online import OnlineFeatures

    keep_freed_memory()
    device, calibration = cli.resolve_device(options.device), None
    if options.run:
        run = load_run(options.run, device=str(device), weights=options.weights)
        model, features = run.model, run.features
        calibration = read_decision(options.run, "best", weights_sha256(options.run, "best"))
    elif options.model in HEAR_WAVEFORMS:
        assert options.checkpoint is not None
        features = OnlineFeatures(make_frontend("raw", FrontEndOptions()), ExtractOptions())
        imported = load_foreign(options.checkpoint, options.model, features.row_shape(), features.identity)
        model = imported.model
        if imported.note:
            click.echo(imported.note, err=True)
    else:
        raise cli.Sentence(
            f"--model {options.model}; expected one of {', '.join(HEAR_WAVEFORMS)}, or with other features --run and a "
            "folder made by tools/import_checkpoint.py"
        )
    return Detector(model.to(device), features, device, options.score, options.batch_size), calibration


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")  # names of files need not be UTF-8


def _draw(scored: Scored, pictures: Mapping[Path, Path]) -> None:
    from spoofcache.evaluation.track import draw_track  # here, not above: scores must not wait for matplotlib

    for path, track in scored.tracks.items():
        picture, middles = pictures[path], (track.starts + track.ends) / 2
        picture.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(picture) as temporary:
            draw_track(middles.tolist(), track.scores.tolist(), path.name, temporary, scored.judgement.threshold)


if __name__ == "__main__":
    main()
