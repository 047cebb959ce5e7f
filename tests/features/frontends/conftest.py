import pytest
import torch

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
            write_checkpoint(folders[key], architecture, **{"layers": 3, **TINY, **settings})
        return folders[key]

    return make


@pytest.fixture(scope="session")
def waveforms():
    """Three waveforms of half a second with an offset, so that normalisation shows [3, 8000]."""
    generator = torch.Generator().manual_seed(0)
    return 0.1 + 0.05 * torch.randn(3, 8_000, generator=generator)
