"""LOSSES: registry name → what a back-end is trained with, and the score that belongs to it."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.output import BackendOutput, log_odds


class Objective(nn.Module):
    """The loss of a batch, Σ w(y)·ℓ / Σ w(y) over its utterances as in nn.CrossEntropyLoss, and the score [B].

    The formulas of the losses below are of ℓ, the loss of one utterance; y is its class index, 0 = spoof, 1 = bona
    fide. With both class weights 1 a loss is the plain mean of its paper.

    Args:
        class_weights: w [2] by class index, positive.
        embedding_size: E of the back-end's embeddings; what has no vectors of its own does not look at it.
    """

    uses_logits = True
    """False where the loss has class vectors of its own, on the embedding. What a back-end does after its embedding
    then gets no gradient and stays as it was drawn: its logits mean nothing, only `score` does."""

    class_weights: torch.Tensor

    def __init__(self, class_weights: torch.Tensor, embedding_size: int) -> None:
        super().__init__()
        # of the experiment, not learnt: no part of the state
        self.register_buffer("class_weights", class_weights.float(), persistent=False)
        self._weights_on_host = class_weights.float().cpu()

    def forward(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        """Embeddings [B, E] and logits [B, 2] of any precision, class indices [B] → scalar in float32."""
        weights = self.class_weights[labels]
        return (weights * self.per_utterance(output, labels)).sum() / weights.sum()

    def per_utterance(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        """ℓ [B] in float32."""
        raise NotImplementedError

    def score(self, output: BackendOutput) -> torch.Tensor:
        """Countermeasure score [B] in float32, higher = more bona fide: the log-odds of the logits."""
        return log_odds(output.logits)

    def batch_weight(self, labels: torch.Tensor) -> float:
        """Σ w(y): what the loss of a batch with these class indices [B] counts in a mean over batches.

        Of labels on the host it does not wait for a GPU.
        """
        return float(self._weights_on_host[labels.cpu()].sum())

    def begin_epoch(self, epoch: int, best_dev_eer: float | None) -> None:
        """Hear that `epoch` (from 0) begins, and the lowest dev EER (a fraction) so far; None before the first."""


class CrossEntropy(Objective):
    """ℓ = −log p(y), where p is the soft-max of the logits."""

    def per_utterance(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        return _cross_entropy(output.logits, labels)


class BinaryCrossEntropy(Objective):
    """ℓ = −log σ(z) for bona fide, −log(1 − σ(z)) for spoof, where z = logit of bona fide − logit of spoof.

    For networks with one logit z, such as the LFCC-LCNN of ASVspoof 2021 (SPECS.md §7.2), whose logits are [0, z].
    With two free logits it is `cross_entropy`: the soft-max of two classes is the sigmoid of their difference.
    """

    def per_utterance(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(log_odds(output.logits), labels.float(), reduction="none")


class Focal(Objective):
    """ℓ = −a(y)·(1 − p(y))^gamma·log p(y): cross-entropy in which easy utterances count less.

    Lin et al.: "Focal loss for dense object detection", ICCV 2017, eq. 5. Gamma 0 without alpha is `cross_entropy`.

    Args:
        gamma: at least 0.
        alpha: a of bona fide, between 0 and 1; that of spoof is 1 − alpha. None: both are 1. It comes on top of the
            class weights and, unlike these, is not divided out.

    Raises:
        ValueError: a setting outside these limits.
    """

    def __init__(
        self, class_weights: torch.Tensor, embedding_size: int, gamma: float = 2.0, alpha: float | None = None
    ) -> None:
        super().__init__(class_weights, embedding_size)
        _require(0 <= gamma < math.inf, f"focal with gamma {gamma}; expected at least 0")
        _require(alpha is None or 0 < alpha < 1, f"focal with alpha {alpha}; expected 0 < alpha < 1")
        self.gamma, self.alpha = gamma, alpha

    def per_utterance(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        focal = _focal(output.logits, labels, self.gamma)
        return focal if self.alpha is None else torch.where(labels == 1, self.alpha, 1 - self.alpha) * focal


class CrossEntropyToFocal(Objective):
    """ℓ = (1 − share)·cross-entropy + share·focal: first cross-entropy, focal once the network is good enough.

    The loss of the enhanced AASIST (SPECS.md §4.2), epoch for epoch. Its share is set after an epoch t for the next
    one, min(1, (t − start) / transition_epochs), before the EER of t joins the best; start is the first t at which
    the best is below the threshold. So if epoch k is the first with a dev EER below it, start is k + 1, k + 2 is
    the last epoch of plain cross-entropy, k + 3 has the share 1 / transition_epochs.

    Args:
        gamma: of the focal part, at least 0.
        eer_threshold: a fraction, above 0 and at most 1.
        transition_epochs: at least 1.

    Raises:
        ValueError: a setting outside these limits.
    """

    start: torch.Tensor
    share: torch.Tensor

    def __init__(
        self,
        class_weights: torch.Tensor,
        embedding_size: int,
        gamma: float = 2.0,
        eer_threshold: float = 0.08,
        transition_epochs: int = 5,
    ) -> None:
        super().__init__(class_weights, embedding_size)
        name = "cross_entropy_to_focal"
        _require(0 <= gamma < math.inf, f"{name} with gamma {gamma}; expected at least 0")
        _require(0 < eer_threshold <= 1, f"{name} with eer_threshold {eer_threshold}; expected a fraction in (0, 1]")
        _require(transition_epochs >= 1, f"{name} with transition_epochs {transition_epochs}; expected at least 1")
        self.gamma, self.eer_threshold, self.transition_epochs = gamma, eer_threshold, transition_epochs
        self.register_buffer("start", torch.tensor(-1))  # no epoch yet
        self.register_buffer("share", torch.tensor(0.0))

    def begin_epoch(self, epoch: int, best_dev_eer: float | None) -> None:
        """Set the share of the focal part in this epoch."""
        if self.start < 0 and best_dev_eer is not None and best_dev_eer < self.eer_threshold:
            self.start.fill_(epoch)
        if self.start >= 0:
            self.share.fill_(transition(epoch, int(self.start), self.transition_epochs))

    def per_utterance(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        return _cross_entropy(output.logits, labels).lerp(_focal(output.logits, labels, self.gamma), self.share)


class _Cosine(Objective):
    """A loss on cosines between the embedding and vectors of its own, which start in random directions."""

    uses_logits = False

    def __init__(self, class_weights: torch.Tensor, embedding_size: int, vectors: int) -> None:
        super().__init__(class_weights, embedding_size)
        self.vectors = nn.Parameter(F.normalize(torch.randn(vectors, embedding_size), dim=1))

    def cosines(self, output: BackendOutput) -> torch.Tensor:
        """Embeddings [B, E] → cosines [B, vectors] in float32."""
        return F.normalize(output.embedding.float(), dim=1) @ F.normalize(self.vectors, dim=1).T


class OCSoftmax(_Cosine):
    """ℓ = log(1 + exp(scale·(m_real − cos))) for bona fide, log(1 + exp(scale·(cos − m_fake))) for spoof.

    The cosine is that to one centre, that of bona fide speech: it draws bona fide within one angle of it and keeps
    spoofs beyond another. It is the score too. Zhang, Jiang, Duan: "One-class learning towards synthetic voice
    spoofing detection", IEEE Signal Processing Letters 28, 2021, section II-C, without class weights (both 1).

    Args:
        m_real, m_fake: cosines, −1 ≤ m_fake < m_real ≤ 1.
        scale: above 0.

    Raises:
        ValueError: a setting outside these limits.
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
        _require(-1 <= m_fake < m_real <= 1, margins)
        _require_scale("oc_softmax", scale)
        self.m_real, self.m_fake, self.scale = m_real, m_fake, scale

    def per_utterance(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        cosine = self.score(output)
        return F.softplus(self.scale * torch.where(labels == 1, self.m_real - cosine, cosine - self.m_fake))

    def score(self, output: BackendOutput) -> torch.Tensor:
        """Cosine [B] of the embedding to the centre."""
        return self.cosines(output)[:, 0]


class _MarginSoftmax(_Cosine):
    """Cross-entropy of scale·cosines to two class vectors, that of the own class made smaller by a margin."""

    def __init__(self, class_weights: torch.Tensor, embedding_size: int, margin: float, scale: float) -> None:
        super().__init__(class_weights, embedding_size, vectors=2)
        self.margin, self.scale = margin, scale

    def per_utterance(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        cosines = self.cosines(output)
        own = F.one_hot(labels, 2).bool()
        return _cross_entropy(self.scale * torch.where(own, self.with_margin(cosines), cosines), labels)

    def with_margin(self, cosines: torch.Tensor) -> torch.Tensor:
        """What cosines of any shape are to the own class."""
        raise NotImplementedError

    def score(self, output: BackendOutput) -> torch.Tensor:
        """Log-odds [B] of the soft-max without its margin: scale·(cosine to bona fide − cosine to spoof)."""
        return log_odds(self.scale * self.cosines(output))


class AMSoftmax(_MarginSoftmax):
    """Additive margin soft-max: the own class has the logit scale·(cos θ − margin), the other one scale·cos θ.

    Wang, Cheng, Liu, Liu: "Additive margin softmax for face verification", IEEE Signal Processing Letters 25, 2018;
    margin and scale of the anti-spoofing system of Zhang, Jiang, Duan (see OCSoftmax), which has no class
    weights (both 1).

    Args:
        margin: at least 0, below 2 (two cosines are never further apart).
        scale: above 0.

    Raises:
        ValueError: a setting outside these limits.
    """

    def __init__(
        self, class_weights: torch.Tensor, embedding_size: int, margin: float = 0.9, scale: float = 20.0
    ) -> None:
        super().__init__(class_weights, embedding_size, margin, scale)
        _require(0 <= margin < 2, f"am_softmax with margin {margin}; expected 0 ≤ margin < 2")
        _require_scale("am_softmax", scale)

    def with_margin(self, cosines: torch.Tensor) -> torch.Tensor:
        return cosines - self.margin


class AAMSoftmax(_MarginSoftmax):
    """Additive angular margin soft-max: the own class has the logit scale·cos(θ + margin), the other scale·cos θ.

    Deng, Guo, Xue, Zafeiriou: "ArcFace: additive angular margin loss for deep face recognition", CVPR 2019, eq. 3;
    margin, scale and what happens near θ = π as in the speaker recipe of SpeechBrain (SPECS.md §6). Where θ + margin
    would pass π, and its cosine rise again, it is cos θ − margin·sin(margin).

    Args:
        margin: an angle in radians, at least 0 and below π/2.
        scale: above 0.

    Raises:
        ValueError: a setting outside these limits.
    """

    def __init__(
        self, class_weights: torch.Tensor, embedding_size: int, margin: float = 0.2, scale: float = 30.0
    ) -> None:
        super().__init__(class_weights, embedding_size, margin, scale)
        _require(0 <= margin < math.pi / 2, f"aam_softmax with margin {margin}; expected 0 ≤ margin < π/2 (radians)")
        _require_scale("aam_softmax", scale)

    def with_margin(self, cosines: torch.Tensor) -> torch.Tensor:
        # the square root has no finite slope at 0, where the embedding is the class vector
        sines = (1 - cosines.square()).clamp(min=1e-12).sqrt()
        cos_margin, sin_margin = math.cos(self.margin), math.sin(self.margin)
        rotated = cosines * cos_margin - sines * sin_margin
        return torch.where(cosines > -cos_margin, rotated, cosines - self.margin * sin_margin)


class P2SGrad(_Cosine):
    """ℓ = ½·Σ over classes k of (cos θ(k) − [k = y])²: mean squared error of two cosines to one-hot targets.

    It has no settings. Wang, Yamagishi: "A comparative study on recent neural spoofing countermeasures for synthetic
    speech detection", Interspeech 2021, whose gradient is that of Zhang et al.: "P2SGrad: refined gradients for
    optimizing deep face models", CVPR 2019. The ½ is the mean over the classes in the code of the former. Without
    class weights there (both 1). The score is the cosine to the class vector of bona fide, as in that code.
    """

    def __init__(self, class_weights: torch.Tensor, embedding_size: int) -> None:
        super().__init__(class_weights, embedding_size, vectors=2)

    def per_utterance(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        return (self.cosines(output) - F.one_hot(labels, 2)).square().mean(dim=1)

    def score(self, output: BackendOutput) -> torch.Tensor:
        """Cosine [B] of the embedding to the class vector of bona fide."""
        return self.cosines(output)[:, 1]


def transition(epoch: int, start: int, length: int) -> float:
    """How far something has come in an epoch that at the start of epoch `start` began to go from 0 to 1 in `length`
    epochs, an epoch late (SPECS.md §4.2).

    >>> [transition(epoch, start=3, length=2) for epoch in (3, 4, 5, 6, 7)]
    [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    return min(1.0, max(0, epoch - 1 - start) / length)


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits.float(), labels, reduction="none")


def _focal(logits: torch.Tensor, labels: torch.Tensor, gamma: float) -> torch.Tensor:
    # 1 − p(y) is the probability of the other class, e to the −(cross-entropy if that were the label): as a power of
    # 1 − p(y), gamma between 0 and 1 would have no finite slope where p(y) rounds to 1
    return torch.exp(-gamma * _cross_entropy(logits, 1 - labels)) * _cross_entropy(logits, labels)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _require_scale(loss: str, scale: float) -> None:
    _require(0 < scale < math.inf, f"{loss} with scale {scale}; expected above 0")


LOSSES: Mapping[str, Callable[..., Objective]] = {
    "cross_entropy": CrossEntropy,
    "focal": Focal,
    "cross_entropy_to_focal": CrossEntropyToFocal,
    "oc_softmax": OCSoftmax,
    "am_softmax": AMSoftmax,
    "aam_softmax": AAMSoftmax,
    "p2sgrad": P2SGrad,
    "binary_cross_entropy": BinaryCrossEntropy,
}
