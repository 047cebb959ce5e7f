import pytest
import torch

from spoofcache.models.rawnet2 import RawNet2
from tests.models.reference import assert_equals_original, assert_names_of_original, count_parameters
from tests.recipe import wave


def test_equals_the_original_network_on_the_recipe_weights():
    model = RawNet2((64_600,))
    assert count_parameters(model) == 17_621_410
    assert_names_of_original("rawnet2", model)
    assert_equals_original("rawnet2", model, wave())


def test_only_the_norms_that_the_original_never_uses_get_no_gradient():
    torch.manual_seed(0)
    model = RawNet2((9_000,))
    model(torch.randn(2, 9_000)).logits[:, 1].sum().backward()
    without = {name for name, p in model.named_parameters() if p.grad is None}
    assert without == {f"block{number}.0.bn1.{kind}" for number in range(1, 6) for kind in ("weight", "bias")}
    assert all(any(part in name for part in RawNet2.UNUSED) for name in without)


def test_waveforms_that_seven_poolings_would_empty_are_refused():
    # 3211 − 1024 = 3^7 samples are left by the filters
    assert RawNet2((3_211,)).eval()(torch.randn(1, 3_211)).logits.isfinite().all()
    with pytest.raises(ValueError, match=r"shape \(3210,\); expected \(n,\), at least 3211 samples"):
        RawNet2((3_210,))
    with pytest.raises(ValueError, match=r"shape \(201, 1024\); expected \(n,\)"):
        RawNet2((201, 1024))
