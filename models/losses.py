"""LOSSES: each registry name and the loss it stands for, together with the score that belongs to that loss."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.output import BackendOutput, log_odds


class Objective(nn.Module):
    """The loss of a batch, Σ w(y)·ℓ / Σ w(y) over its utterances as in nn.CrossEntropyLoss, and the score [B].

    The losses below give the formula of ℓ, the loss of one utterance. y is its class index: 0 is spoof, 1 is bona fide.
    With both class weights equal to 1, a loss is the plain mean that its paper defines.

    Args:
        class_weights: Positive weights w [2], by class index.
        embedding_size: E, the size of the back-end's embeddings. Losses without vectors of their own ignore it.
    """

    uses_logits = True
    """False if the loss compares the embedding with class vectors of its own. The layers that a back-end applies after
    its embedding then get no gradient and keep their random initial values, so that its logits mean nothing; only
    `score` does."""

    class_weights: torch.Tensor

    def __init__(self, class_weights: torch.Tensor, embedding_size: int) -> None:
        super().__init__()
        # a setting of the experiment and not learned, hence not part of the state
        self.register_buffer("class_weights", class_weights.float(), persistent=False)
        self._weights_on_host = class_weights.float().cpu()

    def forward(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss, a scalar in float32, of embeddings [B, E] and logits [B, 2] with class indices [B]."""
        weights = self.class_weights[labels]
        return (weights * self.per_utterance(output, labels)).sum() / weights.sum()

    def per_utterance(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        """Return ℓ of each utterance, [B] in float32."""
        raise NotImplementedError

    def score(self, output: BackendOutput) -> torch.Tensor:
        """Return the countermeasure score [B] in float32, the log-odds of the logits; higher is more bona fide."""
        return log_odds(output.logits)

    def batch_weight(self, labels: torch.Tensor) -> float:
        """Return Σ w(y) over class indices [B], the weight of this batch's loss in a mean over batches.

        If the labels are on the host, this does not wait for a GPU.
        """
        return float(self._weights_on_host[labels.cpu()].sum())

    def begin_epoch(self, epoch: int, best_dev_eer: float | None) -> None:
        """Prepare for an epoch. The trainer calls this before each one.

        Args:
            epoch: The number of the epoch, starting at 0.
            best_dev_eer: The lowest dev EER so far, a fraction; None before the first.
        """


class CrossEntropy(Objective):
    """ℓ = −log p(y), where p is the soft-max of the logits."""

    def per_utterance(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        return _cross_entropy(output.logits, labels)


class BinaryCrossEntropy(Objective):
    """ℓ = −log σ(z) for bona fide, −log(1 − σ(z)) for spoof, where z = logit of bona fide − logit of spoof.

    It is meant for networks with one logit z, such as the LFCC-LCNN baseline of ASVspoof 2021
    (asvspoof-challenge/2021), whose logits are [0, z]. With two free logits it equals `cross_entropy`, because the
    soft-max of two classes is the sigmoid of their difference.
    """

    def per_utterance(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(log_odds(output.logits), labels.float(), reduction="none")


class Focal(Objective):
    """ℓ = −a(y)·(1 − p(y))^gamma·log p(y): cross-entropy in which utterances that are easy count less.

    Source: Lin et al.: "Focal loss for dense object detection", ICCV 2017, eq. 5. With gamma 0 and without alpha it is
    `cross_entropy`.

    Args:
        gamma: The exponent, at least 0.
        alpha: a of bona fide, between 0 and 1; that of spoof is 1 − alpha. If None, both are 1. It multiplies the class
            weights but, unlike them, does not enter the denominator of the mean.

    Raises:
        ValueError: A setting is outside its limits.
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
    """ℓ = (1 − share)·cross-entropy + share·focal: cross-entropy first, focal loss once the network is good enough.

    Source: the training code of KORALLLL/AASIST_SCALING ("Towards scalable AASIST", arXiv 2507.11777), epoch for epoch.
    After epoch t it sets the share of the next epoch to min(1, (t − start) / transition_epochs), before the EER of t
    enters the best EER; `start` is the first t at which the best EER is below the threshold. Hence, if epoch k is the
    first with a dev EER below the threshold, start is k + 1, the last epoch of plain cross-entropy is k + 2, and epoch
    k + 3 has the share 1 / transition_epochs.

    Args:
        gamma: The exponent of the focal part, at least 0.
        eer_threshold: The dev EER, a fraction, below which the transition begins; above 0 and at most 1.
        transition_epochs: The number of epochs that the transition takes, at least 1.

    Raises:
        ValueError: A setting is outside its limits.
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
        self.register_buffer("start", torch.tensor(-1))  # no epoch so far
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
        _require(-1 <= m_fake < m_real <= 1, margins)
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
        return _cross_entropy(self.scale * torch.where(own, self.with_margin(cosines), cosines), labels)

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
        _require(0 <= margin < 2, f"am_softmax with margin {margin}; expected 0 ≤ margin < 2")
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
        _require(0 <= margin < math.pi / 2, f"aam_softmax with margin {margin}; expected 0 ≤ margin < π/2 (radians)")
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


def transition(epoch: int, start: int, length: int) -> float:
    """Return how far a transition from 0 to 1 over `length` epochs has come in `epoch`, if it was triggered at `start`.

    It lags by one epoch, as in the training code of KORALLLL/AASIST_SCALING (see CrossEntropyToFocal).

    >>> [transition(epoch, start=3, length=2) for epoch in (3, 4, 5, 6, 7)]
    [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    return min(1.0, max(0, epoch - 1 - start) / length)


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits.float(), labels, reduction="none")


def _focal(logits: torch.Tensor, labels: torch.Tensor, gamma: float) -> torch.Tensor:
    # 1 − p(y) is the probability of the other class, which is exp(−cross-entropy with the other label). Written as
    # (1 − p(y))^gamma, the slope would not be finite for gamma between 0 and 1 where p(y) rounds to 1.
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
