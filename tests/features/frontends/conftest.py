import pytest
import torch

from spoofcache.features.frontends.geometry import ARCHITECTURES
from spoofcache.tools.make_random_ssl import write_checkpoint

TINY = {
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "initializer_range": 0.1,  # so that neighbouring layers differ by far more than rounding
}


TINY_W2V_BERT = {
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_depthwise_kernel_size": 7,
    "initializer_range": 0.1,
}
TINY_WHISPER = {
    "d_model": 32,
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 48),
    "vocab_size": 64,
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 1),
    "init_std": 0.1,
}


def tiny(architecture):
    """Settings that make a model of that architecture tiny."""
    return {"whisper": TINY_WHISPER, "wav2vec2-bert": TINY_W2V_BERT}.get(ARCHITECTURES[architecture].model_type, TINY)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """`checkpoint("xls-r-300m")`: a folder in the hub's format with three narrow blocks and random weights.

    Further settings go to `write_checkpoint`. Made once for each set of settings: change a copy only.
    """
    folders = {}

    def make(architecture, **settings):
        key = (architecture, *sorted(settings.items()))
        if key not in folders:
            folders[key] = tmp_path_factory.mktemp(architecture)
            write_checkpoint(folders[key], architecture, **{"layers": 3, **tiny(architecture), **settings})
        return folders[key]

    return make


@pytest.fixture(scope="session")
def waveforms():
    """Three waveforms of half a second with an offset, so that normalisation shows [3, 8000]."""
    generator = torch.Generator().manual_seed(0)
    return 0.1 + 0.05 * torch.randn(3, 8_000, generator=generator)
