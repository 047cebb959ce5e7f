import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.light_darts import (
    OPERATIONS,
    PUBLISHED,
    CellPlan,
    DerivedCell,
    LightDARTS,
    operation,
)
from spoofcache.models.light_darts_search import (
    EDGES,
    NODE_EDGES,
    Architecture,
    EdgeWeights,
    SuperNet,
    cost_tables,
    expected_cost,
    genotype_cost,
    multiply_adds,
)
from tests.models.reference import GOLDEN, count_parameters
from tests.recipe import fill
from tests.threads import one_thread  # noqa: F401

pytestmark = pytest.mark.usefixtures("one_thread")

SPACES = pytest.mark.parametrize("space", ["light", "pc"])
SHAPE = (251, 60)


def features():
    return torch.from_numpy(np.random.RandomState(31).standard_normal((2, *SHAPE)).astype(np.float32))


def assert_equals_original(tag, output):
    golden = np.load(GOLDEN / "pcdarts.npz")
    tolerance = max(1e-6, 20 * golden[f"{tag}/f32_vs_f64"])
    for name, tensor in output._asdict().items():
        np.testing.assert_allclose(tensor.numpy(), golden[f"{tag}/{name}"], rtol=0, atol=tolerance)


def assert_names_of_original(tag, model):
    stored = json.loads((GOLDEN / "pcdarts_state_dicts.json").read_text())[tag]
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert {name: shapes.get(name) for name in stored} == stored


def random_genotype(seed):
    """A random genotype: any operation on any two edges of each node."""
    random = np.random.default_rng(seed)
    return {
        kind: [
            [OPERATIONS[random.integers(1, 8)], int(state)]
            for node in range(4)
            for state in random.choice(node + 2, 2, replace=False)
        ]
        for kind in ("normal", "reduce")
    }


def count_multiply_adds(module, x, part=""):
    """A slow reference: hooks multiply the number of outputs of each convolution by the number of terms in each."""
    found = []

    def count(convolution, inputs, output):
        found.append(output[0].numel() * convolution.weight[0].numel())

    for name, child in module.named_modules():
        if isinstance(child, nn.Conv2d) and part in f".{name}":
            child.register_forward_hook(count)
    with torch.no_grad():
        module.eval()(x)
    return sum(found)


def test_pc_darts_matches_the_original_implementation():
    model = LightDARTS(SHAPE, space="pc")
    with torch.no_grad():
        assert_equals_original("pcdarts_4_16", fill(model)(features()))
    assert_names_of_original("pcdarts_4_16", model)


def test_its_supernet_and_genotype_match_the_original_implementation():
    model, architecture = SuperNet(SHAPE, space="pc"), fill(Architecture())
    with torch.no_grad():
        assert_equals_original("pcdarts_super_4_16", fill(model)(features(), architecture()))
    assert_names_of_original("pcdarts_super_4_16", model)
    assert {kind: [tuple(pair) for pair in pairs] for kind, pairs in architecture.genotype().items()} == {
        "normal": [
            ("sep_conv_5x5", 1), ("dil_conv_5x5", 0), ("sep_conv_5x5", 2), ("sep_conv_3x3", 1),
            ("dil_conv_3x3", 0), ("avg_pool_3x3", 2), ("dil_conv_3x3", 1), ("dil_conv_3x3", 0),
        ],
        "reduce": [
            ("max_pool_3x3", 0), ("dil_conv_5x5", 1), ("sep_conv_3x3", 2), ("max_pool_3x3", 1),
            ("sep_conv_5x5", 0), ("dil_conv_5x5", 2), ("max_pool_3x3", 1), ("dil_conv_5x5", 4),
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "channels", "parameters"), [(4, 16, 147_274), (8, 32, 974_898), (16, 64, 7_515_682)]
)
def test_parameter_counts_match_the_original_implementation(layers, channels, parameters):
    assert count_parameters(LightDARTS(SHAPE, space="pc", layers=layers, channels=channels)) == parameters


def test_parameter_counts_do_not_depend_on_the_features():
    assert count_parameters(LightDARTS((201, 1024), space="pc")) == 147_274
    assert count_parameters(SuperNet((201, 1024), space="pc")) == 408_874


def test_a_light_convolution_is_the_larger_of_two_and_then_normalised():
    torch.manual_seed(0)
    light, x = operation("light", "dil_conv_3x3", 4, 2, affine=False).eval(), torch.randn(2, 4, 9, 7)
    within, across = (module.weight for module in light.op if isinstance(module, nn.Conv2d))
    one, other = (F.conv2d(F.conv2d(x, within, None, 2, 2, 2, 4), half) for half in across.split(4))
    with torch.no_grad():
        torch.testing.assert_close(light(x), torch.maximum(one, other) / (1 + 1e-5) ** 0.5)


@SPACES
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("stride", [1, 2])
def test_the_cost_of_an_operation_is_the_multiplications_of_its_convolutions(space, name, stride):
    x = torch.randn(1, 6, 9, 7)
    module = operation(space, name, 6, stride, affine=True)
    with torch.no_grad():
        *_, height, width = module.eval()(x).shape
    assert (height, width) == ((9, 7), (5, 4))[stride - 1]
    assert multiply_adds(space, name, 6, height * width, stride) == count_multiply_adds(module, x)


@SPACES
@pytest.mark.parametrize(("layers", "shape"), [(1, (20, 9)), (4, (17, 33)), (5, (40, 24))])
def test_the_cost_of_a_genotype_is_the_multiplications_of_its_network(space, layers, shape):
    tables = cost_tables(shape, space, 4, layers)
    for genotype in (PUBLISHED, random_genotype(0), random_genotype(1)):
        model = LightDARTS(shape, genotype, space, 4, layers)
        assert genotype_cost(genotype, tables) == count_multiply_adds(model, torch.randn(1, *shape), "._ops.")


def certain(name):
    """The shares of an architecture that has this operation on the last edge of every node, and no others."""
    operations = torch.zeros(14, 8)
    operations[:, OPERATIONS.index(name)] = 1
    edges = torch.tensor([0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1.0])
    return dict.fromkeys(("normal", "reduce"), EdgeWeights(operations, edges))


@SPACES
def test_expected_cost_runs_from_the_cheapest_to_the_most_expensive_architecture(space):
    tables = cost_tables(SHAPE, space, 16, 4)
    assert expected_cost(certain("none"), tables) == 0
    assert expected_cost(certain("max_pool_3x3"), tables) == 0
    assert expected_cost(certain("sep_conv_5x5"), tables) == 1


def test_expected_cost_is_the_mean_over_all_architectures():
    torch.manual_seed(0)
    with torch.no_grad():
        tables, weights = cost_tables((20, 9), "pc", 4, 4), Architecture()()
    mean = sum(
        float(weights[kind].edges[edge] * weights[kind].operations[edge, op]) * int(tables[kind][edge, op])
        for kind in tables
        for edge in range(14)
        for op in range(8)
    )
    dearest = sum(int(tables[kind][edge].max()) for kind in tables for edge in (1, 4, 8, 13))
    torch.testing.assert_close(float(expected_cost(weights, tables)), mean / dearest, rtol=1e-5, atol=0)


def test_the_derived_architecture_has_each_nodes_two_strongest_edges():
    architecture = Architecture()
    with torch.no_grad():
        for parameter in architecture.parameters():
            parameter.zero_()
        architecture.alphas_normal[:, 0] = 9  # `none` is never chosen, but takes share from the others
        architecture.alphas_normal[NODE_EDGES[3].start + 4, OPERATIONS.index("skip_connect")] = 12
        architecture.alphas_normal[NODE_EDGES[3].start + 1, OPERATIONS.index("dil_conv_3x3")] = 8
        architecture.betas_reduce[NODE_EDGES[2].start + 3] = 1
    genotype = architecture.genotype()
    assert genotype["normal"][6:] == [["skip_connect", 4], ["dil_conv_3x3", 1]]
    assert [state for _, state in genotype["reduce"][4:6]] == [3, 0]


def test_the_shares_of_the_edges_of_a_node_sum_to_one():
    edges = Architecture()()["normal"].edges
    torch.testing.assert_close(torch.stack([edges[node].sum() for node in NODE_EDGES]), torch.ones(4))
    assert [EDGES[node][0] for node in range(14)] == [0] * 2 + [1] * 3 + [2] * 4 + [3] * 5


def test_drop_path_omits_an_operation_for_some_utterances_in_training():
    torch.manual_seed(0)
    cells = [DerivedCell("light", CellPlan(4, False, False), (4, 4), PUBLISHED, rate) for rate in (0.0, 0.25)]
    cells[1].load_state_dict(cells[0].state_dict())
    x = torch.randn(400, 4, 3, 3)
    whole, dropped = (cell.train()._edge(0, [x, x]) for cell in cells)
    kept = dropped.flatten(1).any(1)
    assert 0.7 < kept.float().mean() < 0.8
    torch.testing.assert_close(dropped[kept], whole[kept] / 0.75)
    torch.testing.assert_close(*(cell.eval()._edge(0, [x, x]) for cell in cells))


@SPACES
def test_a_gradient_reaches_every_weight_and_every_choice_of_a_search(space):
    torch.manual_seed(0)
    model, architecture = SuperNet((50, 40), space, 4, 4).train(), Architecture()
    F.cross_entropy(model(torch.randn(3, 50, 40), architecture()).logits, torch.tensor([0, 1, 1])).backward()
    for network in (model, architecture):
        assert not [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]


def test_features_of_one_frame_and_one_coefficient_are_accepted():
    assert LightDARTS((1, 1)).eval()(torch.zeros(1, 1, 1)).logits.shape == (1, 2)
    assert SuperNet((1, 1)).eval()(torch.zeros(1, 1, 1), Architecture()()).logits.shape == (1, 2)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"space": "dark"}, r"LightDARTS with space 'dark'; expected one of light, pc"),
        ({"channels": 3}, r"LightDARTS with 3 channels; expected a multiple of 2"),
        ({"layers": 10**12}, r"LightDARTS with 1000000000000 layers; expected at least 1 and at most 1000"),
        ({"layers": 0}, r"LightDARTS with 0 layers; expected at least 1"),
        ({"drop_path": 1}, r"LightDARTS with drop_path 1; expected 0 ≤ drop_path < 1"),
        ({"genotype": {"normal": []}}, r"genotype \{'normal': \[\]\}; expected the tables normal and reduce"),
        ({"genotype": "mine"}, r"LightDARTS with genotype 'mine'; expected the tables normal and reduce"),
        ({"genotype": {**PUBLISHED, "reduce": []}}, r"genotype\.reduce \[\]; expected 8 pairs, two for each node"),
        (
            {"genotype": {**PUBLISHED, "reduce": [3] * 8}},
            r"genotype\.reduce\[0\] 3; expected \[operation, input state\]",
        ),
        (
            {"genotype": {**PUBLISHED, "normal": [*PUBLISHED["normal"][:2], ["skip_connect", 3], *[["none", 0]] * 5]}},
            r"genotype\.normal\[2\] \['skip_connect', 3\]; expected .* a whole number from 0 to 2",
        ),
        (
            {"genotype": {**PUBLISHED, "normal": [["none", 0]] * 8}},
            r"genotype\.normal\[0\] \['none', 0\]; expected .*one of max_pool_3x3, .* from 0 to 1",
        ),
    ],
)
def test_invalid_settings_are_refused_in_a_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        LightDARTS(SHAPE, **settings)
