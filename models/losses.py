"""LOSSES: each registry name and the loss it stands for; the losses on logits are defined here."""

import math
from collections.abc import Callable, Mapping

import torch
from torch.nn import functional as F

from spoofcache.models.cosine_losses import AAMSoftmax, AMSoftmax, OCSoftmax, P2SGrad
from spoofcache.models.objective import Objective, cross_entropy, require
from spoofcache.models.output import BackendOutput, log_odds

LOG_ODDS = "log-odds"
BONAFIDE_LOGIT = "bonafide-logit"
SCORES: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    LOG_ODDS: log_odds,
    BONAFIDE_LOGIT: lambda logits: logits[:, 1].float(),
}
"""Scores [B] of logits [B, 2] in float32 that `cross_entropy` can give; a higher one is more bona fide."""


class CrossEntropy(Objective):
    """ℓ = −log p(y), where p is the soft-max of the logits.

    Args:
        score: "log-odds" of the logits, or "bonafide-logit", the logit of bona fide alone, which many published systems
            use. The two order utterances differently, so that their EERs differ.

    Raises:
        ValueError: Another score.
    """

    def __init__(self, class_weights: torch.Tensor, embedding_size: int, score: str = LOG_ODDS) -> None:
        super().__init__(class_weights, embedding_size)
        require(score in SCORES, f"cross_entropy with score {score!r}; expected one of {', '.join(SCORES)}")
        self._score = SCORES[score]

    def score(self, output: BackendOutput) -> torch.Tensor:
        return self._score(output.logits)

    def per_utterance(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        return cross_entropy(output.logits, labels)


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
        require(0 <= gamma < math.inf, f"focal with gamma {gamma}; expected at least 0")
        require(alpha is None or 0 < alpha < 1, f"focal with alpha {alpha}; expected 0 < alpha < 1")
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
        require(0 <= gamma < math.inf, f"{name} with gamma {gamma}; expected at least 0")
        require(0 < eer_threshold <= 1, f"{name} with eer_threshold {eer_threshold}; expected a fraction in (0, 1]")
        require(transition_epochs >= 1, f"{name} with transition_epochs {transition_epochs}; expected at least 1")
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
        return cross_entropy(output.logits, labels).lerp(_focal(output.logits, labels, self.gamma), self.share)


def transition(epoch: int, start: int, length: int) -> float:
    """Return how far a transition from 0 to 1 over `length` epochs has come in `epoch`, if it was triggered at `start`.

    It lags by one epoch, as in the training code of KORALLLL/AASIST_SCALING (see CrossEntropyToFocal).

    >>> [transition(epoch, start=3, length=2) for epoch in (3, 4, 5, 6, 7)]
    [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    return min(1.0, max(0, epoch - 1 - start) / length)


def _focal(logits: torch.Tensor, labels: torch.Tensor, gamma: float) -> torch.Tensor:
    # 1 − p(y) is the probability of the other class, which is exp(−cross-entropy with the other label). Written as
    # (1 − p(y))^gamma, the slope would not be finite for gamma between 0 and 1 where p(y) rounds to 1.
    return torch.exp(-gamma * cross_entropy(logits, 1 - labels)) * cross_entropy(logits, labels)


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
