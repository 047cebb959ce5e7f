"""Multi-head factorised attentive pooling (MHFA) over the hidden layers of a speech model.

Source: Peng, Plchot, Stafylakis, Mošner, Burget, Černocký: "An attention-based backend allowing efficient fine-tuning
of transformer models for speaker verification", SLT 2022, and the code of its first author: the public repository
JunyiPeng00/SLT22_MultiHead-Factorized-Attentive-Pooling (commit fa670b7), in the form of zlin0/wedefense (commit
0d29584), which applies it to spoofed speech. State-dict names are those of the latter.
"""

import torch
from torch import nn

from spoofcache.models.layerwise import require_layers
from spoofcache.models.output import BackendOutput


class MHFA(nn.Module):
    """Layers [B, L, T, D] → embedding [B, E], logits [B, 2]; 1,316,436 parameters for 25 layers of D = 1024.

    Two sums over the layers, each with soft-max weights of its own, give keys and values. Both are compressed to C
    values a frame. From the keys follow H weights for each frame, which sum to 1 over time; each of the H heads is a
    weighted mean of the values. A linear layer turns all heads into the embedding. Batch normalisation, a rectifier and
    a linear layer (the repository's projection for the soft-max loss) turn it into logits.

    The repository multiplies the gradient that goes back into the speech model by a factor. A frozen cache has no such
    gradient, and a fine-tuned encoder has a learning rate of its own; the factor is therefore omitted.

    Args:
        feature_shape: (L, T, D), hidden states of any layers.
        heads: H; the repository's recipe for spoofed speech has 32.
        compression: C.
        embedding: E.

    Raises:
        ValueError: The shape is not (L, T, D), or a size is below 1.
    """

    def __init__(
        self, feature_shape: tuple[int, ...], heads: int = 32, compression: int = 128, embedding: int = 256
    ) -> None:
        super().__init__()
        layers, _, coefficients = require_layers(type(self).__name__, feature_shape)
        for name, size in {"heads": heads, "compression": compression, "embedding": embedding}.items():
            if size < 1:
                raise ValueError(f"MHFA with {name} {size}; expected at least 1")
        self.weights_k = nn.Parameter(torch.ones(layers))
        self.weights_v = nn.Parameter(torch.ones(layers))
        self.cmp_linear_k = nn.Linear(coefficients, compression)
        self.cmp_linear_v = nn.Linear(coefficients, compression)
        self.att_head = nn.Linear(compression, heads)
        self.pooling_fc = nn.Linear(heads * compression, embedding)
        trans = nn.Sequential(nn.BatchNorm1d(embedding), nn.ReLU(), nn.Linear(embedding, 2))
        self.projection = nn.ModuleDict({"trans": trans})

    def forward(self, features: torch.Tensor) -> BackendOutput:
        keys = self.cmp_linear_k(torch.einsum("bltd,l->btd", features, self.weights_k.softmax(0)))
        values = self.cmp_linear_v(torch.einsum("bltd,l->btd", features, self.weights_v.softmax(0)))
        frame_weights = self.att_head(keys).softmax(1)  # [B, T, H]
        heads = torch.einsum("bth,btc->bhc", frame_weights, values)
        embedding = self.pooling_fc(heads.flatten(1))
        return BackendOutput(embedding, self.projection["trans"](embedding))
