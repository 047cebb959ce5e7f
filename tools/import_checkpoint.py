"""A published checkpoint → a run folder for generate_score.py and detect.py."""

import tomllib
from pathlib import Path
from typing import Any

import click

from spoofcache.common import cli
from spoofcache.common.files import new_folder
from spoofcache.engine.checkpoint import save_best
from spoofcache.engine.foreign import HEAR_WAVEFORMS, load_foreign
from spoofcache.features.extract import ExtractOptions, make_identity
from spoofcache.features.frontends import FRONTENDS, make_frontend
from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.frontends.ssl import NORMALIZATIONS
from spoofcache.features.plan import Identity, read_manifest
from spoofcache.features.waveform import FIT_RULES, MAX_SAMPLES, MIN_SAMPLES
from spoofcache.models import BACKENDS

EXAMPLES = f"""\b
Examples:
  # hears waveforms, as AASIST, AASIST-L and RawNet2 do
  python tools/import_checkpoint.py --backend aasist --in AASIST.pth --out runs/aasist_official
  python generate_score.py --run runs/aasist_official --features cache/…/eval --out scores/aasist.txt
\b
  # hears the hidden states that a cache holds; trained elsewhere with bona fide as class 0
  python tools/import_checkpoint.py --backend lcnn --in lcnn.pt --out runs/theirs --features cache/…/eval \\
         --bonafide-index 0
\b
Back-ends: {", ".join(BACKENDS)}.
Front-ends: {", ".join(FRONTENDS)}, or the hub's owner/name.
"""
INDEX_HELP = "Class index of bona fide in the checkpoint; for 0 the two output rows are swapped."
SET_HELP = "Setting of the back-end, `channels=24`; may be repeated."
PREFIX_HELP = "Takes only the entries whose names begin so, without it."
FEATURES_HELP = "Cached partition of the features that it was trained on."
FRONTEND_HELP = "Where there is no cache: what turns waveforms into its features.  [default: raw]"
WEIGHTS_HELP = "Local checkpoint folder of the front-end in the hub's format."
LENGTH = click.IntRange(MIN_SAMPLES, MAX_SAMPLES)


@click.command(epilog=EXAMPLES)
@click.option("--backend", type=click.Choice(list(BACKENDS)), metavar="NAME", required=True, help="Network to fill.")
@click.option("--in", "source", type=cli.input_file, required=True, help="Checkpoint (.pth, .pt, .ckpt).")
@click.option("--out", type=cli.output, required=True, help="Run folder; must not exist.")
@click.option("--bonafide-index", type=click.IntRange(0, 1), default=1, show_default=True, help=INDEX_HELP)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help=SET_HELP)
@click.option("--prefix", default="", help=PREFIX_HELP)
@click.option("--features", type=cli.input_folder, help=FEATURES_HELP)
@click.option("--frontend", metavar="NAME", help=FRONTEND_HELP)
@click.option("--layer", "layers", multiple=True, metavar="last|0…24", help="Hidden state by name; may be repeated.")
@click.option("--weights", type=cli.input_folder, help=WEIGHTS_HELP)
@click.option("--normalize", type=click.Choice(NORMALIZATIONS), help="Of the waveform; the front-end's own if left.")
@click.option("--fit", type=click.Choice(list(FIT_RULES)), help="What fills short audio.  [default: repeat]")
@click.option("--length", "n_samples", type=LENGTH, help="Samples, at 16 kHz.  [default: 64600]")
@cli.sentences()
def main(
    backend: str, source: Path, out: Path, bonafide_index: int, settings: tuple[str, ...], prefix: str,
    features: Path | None, **hearing: Any,
) -> None:  # fmt: skip
    """Make a run folder of a published checkpoint.

    Nothing in the checkpoint is executed; its names, shapes and values must be exactly those of the back-end.
    """
    if out.exists():
        raise cli.Sentence(f"{out} exists; expected a new folder")
    chosen = {name: value for name, value in hearing.items() if value}
    if features and chosen:
        raise click.UsageError(f"--features says what --{next(iter(chosen))} would; expected one of the two")
    if not features and not chosen.get("frontend") and backend not in HEAR_WAVEFORMS:
        raise click.UsageError(f"{backend} hears features of a front-end; expected --features or --frontend")
    shape, identity = _of_cache(features) if features else _of_front_end(**chosen)
    given = _parse(settings)
    model, about = load_foreign(
        source, backend, shape, identity, settings=given, bonafide_index=bonafide_index, prefix=prefix
    )
    with new_folder(out) as folder:
        save_best(folder, model, about)
    click.echo(out)


def _of_cache(folder: Path) -> tuple[tuple[int, ...], Identity]:
    """Shape and identity of cached features."""
    plan = read_manifest(folder)
    return plan.row_shape, plan.identity


def _of_front_end(frontend: str = "raw", **chosen: Any) -> tuple[tuple[int, ...], Identity]:
    """Shape and identity of the features that a cache would get with these options."""
    how = ExtractOptions(**{name: chosen.pop(name) for name in ("fit", "n_samples") if name in chosen})
    network = make_frontend(frontend, FrontEndOptions(**chosen))
    return network.row_shape(how.n_samples), make_identity(network, how)


def _parse(settings: tuple[str, ...]) -> dict[str, Any]:
    """`key=value` with values in TOML, or plain words."""
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
