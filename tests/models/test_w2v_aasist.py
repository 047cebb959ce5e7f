import pytest
import torch

from spoofcache.models.w2v_aasist import W2VAASIST
from tests.models.aasist_golden import n_parameters, original_shapes, shapes


def test_number_of_parameters_is_the_originals():
    assert n_parameters(W2VAASIST((201, 1024))) == 151_048


def test_everything_behind_the_projection_is_that_of_aasist():
    def behind(entries, *front):
        return {name: shape for name, shape in entries.items() if not name.startswith(front)}

    aasist = behind(original_shapes("aasist"), "first_bn", "encoder", "pos_S")
    assert behind(shapes(W2VAASIST((201, 1024))), "projection") == aasist


def test_frames_are_the_nodes_of_both_graphs():
    sizes = {}
    model = W2VAASIST((201, 16)).eval()
    for name in ("GAT_layer_S", "pool_S", "GAT_layer_T", "pool_T", "pool_hS1", "pool_hT1"):
        model.get_submodule(name).register_forward_hook(
            lambda _, inputs, output, name=name: sizes.update({name: (inputs[0].shape[1], output.shape[1])})
        )
    with torch.no_grad():
        model(torch.randn(1, 201, 16))
    assert sizes == {  # by hand, from the layers of `W2VAASIST` in xiaoyangfengxjtu-dev/Speechfake
        "GAT_layer_S": (201, 201),
        "pool_S": (201, 100),
        "GAT_layer_T": (201, 201),
        "pool_T": (201, 140),
        "pool_hS1": (100, 50),
        "pool_hT1": (140, 70),
    }


def test_features_without_frames_are_refused():
    with pytest.raises(ValueError, match=r"W2VAASIST on features of shape \(1024,\); expected \(T, D\)"):
        W2VAASIST((1024,))
