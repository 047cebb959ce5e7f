"""Losses on the cosines between an embedding and learned vectors, and the scores that belong to them."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.objective import Objective, cross_entropy, require
from spoofcache.models.output import BackendOutput, log_odds


class _Cosine(Objective):
    """A loss on cosines between the embedding and learned vectors, which start in random directions."""

    uses_logits = False

    def __init__(self, class_weights: torch.Tensor, embedding_size: int, vectors: int) -> None:
        super().__init__(class_weights, embedding_size)
        self.vectors = nn.Parameter(F.normalize(torch.randn(vectors, embedding_size), dim=1))

    def cosines(self, output: BackendOutput) -> torch.Tensor:
        """Return the cosines [B, vectors] in float32 of embeddings [B, E]."""
        return F.normalize(output.embedding.float(), dim=1) @ F.normalize(self.vectors, dim=1).T


class OCSoftmax(_Cosine):
    """ℓ = log(1 + exp(scale·(m_real − cos))) for bona fide, log(1 + exp(scale·(cos − m_fake))) for spoof.

    The cosine is taken to a single centre, that of bona fide speech. The loss draws bona fide utterances within one
    angle of the centre and keeps spoofed ones beyond another. The cosine is also the score. Source: Zhang, Jiang, Duan:
    "One-class learning towards synthetic voice spoofing detection", IEEE Signal Processing Letters 28, 2021, section
    II-C, where there are no class weights (set both to 1).

    Args:
        m_real, m_fake: The two cosines, −1 ≤ m_fake < m_real ≤ 1.
        scale: A factor above 0.

    Raises:
        ValueError: A setting is outside its limits.
    """

    def __init__(
        self,
        class_weights: torch.Tensor,
        embedding_size: int,
        m_real: float = 0.9,
        m_fake: float = 0.2,
        scale: float = 20.0,
    ) -> None:
        super().__init__(class_weights, embedding_size, vectors=1)
        margins = f"oc_softmax with m_fake {m_fake} and m_real {m_real}; expected −1 ≤ m_fake < m_real ≤ 1"
        require(-1 <= m_fake < m_real <= 1, margins)
        _require_scale("oc_softmax", scale)
        self.m_real, self.m_fake, self.scale = m_real, m_fake, scale

    def per_utterance(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        cosine = self.score(output)
        return F.softplus(self.scale * torch.where(labels == 1, self.m_real - cosine, cosine - self.m_fake))

    def score(self, output: BackendOutput) -> torch.Tensor:
        """Return the cosine [B] between the embedding and the centre."""
        return self.cosines(output)[:, 0]


class _MarginSoftmax(_Cosine):
    """Cross-entropy of scale·cosines to two class vectors, with the cosine to the true class reduced by a margin."""

    def __init__(self, class_weights: torch.Tensor, embedding_size: int, margin: float, scale: float) -> None:
        super().__init__(class_weights, embedding_size, vectors=2)
        self.margin, self.scale = margin, scale

    def per_utterance(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        cosines = self.cosines(output)
        own = F.one_hot(labels, 2).bool()
        return cross_entropy(self.scale * torch.where(own, self.with_margin(cosines), cosines), labels)

    def with_margin(self, cosines: torch.Tensor) -> torch.Tensor:
        """Return cosines of any shape after the margin of the true class has been applied."""
        raise NotImplementedError

    def score(self, output: BackendOutput) -> torch.Tensor:
        """Return the log-odds [B] without the margin: scale·(cosine to bona fide − cosine to spoof)."""
        return log_odds(self.scale * self.cosines(output))


class AMSoftmax(_MarginSoftmax):
    """Additive margin soft-max: the true class has the logit scale·(cos θ − margin), the other one scale·cos θ.

    Source: Wang, Cheng, Liu, Liu: "Additive margin softmax for face verification", IEEE Signal Processing Letters 25,
    2018. The default margin and scale are those of the anti-spoofing system of Zhang, Jiang, Duan (see OCSoftmax),
    which has no class weights (set both to 1).

    Args:
        margin: At least 0 and below 2, the largest difference of two cosines.
        scale: A factor above 0.

    Raises:
        ValueError: A setting is outside its limits.
    """

    def __init__(
        self, class_weights: torch.Tensor, embedding_size: int, margin: float = 0.9, scale: float = 20.0
    ) -> None:
        super().__init__(class_weights, embedding_size, margin, scale)
        require(0 <= margin < 2, f"am_softmax with margin {margin}; expected 0 ≤ margin < 2")
        _require_scale("am_softmax", scale)

    def with_margin(self, cosines: torch.Tensor) -> torch.Tensor:
        return cosines - self.margin


class AAMSoftmax(_MarginSoftmax):
    """Additive angular margin soft-max: the true class has the logit scale·cos(θ + margin), the other scale·cos θ.

    Source: Deng, Guo, Xue, Zafeiriou: "ArcFace: additive angular margin loss for deep face recognition", CVPR 2019,
    eq. 3. The default margin and scale, and the behaviour near θ = π, are those of the ECAPA-TDNN recipe of
    speechbrain/speechbrain (commit 9c826ef): where θ + margin would exceed π, beyond which its cosine would rise again,
    the logit is scale·(cos θ − margin·sin(margin)).

    cos(θ + margin) = cos θ·cos(margin) − sin θ·sin(margin), and θ + margin < π exactly if cos θ > −cos(margin).

    Args:
        margin: An angle in radians, at least 0 and below π/2.
        scale: A factor above 0.

    Raises:
        ValueError: A setting is outside its limits.
    """

    def __init__(
        self, class_weights: torch.Tensor, embedding_size: int, margin: float = 0.2, scale: float = 30.0
    ) -> None:
        super().__init__(class_weights, embedding_size, margin, scale)
        require(0 <= margin < math.pi / 2, f"aam_softmax with margin {margin}; expected 0 ≤ margin < π/2 (radians)")
        _require_scale("aam_softmax", scale)

    def with_margin(self, cosines: torch.Tensor) -> torch.Tensor:
        # at 0, where the embedding is the class vector, the square root has no finite slope
        sines = (1 - cosines.square()).clamp(min=1e-12).sqrt()
        cos_margin, sin_margin = math.cos(self.margin), math.sin(self.margin)
        rotated = cosines * cos_margin - sines * sin_margin
        return torch.where(cosines > -cos_margin, rotated, cosines - self.margin * sin_margin)


class P2SGrad(_Cosine):
    """ℓ = ½·Σ over classes k of (cos θ(k) − [k = y])²: mean squared error of two cosines to one-hot targets.

    It has no settings. Source: Wang, Yamagishi: "A comparative study on recent neural spoofing countermeasures for
    synthetic speech detection", Interspeech 2021, whose gradient is that of Zhang et al.: "P2SGrad: refined gradients
    for optimizing deep face models", CVPR 2019. The ½ is the mean over the two classes in the public code of the
    former, which has no class weights (set both to 1). The score is the cosine to the class vector of bona fide, as in
    that code.
    """

    def __init__(self, class_weights: torch.Tensor, embedding_size: int) -> None:
        super().__init__(class_weights, embedding_size, vectors=2)

    def per_utterance(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        return (self.cosines(output) - F.one_hot(labels, 2)).square().mean(dim=1)

    def score(self, output: BackendOutput) -> torch.Tensor:
        """Return the cosine [B] between the embedding and the class vector of bona fide."""
        return self.cosines(output)[:, 1]


def _require_scale(loss: str, scale: float) -> None:
    require(0 < scale < math.inf, f"{loss} with scale {scale}; expected above 0")
