"""What every front-end keeps to, over the whole registry."""

import json
from pathlib import Path

import pytest
import torch

from spoofcache.features.frontends import FRONTENDS, make_frontend
from spoofcache.features.frontends.base import FrontEnd, FrontEndError, FrontEndOptions
from spoofcache.features.frontends.hub import HUB_NAMES
from spoofcache.features.plan import ITEM_BYTES

WITHOUT_NETWORK = sorted(set(FRONTENDS) - set(HUB_NAMES))


# the models of Whisper differ in their checkpoints only, of which one suffices
@pytest.fixture(params=[name for name in FRONTENDS if not name.startswith("whisper-") or name == "whisper-tiny"])
def frontend(request, checkpoint):
    """Each front-end of the registry; the speech models with narrow random weights instead of the hub's."""
    family = request.param.partition("-")[0]
    others = {"hubert": "hubert-large", "wavlm": "wavlm-large", "w2v": "w2v-bert-2.0", "whisper": "whisper-tiny"}
    weights = checkpoint(others.get(family, "xls-r-300m")) if request.param in HUB_NAMES else None
    return make_frontend(request.param, FrontEndOptions(weights=weights))


def test_a_checkpoint_of_another_family_is_not_taken_for_the_one_named(checkpoint):
    with pytest.raises(FrontEndError, match="a wavlm model; xls-r-300m expects one of wav2vec2"):
        make_frontend("xls-r-300m", FrontEndOptions(weights=checkpoint("wavlm-large")))


def test_a_path_is_not_taken_for_a_name_on_the_hub(checkpoint):
    with pytest.raises(FrontEndError, match="expected one of"):
        make_frontend(str(checkpoint("xls-r-300m")), FrontEndOptions())


def test_every_speech_model_has_its_name_on_the_hub():
    assert set(HUB_NAMES) <= set(FRONTENDS)
    assert all(name.count("/") == 1 for name in HUB_NAMES.values())


def test_it_is_a_front_end_with_a_name_and_types(frontend):
    assert isinstance(frontend, FrontEnd)
    assert frontend.slug
    assert frontend.dtypes
    assert set(frontend.dtypes) <= set(ITEM_BYTES)


def test_features_have_the_promised_shape_and_type(frontend, waveforms):
    features = frontend.extract(waveforms)
    assert features.shape == (3, *frontend.row_shape(8_000))
    assert features.dtype == torch.float32
    assert features.isfinite().all()
    assert not features.requires_grad


def test_a_row_does_not_depend_on_its_batch(frontend, waveforms):
    together = frontend.extract(waveforms)
    alone = torch.cat([frontend.extract(waveform[None]) for waveform in waveforms])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5 * float(alone.abs().max()))


def test_the_same_waveforms_give_the_same_features(frontend, waveforms):
    assert torch.equal(frontend.extract(waveforms), frontend.extract(waveforms))


def test_the_shortest_waveform_that_is_let_in_has_a_frame(frontend):
    shortest = 560 if frontend.settings()["name"] == "w2v-bert-2.0" else 400  # two windows of 25 ms, 10 ms apart
    assert min(frontend.row_shape(shortest)) >= 1


def test_the_settings_are_json_and_name_the_front_end(frontend):
    settings = json.loads(json.dumps(dict(frontend.settings())))
    assert settings == frontend.settings()
    assert settings["name"] in FRONTENDS


def test_no_two_front_ends_have_the_same_settings():
    settings = [json.dumps(dict(make_frontend(name, FrontEndOptions()).settings())) for name in WITHOUT_NETWORK]
    assert len(set(settings)) == len(WITHOUT_NETWORK)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("layers", ("last",)),
        ("weights", Path("folder")),
        ("normalize", "none"),
        ("precision", "bfloat16"),
        ("check", True),
    ],
)
@pytest.mark.parametrize("name", WITHOUT_NETWORK)
def test_options_of_a_network_are_refused_where_there_is_none(name, option, value):
    with pytest.raises(FrontEndError, match=f"^front-end {name} has no {option}; expected none of these options$"):
        make_frontend(name, FrontEndOptions(**{option: value}))


def test_device_batch_size_and_listener_are_options_of_all():
    for name in WITHOUT_NETWORK:
        make_frontend(name, FrontEndOptions(device=torch.device("cpu"), compiled_batch_size=8, tell=print))


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(FrontEndError) as refusal:
        make_frontend("xlsr", FrontEndOptions())
    assert str(refusal.value).startswith("front-end 'xlsr'; expected one of xls-r-300m, xls-r-1b, ")
    assert str(refusal.value).endswith("raw, a hub's owner/name, or package.module:Name")
