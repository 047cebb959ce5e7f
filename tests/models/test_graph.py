import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from spoofcache.models import graph
from spoofcache.models.graph import GraphClassifier, GraphPool, HeterogeneousGraphAttention, pair_scores, readout
from tests.recipe import fill


def slow_pair_scores(x, projection, weights):
    """The formula, pair by pair, in float64 [B, K, N, N]."""
    x, matrix, bias, weights = (
        tensor.detach().double().numpy() for tensor in (x, projection.weight, projection.bias, weights)
    )
    batch, n_nodes, _ = x.shape
    scores = np.empty((batch, weights.shape[1], n_nodes, n_nodes))
    for b, i, j in np.ndindex(batch, n_nodes, n_nodes):
        scores[b, :, i, j] = np.tanh(matrix @ (x[b, i] * x[b, j]) + bias) @ weights
    return scores


@pytest.mark.parametrize("n_nodes", [1, 5, graph.PLAIN_NODES + 1])
def test_every_pair_is_scored_by_the_formula_in_one_go_or_in_blocks(n_nodes):
    torch.manual_seed(0)
    x, projection, weights = torch.randn(2, n_nodes, 4), nn.Linear(4, 3), torch.randn(3, 2)
    scores = pair_scores(x, projection, weights)
    np.testing.assert_allclose(scores.detach().numpy(), slow_pair_scores(x, projection, weights), rtol=0, atol=1e-5)


def gradients(layer, x):
    """Gradients of every parameter and of the nodes after one pass over two types of nodes."""
    x = x.clone().requires_grad_()
    outputs = layer(x[:, :140], x[:, 140:], torch.ones(1, 1, x.shape[2]))
    sum(output.square().sum() for output in outputs).backward()
    return [x.grad, *(p.grad for p in layer.parameters())]


def peak_bytes(action):
    """Most bytes of tensors alive at once."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        action()
    records = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = [record.nbytes() for record in sorted(records, key=lambda record: record.start_ns())]
    return max(np.cumsum(changes))


def test_blocks_of_a_large_graph_give_the_same_gradients_in_a_third_of_the_memory(monkeypatch):
    x = torch.from_numpy(np.random.RandomState(3).standard_normal((4, 240, 64)).astype(np.float32))

    def layer():
        return fill(HeterogeneousGraphAttention(64, 32))

    blocks, blocks_peak = gradients(layer(), x), peak_bytes(lambda: gradients(layer(), x))
    monkeypatch.setattr(graph, "PLAIN_NODES", 240)
    plain, plain_peak = gradients(layer(), x), peak_bytes(lambda: gradients(layer(), x))
    for one, other in zip(blocks, plain, strict=True):
        assert (one - other).norm() <= 1e-4 * other.norm()
    assert blocks_peak <= plain_peak / 3


def test_a_pool_keeps_the_best_nodes_best_first_times_their_scores():
    pool = GraphPool(2, 0.5).eval()
    with torch.no_grad():
        pool.proj.weight.copy_(torch.tensor([[1.0, 0.0]]))
        pool.proj.bias.zero_()
        nodes = torch.tensor([[[-9.0, 1.0], [0.0, 2.0], [-8.0, 3.0], [math.log(3), 4.0], [-7.0, 5.0]]])
        kept = pool(nodes)  # ⌊5 / 2⌋ = 2: sigmoid(log 3) = 3/4 and sigmoid(0) = 1/2
    torch.testing.assert_close(kept, torch.tensor([[[0.75 * math.log(3), 3.0], [0.0, 1.0]]]))


def test_a_pool_keeps_one_node_where_its_ratio_would_keep_none():
    assert GraphPool(2, 0.4).eval()(torch.ones(1, 2, 2)).shape == (1, 1, 2)


def test_the_read_out_is_largest_magnitude_and_mean_of_both_graphs_and_the_master():
    temporal = torch.tensor([[[1.0], [-4.0], [0.0]]])
    spectral = torch.tensor([[[2.0], [3.0]]])
    assert readout(temporal, spectral, torch.tensor([[[7.0]]])).tolist() == [[4.0, -1.0, 3.0, 2.5, 7.0]]


@pytest.mark.parametrize("ratios", [(0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 1.5)])
def test_pool_ratios_that_cannot_be_are_refused(ratios):
    with pytest.raises(ValueError, match=r"pool ratios .*; expected three, each above 0 and at most 1"):
        GraphClassifier(8, ratios)


def test_nodes_without_values_are_refused():
    with pytest.raises(ValueError, match="nodes of 0 channels; expected at least 1"):
        GraphClassifier(0, (0.5, 0.5, 0.5))
