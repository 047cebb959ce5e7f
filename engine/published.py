"""Published systems that were fine-tuned together with their speech model: what their scorers do before and after it.

A checkpoint holds the weights only. Everything here was read in the code of the public repositories. Each of them feeds
the waveform to the speech model as it is, without normalisation, repeats a short waveform until it has the length below
and cuts a long one, has bona fide as class 1, and writes the output for bona fide as the score.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from spoofcache.features.encoder import LAST, EncoderSpec, Geometry
from spoofcache.features.waveform import N_SAMPLES
from spoofcache.models.losses import BONAFIDE_LOGIT


@dataclass(frozen=True)
class Scorer:
    """How a published system scores.

    Attributes:
        source: the public repository and its commit.
        n_samples: length of the waveform in samples, at 16 kHz.
        every_block: whether the back-end gets the raw outputs of all blocks rather than the last hidden state.
        score: a key of `models.losses.SCORES`.
    """

    source: str
    n_samples: int = N_SAMPLES
    every_block: bool = False
    score: str = BONAFIDE_LOGIT

    def layers(self, depth: int) -> tuple[str, ...]:
        """The hidden states that the back-end gets from a model of so many blocks."""
        return tuple(map(str, range(1, depth + 1))) if self.every_block else (LAST,)


PUBLISHED: Mapping[str, Scorer] = {
    "ssl_aasist": Scorer("TakHemlata/SSL_Anti-spoofing, 17111cd"),
    "sls": Scorer("QiShanZhang/SLSforASVspoof-2021-DF, c30d005", every_block=True),
    "nes2net_x": Scorer("Liu-Tianchi/Nes2Net_ASVspoof_ITW, 0eff973"),
    "conformer_tcm": Scorer("ductuantruong/tcm_add, e62aaf1", n_samples=66_800),
}
"""By back-end. The last of them takes 66,800 samples on ASVspoof 2021, and 64,600 on In-the-Wild."""

UNKNOWN = Scorer("")
"""The assumptions about a system with any other back-end."""


@dataclass(frozen=True)
class SpeechModel:
    """The speech model in a published checkpoint.

    Attributes:
        geometry: number and size of its blocks and their heads; the checkpoint does not show all of it.
        layers: the hidden states that the back-end gets; None for those that the published system gives it.
        normalize: normalisation of the waveform, one of NORMALIZATIONS; the published systems do without.
    """

    geometry: Geometry
    layers: tuple[str, ...] | None = None
    normalize: str = "none"

    def encoder(self, backend: str) -> EncoderSpec:
        """The whole speech model as an encoder in front of a back-end, all of it trained.

        Raises:
            FrontEndError: its family is not supported, or it has no such hidden state.
        """
        scorer = PUBLISHED.get(backend, UNKNOWN)
        layers = self.layers or scorer.layers(int(self.geometry.configuration["num_hidden_layers"]))
        spec = EncoderSpec(
            name=self.geometry.name,
            weights_sha256="",
            normalize=self.normalize,
            model=self.geometry.configuration,
            trainable_from="waveform",
            layers_out=layers,
            combine="stack" if len(layers) > 1 or scorer.every_block else "sum",
            train_extractor=True,
        )
        return EncoderSpec.from_mapping(asdict(spec))
