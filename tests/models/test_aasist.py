import numpy as np
import pytest
import torch

from spoofcache.features.waveform import N_SAMPLES, fit_length, load_waveform
from spoofcache.models.aasist import AASIST, AASISTL, FrequencyMask
from tests.models.aasist_golden import n_parameters, numbers, original_shapes, shapes

NETWORKS = pytest.mark.parametrize(
    ("network", "name", "parameters"), [(AASIST, "aasist", 297_866), (AASISTL, "aasist_l", 85_306)], ids=["A", "A-L"]
)


@NETWORKS
def test_names_shapes_and_number_of_parameters_are_the_originals(network, name, parameters):
    model = network((N_SAMPLES,))
    assert shapes(model) == original_shapes(name)
    assert n_parameters(model) == parameters


def six_inputs() -> torch.Tensor:
    """The reference inputs [7, 64600]: two utterances of noise, a sine, silence, a chirp, noise again, an impulse."""
    torch.manual_seed(0)
    n = np.arange(N_SAMPLES)
    t = n / 16_000
    rows = [
        *(torch.randn(2, N_SAMPLES) * 0.1).numpy(),
        0.5 * np.sin(2 * np.pi * 440 * t),
        np.zeros(N_SAMPLES),
        0.3 * np.sin(2 * np.pi * (100 * t + 6_900 / (2 * 4.0375) * t**2)),
        np.random.RandomState(1234).uniform(-0.5, 0.5, N_SAMPLES),
        n == 1_000,
    ]
    return torch.from_numpy(np.stack(rows).astype(np.float32))


PUBLISHED = {"AASIST": AASIST, "AASIST-L": AASISTL}


@pytest.fixture(scope="module", params=PUBLISHED)
def published(request, shared):
    """Name and network with its published weights."""
    model = PUBLISHED[request.param]((N_SAMPLES,))
    path = shared / "weights" / f"{request.param}.pth"
    model.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    return request.param, model.eval()


@pytest.mark.corpus
def test_published_weights_give_the_originals_numbers_on_six_inputs(published):
    name, model = published
    key = name.lower().replace("-", "_")
    with torch.no_grad():
        embedding, logits = model(six_inputs())
    np.testing.assert_allclose(logits.numpy(), numbers(f"{key}/logits"), rtol=0, atol=1e-4)
    np.testing.assert_allclose(embedding.numpy(), numbers(f"{key}/last_hidden"), rtol=0, atol=1e-4)


ANCHORS = {  # logits of bona fide that clovaai/aasist gives the corpus's audio
    "AASIST": {"LA_D_1003356": -6.7869, "LA_E_6163791": -9.0569, "LA_T_1272637": 5.2366},
    "AASIST-L": {"LA_D_1003356": -7.1151, "LA_E_6163791": -10.7682, "LA_T_1272637": 6.8474},
}


@pytest.mark.corpus
def test_published_weights_give_the_originals_scores_on_three_utterances(published, shared):
    name, model = published
    audio = shared / "data" / "asvspoof2019_la" / "flac"
    waveforms = [fit_length(load_waveform(audio / f"{utt_id}.flac")) for utt_id in ANCHORS[name]]
    with torch.no_grad():
        logits = model(torch.from_numpy(np.stack(waveforms))).logits
    np.testing.assert_allclose(logits[:, 1].numpy(), list(ANCHORS[name].values()), rtol=0, atol=1e-3)


def test_no_gradient_reaches_what_the_original_never_applies_and_nothing_else():
    torch.manual_seed(0)
    model = AASISTL((10_000,))  # four temporal nodes: a single one would attend to itself whatever its weights
    model(torch.randn(3, 10_000)).logits.square().sum().backward()
    without = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert without == {f"encoder.{block}.0.bn1.{kind}" for block in range(1, 6) for kind in ("weight", "bias")}
    assert all(set(name.split(".")) & set(model.UNUSED) for name in without)


def test_a_frequency_mask_silences_one_stripe_of_bands_for_the_whole_batch():
    torch.manual_seed(0)
    mask, widths = FrequencyMask(), set()
    for _ in range(300):
        bands = mask(torch.ones(2, 70, 3))
        assert torch.equal(bands[0], bands[1])
        silent = (bands[0] == 0).all(1).nonzero()[:, 0].tolist()
        assert silent == list(range(silent[0], silent[0] + len(silent)) if silent else [])
        assert int((bands[0] == 0).sum()) == 3 * len(silent)
        widths.add(len(silent))
    assert widths == set(range(20))


def test_a_frequency_mask_is_off_by_default_and_never_touches_a_score():
    bands = torch.ones(1, 70, 3)
    assert torch.equal(AASIST((2_500,)).mask(bands), bands)
    assert torch.equal(AASIST((2_500,), frequency_mask=True).eval().mask(bands), bands)


def test_a_waveform_that_the_poolings_would_empty_is_refused():
    assert AASIST((2_315,)).eval()(torch.zeros(1, 2_315)).logits.shape == (1, 2)
    with pytest.raises(ValueError, match=r"AASIST on features of shape \(2314,\); expected \(n,\), at least 2315"):
        AASIST((2_314,))
    with pytest.raises(ValueError, match=r"shape \(201, 1024\)"):
        AASIST((201, 1024))
