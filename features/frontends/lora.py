"""LoRA matrices in the blocks of a speech model, through the library peft.

Source: Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022, section 4.1.
"""

from typing import Any

from torch import nn

from spoofcache.features.frontends.base import FrontEndError

TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "intermediate_dense", "output_dense")
"""Linear layers of a block that get matrices: query, key, value and output of the attention, and the feed-forward."""

LORA = "lora_"
"""Part of the name of every LoRA matrix in peft."""


def add_lora(network: nn.Module, rank: int, alpha: float) -> None:
    """Add W·x + (alpha / rank)·B·A·x to every layer of TARGETS, and freeze all other parameters.

    A [rank, in] is drawn from torch's generator, and B [out, rank] is zero, so that the output does not change yet.

    Raises:
        FrontEndError: peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise FrontEndError(
            'encoder.mode is "lora", which needs the library peft; expected it to be installed: '
            'pip install -r requirements-finetune.txt, or pip install "spoofcache[finetune]"'
        ) from error
    network.requires_grad_(False)
    scale: Any = alpha  # declared as a whole number, and only divided by the rank
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=scale, target_modules=list(TARGETS)), network)
