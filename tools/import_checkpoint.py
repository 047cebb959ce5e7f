"""Make a run folder, which generate_score.py and detect.py read, from a published checkpoint."""

import spoofcache.common.signals  # noqa: F401

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from spoofcache.common import cli
from spoofcache.common.files import new_folder
from spoofcache.features.waveform import FIT_RULES, MAX_SAMPLES, MIN_SAMPLES, NORMALIZATIONS

if TYPE_CHECKING:  # `--help` must not wait for torch
    from spoofcache.features.encoder import EncoderSpec
    from spoofcache.features.plan import Identity

EXAMPLES = """\b
Examples:
  # AASIST, AASIST-L and RawNet2 take waveforms, so no front-end is needed
  python tools/import_checkpoint.py --backend aasist --in AASIST.pth --out runs/aasist_official
  python generate_score.py --run runs/aasist_official --features cache/…/eval --out scores/aasist.txt
\b
  # a published system with its fine-tuned speech model: ssl_aasist, sls, nes2net_x or conformer_tcm
  python tools/import_checkpoint.py --backend ssl_aasist --in LA_model.pth --out runs/tak
  python detect.py --run runs/tak sample.wav
\b
  # a network on cached hidden states that was trained elsewhere, with bona fide as class 0
  python tools/import_checkpoint.py --backend lcnn --in lcnn.pt --out runs/theirs --features cache/…/eval \\
         --bonafide-index 0
"""
BACKEND_HELP = (
    "Load the weights into this back-end: a registry name, or package.module:Name. An unknown name prints the registry."
)
INDEX_HELP = "Read this class of the checkpoint as bona fide. With 0, the two rows of the output layer are swapped."
SET_HELP = "Build the back-end with this setting, such as channels=24. May be repeated."
PREFIX_HELP = (
    "Read only the entries whose names begin with this prefix, and remove it from the names. By default, the prefix is "
    "whatever precedes all names of the network."
)
DROP_HELP = "Ignore the entries whose names begin with this prefix. May be repeated."
FEATURES_HELP = "Take the front-end from this cached partition, whose features must be those that the network expects."
FRONTEND_HELP = (
    "If there is no cache, state the front-end that the network was trained on. By default, aasist, aasist_l and "
    "rawnet2 take waveforms, and for any other back-end the checkpoint must hold the speech model, too."
)
SPEECH_MODEL_HELP = (
    "Take the geometry of the speech model in the checkpoint from this name, such as xls-r-1b, or from the config.json "
    "in this folder.  [default: xls-r-300m]"
)
LAYER_HELP = (
    "State the hidden state of the speech model that the network was trained on. May be repeated. By default, it is "
    "the last one or, for sls with its speech model, the outputs of all blocks."
)
SCORE_HELP = (
    "Let the run give this score: the log-odds of the two outputs, or the output for bona fide alone. By default, a "
    "checkpoint with its speech model is scored as its authors do, and any other by log-odds."
)
WEIGHTS_HELP = "Load the speech model of the front-end from this local folder in the format of the Hugging Face hub."
NORMALIZE_HELP = (
    "State how the waveforms were normalised; by default, as the front-end does it. A speech model in the checkpoint "
    "gets them as they are by default."
)
FIT_HELP = "Pad audio that is shorter than --length by repeating it or with zeros.  [default: repeat]"
LENGTH_HELP = (
    "Cut or pad every utterance to this many samples at 16 kHz.  [default: 64600; 66800 for conformer_tcm with its "
    "speech model]"
)
IN_HELP = "Read this checkpoint (.pth, .pt, .ckpt or .safetensors)."
LENGTH = click.IntRange(MIN_SAMPLES, MAX_SAMPLES)
SCORES = ("log-odds", "bonafide-logit")
OPTION_OF = {"n_samples": "length", "layers": "layer", "speech_model": "speech-model"}
"""Options whose name is not that of their value."""


@click.command(epilog=EXAMPLES)
@click.option("--backend", metavar="NAME", required=True, help=BACKEND_HELP)
@click.option("--in", "source", type=cli.input_file, required=True, help=IN_HELP)
@click.option("--out", type=cli.output, required=True, help="Create this run folder, which must not exist yet.")
@click.option("--bonafide-index", type=click.IntRange(0, 1), default=1, show_default=True, help=INDEX_HELP)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help=SET_HELP)
@click.option("--prefix", default="", help=PREFIX_HELP)
@click.option("--drop", multiple=True, metavar="PREFIX", help=DROP_HELP)
@click.option("--features", type=cli.input_folder, help=FEATURES_HELP)
@click.option("--frontend", metavar="NAME", help=FRONTEND_HELP)
@click.option("--layer", "layers", multiple=True, metavar="last|0…24", help=LAYER_HELP)
@click.option("--weights", type=cli.checkpoint_folder, help=WEIGHTS_HELP)
@click.option("--normalize", type=click.Choice(NORMALIZATIONS), help=NORMALIZE_HELP)
@click.option("--fit", type=click.Choice(list(FIT_RULES)), help=FIT_HELP)
@click.option("--length", "n_samples", type=LENGTH, help=LENGTH_HELP)
@click.option("--speech-model", metavar="NAME|FOLDER", help=SPEECH_MODEL_HELP)
@click.option("--score", type=click.Choice(SCORES), help=SCORE_HELP)
@cli.sentences()
def main(
    backend: str, source: Path, out: Path, bonafide_index: int, settings: tuple[str, ...], prefix: str,
    drop: tuple[str, ...], features: Path | None, score: str | None, **hearing: Any,
) -> None:  # fmt: skip
    """Make a run folder of a published checkpoint.

    No code in the checkpoint is executed. It must contain all parameters of the back-end, in the right shapes. Entries
    that do not belong to the back-end are ignored and listed on standard error. A checkpoint that also holds the
    fine-tuned speech model, under the names of fairseq or transformers, becomes a run that takes waveforms.
    """
    if out.exists():
        raise cli.Sentence(f"{out} exists already; expected a new folder")
    from spoofcache.engine.checkpoint import save_best
    from spoofcache.engine.foreign import ForeignSettings, load_foreign
    from spoofcache.engine.foreign_entries import Choice
    from spoofcache.features.plan import keep_weights_folder, weights_folder

    chosen = {name: value for name, value in hearing.items() if value}
    heard = _heard(backend, features, chosen)
    given = ForeignSettings(
        _parse(settings), bonafide_index, Choice(prefix, drop), heard.speech_model, score or heard.score
    )
    imported = load_foreign(source, backend, heard.shape, heard.identity, given)
    if imported.note:
        click.echo(imported.note, err=True)
    weights = weights_folder(features) if features else chosen.get("weights")
    with new_folder(out) as folder:
        save_best(folder, imported.model, imported.about)
        if weights:
            keep_weights_folder(folder, weights.resolve())
    click.echo(out)


class Heard(NamedTuple):
    """What the network takes: the shape and the identity of its features, and the speech model in the checkpoint.

    `score` is the default score.
    """

    shape: tuple[int, ...]
    identity: "Identity"
    speech_model: "EncoderSpec | None" = None
    score: str = SCORES[0]


def _heard(backend: str, features: Path | None, chosen: dict[str, Any]) -> Heard:
    """What the options say, or else what the published system with that back-end takes."""
    from spoofcache.engine.foreign import HEAR_WAVEFORMS

    if features and chosen:
        name = next(iter(chosen))
        raise click.UsageError(
            f"--features already decides --{OPTION_OF.get(name, name)}; expected only one of the two"
        )
    if features:
        return _of_cache(features)
    has_front_end = "frontend" in chosen or backend in HEAR_WAVEFORMS
    if has_front_end and "speech_model" in chosen:
        other = "--frontend" if "frontend" in chosen else f"--backend {backend}, which takes waveforms"
        raise click.UsageError(f"--speech-model with {other}; expected only one of the two")
    if not has_front_end and "weights" in chosen:
        raise click.UsageError("--weights without --frontend; expected both, or --speech-model")
    return _of_front_end(**chosen) if has_front_end else _of_system(backend, **chosen)


def _of_cache(folder: Path) -> Heard:
    """The features of a cache."""
    from spoofcache.features.plan import read_manifest

    plan = read_manifest(folder)
    plan.identity.require_frames(folder)
    return Heard(plan.row_shape, plan.identity)


def _of_front_end(frontend: str = "raw", **chosen: Any) -> Heard:
    """The features that a cache with these options would have."""
    from spoofcache.features.extract import make_identity
    from spoofcache.features.extract_options import ExtractOptions
    from spoofcache.features.frontends import make_frontend
    from spoofcache.features.frontends.base import FrontEndOptions

    how = ExtractOptions(**{name: chosen.pop(name) for name in ("fit", "n_samples") if name in chosen})
    network = make_frontend(frontend, FrontEndOptions(**chosen))
    return Heard(network.row_shape(how.n_samples), make_identity(network, how))


def _of_system(backend: str, speech_model: str = "xls-r-300m", **chosen: Any) -> Heard:
    """Waveforms for a speech model whose weights are in the checkpoint, as in the publication unless chosen."""
    from spoofcache.engine.published import PUBLISHED, UNKNOWN, SpeechModel
    from spoofcache.features.encoder import read_geometry

    scorer = PUBLISHED.get(backend, UNKNOWN)
    model = SpeechModel(read_geometry(speech_model), chosen.get("layers"), chosen.get("normalize", "none"))
    fit, n_samples = chosen.get("fit", "repeat"), chosen.get("n_samples", scorer.n_samples)
    waveform = _of_front_end(fit=fit, n_samples=n_samples)
    return waveform._replace(speech_model=model.encoder(backend), score=scorer.score)


def _parse(settings: tuple[str, ...]) -> dict[str, Any]:
    """Parse settings `key=value`, whose values are TOML or plain words."""
    parsed: dict[str, Any] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise click.UsageError(f"--set {text!r}; expected key=value")
        try:
            parsed[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parsed[key] = value
    return parsed


if __name__ == "__main__":
    main()
