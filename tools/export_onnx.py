"""Export the network of a run as an ONNX model, which programs score with where PyTorch is not installed."""

import spoofcache.common.signals  # noqa: F401

from pathlib import Path

import click

from spoofcache.common import cli

EXAMPLES = """\b
Examples:
  python tools/export_onnx.py --run runs/lcnn --onnx lcnn.onnx
\b
  # a run on the features raw: waveforms in, scores out
  python tools/export_onnx.py --run runs/aasist --onnx aasist.onnx --waveform
"""


@click.command(epilog=EXAMPLES)
@click.option("--run", type=cli.input_folder, required=True, help="Export the network of this run folder.")
@click.option("--onnx", "out", type=cli.output, required=True, help="Write the model to this file.")
@click.option(
    "--checkpoint",
    type=click.Choice(["best", "average"]),
    default="best",
    show_default=True,
    help="Export these weights of the run.",
)
@click.option(
    "--waveform", is_flag=True, help="Take waveforms instead of features, which needs a run on the features raw."
)
@click.option("--overwrite", is_flag=True, help="Replace the file if it already exists.")
@cli.sentences()
def main(run: Path, out: Path, checkpoint: str, waveform: bool, overwrite: bool) -> None:
    """Export the network of a run with its score as an ONNX model for batches of any size.

    The model takes features in float32 and gives `score` and, if the run has a calibration, `calibrated_llr`. Before
    the file is written, its results are compared with those of PyTorch. The properties of the file contain the
    identity of the features, their shape, the name of the run and its threshold.
    """
    from spoofcache.common.files import atomic_path
    from spoofcache.engine.onnx_export import export_run

    cli.check_outputs([out], [run], overwrite)
    exported = export_run(run, checkpoint, waveform)
    with atomic_path(out) as path:
        path.write_bytes(exported.content)
    click.echo(
        f"{out}: {' and '.join(exported.outputs)}; {len(exported.content) / 1e6:.1f} MB; differs from PyTorch by at "
        f"most {exported.difference:.1e} of the largest value"
    )


if __name__ == "__main__":
    main()
