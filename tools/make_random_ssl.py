"""Write a checkpoint with random weights in the format of the Hugging Face hub, for tests without a download.

The geometry is that of the named model, except for the number and the width of the transformer blocks if given. The
outputs are meaningless, but shapes, sizes and speed are real.
"""

import spoofcache.common.signals  # noqa: F401

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from spoofcache.common.cli import Sentence, sentences
from spoofcache.features.frontends.geometry import (
    ARCHITECTURES,
    W2V_BERT,
    WHISPER,
    configuration,
    normalises,
    random_model,
)

HEAD = 64
"""Size of an attention head in every architecture."""
OLD_NAMES: Mapping[str, str] = {
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
}
"""Names of the two tensors of weight normalisation before torch 2.1; the published XLS-R files still use them."""

EXAMPLES = """\b
Examples:
  python tools/make_random_ssl.py --architecture xls-r-300m --layers 2 --out /tmp/xlsr-2
  python tools/make_random_ssl.py --width 64 --layers 2 --out /tmp/tiny
  python preprocess.py --frontend xls-r-300m --weights /tmp/tiny …
"""


def write_checkpoint(
    folder: Path,
    architecture: str,
    layers: int | None = None,
    seed: int = 0,
    old_form: bool = False,
    **overrides: Any,
) -> None:
    """Write `config.json`, `preprocessor_config.json` and the weights of a randomly initialised model.

    Args:
        folder: folder to write; created if it does not exist.
        architecture: a key of `features.frontends.geometry.ARCHITECTURES`.
        layers: number of transformer blocks; None for as many as the architecture has.
        seed: random seed of the weights.
        old_form: write `pytorch_model.bin` with the tensor names of the published XLS-R checkpoints.
        overrides: further fields of the model's configuration.
    """
    import torch

    depth = {} if layers is None else dict.fromkeys(_fields(architecture).depth, layers)
    torch.manual_seed(seed)
    model = random_model(configuration(architecture, **{**depth, **overrides}))
    folder.mkdir(parents=True, exist_ok=True)
    from spoofcache.features.frontends.inputs import published_extractor  # here: `--help` must not wait for torch

    published_extractor(model.config, normalises(model.config)).save_pretrained(folder)
    if not old_form:
        model.save_pretrained(folder)
        return
    model.config.save_pretrained(folder)
    weights = {f"{model.base_model_prefix}.{_old_name(name)}": tensor for name, tensor in model.state_dict().items()}
    torch.save(weights, folder / "pytorch_model.bin")


class Fields(NamedTuple):
    """Names of the fields of a configuration in transformers that state depth, width, inner width and heads."""

    depth: tuple[str, ...] = ("num_hidden_layers",)
    width: str = "hidden_size"
    inner: tuple[str, ...] = ("intermediate_size",)
    heads: tuple[str, ...] = ("num_attention_heads",)


OF_WHISPER = Fields(
    ("encoder_layers", "decoder_layers"),
    "d_model",
    ("encoder_ffn_dim", "decoder_ffn_dim"),
    ("encoder_attention_heads", "decoder_attention_heads"),
)


def _fields(architecture: str) -> Fields:
    return OF_WHISPER if ARCHITECTURES[architecture].model_type == WHISPER else Fields()


def narrow(width: int, architecture: str = "xls-r-300m") -> dict[str, Any]:
    """Overrides that make a model `width` wide, a multiple of HEAD, with its heads and convolutions in proportion."""
    fields = _fields(architecture)
    convolutions = (
        {} if ARCHITECTURES[architecture].model_type in (WHISPER, W2V_BERT) else {"conv_dim": [min(width, 512)] * 7}
    )
    return {
        fields.width: width,
        **dict.fromkeys(fields.inner, 4 * width),
        **dict.fromkeys(fields.heads, width // HEAD),
        **convolutions,
    }


def _old_name(name: str) -> str:
    for new, old in OLD_NAMES.items():
        name = name.replace(new, old)
    return name


@click.command(epilog=EXAMPLES)
@click.option(
    "--architecture",
    type=click.Choice(list(ARCHITECTURES)),
    default="xls-r-300m",
    show_default=True,
    help="Build a model of this architecture.",
)
@click.option(
    "--layers",
    type=click.IntRange(min=1),
    help="Give the model this many transformer blocks; by default, as many as the architecture has.",
)
@click.option(
    "--width",
    type=click.IntRange(min=64),
    help="Give the hidden states this size, a multiple of 64; by default, that of the architecture.",
)
@click.option("--seed", default=0, show_default=True, help="Draw the weights with this random seed.")
@click.option(
    "--old-form",
    is_flag=True,
    help="Write pytorch_model.bin with the tensor names weight_g and weight_v, as XLS-R was published; by default, "
    "model.safetensors is written.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Create this folder, which must not exist yet."
)
@sentences()
def main(architecture: str, layers: int | None, width: int | None, seed: int, old_form: bool, out: Path) -> None:
    """Write a checkpoint with random weights, in the format of the Hugging Face hub.

    With `--width 64 --layers 2` it has less than 20 MB, which makes it suitable for a first try of every command. The
    weights mean nothing, but sizes and speeds are those of a real model of the same shape.
    """
    if out.exists():
        raise Sentence(f"{out} exists already; expected a new folder")
    if width and width % HEAD:
        raise Sentence(f"--width {width}; expected a multiple of {HEAD}")
    write_checkpoint(out, architecture, layers, seed, old_form, **(narrow(width, architecture) if width else {}))
    click.echo(out)


if __name__ == "__main__":
    main()
