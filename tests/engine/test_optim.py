"""Learning rates of every update, the first step of every optimizer, and updates against autograd."""

from contextlib import nullcontext

import pytest
import torch

from spoofcache.engine.config import BackendConfig, ExperimentConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from spoofcache.engine.countermeasure import Countermeasure
from spoofcache.engine.optim import OPTIMIZERS, SCHEDULES, Progress, Updater, learning_rate
from spoofcache.engine.processes import even_parts
from spoofcache.models.losses import LOSSES
from spoofcache.models.pooled_linear import PooledLinear

# start 1.0, 4 epochs of 2 updates: rates of the 8 updates, by hand (cos 45° = 0.70711, cos 22.5° = 0.92388 …)
TABLE = {
    "constant": (ScheduleConfig("constant"), [1, 1, 1, 1, 1, 1, 1, 1]),
    "halve_every": (ScheduleConfig("halve_every", epochs=2), [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5]),
    "multi_step": (
        ScheduleConfig("multi_step", milestones=(1, 3), gamma=0.1),
        [1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01],
    ),
    "cosine_per_step": (
        ScheduleConfig("cosine_per_step"),
        [1, 0.96194, 0.85355, 0.69134, 0.5, 0.30866, 0.14645, 0.03806],
    ),
    "cosine_per_epoch": (
        ScheduleConfig("cosine_per_epoch", epochs=4),
        [1, 1, 0.85355, 0.85355, 0.5, 0.5, 0.14645, 0.14645],
    ),
    # a cycle of one epoch, then one of two, then of four: shares 0 ½ | 0 ¼ ½ ¾ | 0 ⅛
    "sgdr": (
        ScheduleConfig("sgdr", epochs=1, restart_factor=2),
        [1, 0.5, 1, 0.85355, 0.5, 0.14645, 1, 0.96194],
    ),
}


def rates(schedule, start=1.0, epochs=4, steps_per_epoch=2):
    steps = range(epochs * steps_per_epoch)
    return [learning_rate(schedule, start, Progress(step, steps_per_epoch, epochs)) for step in steps]


@pytest.mark.parametrize("name", SCHEDULES)
def test_learning_rates_of_every_schedule(name):
    schedule, expected = TABLE[name]
    assert rates(schedule) == pytest.approx(expected, abs=1e-5)


def test_a_cosine_ends_at_lr_min():
    # the recipe of AASIST: 1e-4 → 5e-6; half way it stands in the middle
    schedule = ScheduleConfig("cosine_per_step", lr_min=5e-6)
    found = rates(schedule, start=1e-4, epochs=100, steps_per_epoch=10)
    assert found[0] == 1e-4
    assert found[500] == pytest.approx((1e-4 + 5e-6) / 2)
    assert found[-1] == pytest.approx(5e-6, rel=1e-4)


def test_a_warm_up_rises_in_a_straight_line_and_multiplies():
    assert rates(ScheduleConfig("constant", warmup_steps=4)) == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]
    assert rates(ScheduleConfig("halve_every", epochs=1, warmup_steps=4))[:4] == [0.25, 0.5, 0.375, 0.5]


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_learning_rate_is_never_negative_nor_above_the_initial_one(name):
    schedule, _ = TABLE[name]
    assert all(0 <= rate <= 1 for rate in rates(schedule, epochs=50, steps_per_epoch=3))


# first step from weight 1 with gradient 2, lr 0.1, weight decay 0.5
FIRST_STEP = {
    "adam": 1 - 0.1,  # the first Adam step is lr·sign of (gradient + 0.5·weight)
    "adamw": 1 * (1 - 0.1 * 0.5) - 0.1,  # decay first, apart from the gradient
    "sgd": 1 - 0.1 * (2 + 0.5 * 1),
    # NAdam: μ1 = 0.9·(1 − 0.5·0.96^0.004), μ2 = 0.9·(1 − 0.5·0.96^0.008); see the test
    "nadam": None,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_first_step_of_every_optimiser(name):
    weight = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = OPTIMIZERS[name]([weight], OptimizerConfig(name, lr=0.1, weight_decay=0.5))
    (2 * weight).sum().backward()
    optimizer.step()
    expected = FIRST_STEP[name]
    if name == "nadam":
        # Dozat 2016: step = lr·(μ2·m/(1 − μ1·μ2) + (1 − μ1)·g/(1 − μ1))/√v with m = 0.1·g, √v = |g|
        mu1, mu2 = (0.9 * (1 - 0.5 * 0.96 ** (0.004 * t)) for t in (1, 2))
        expected = 1 - 0.1 * (mu2 * 0.1 / (1 - mu1 * mu2) + 1)
    assert weight.item() == pytest.approx(expected, rel=1e-6)


def test_sgd_uses_momentum():
    weight = torch.nn.Parameter(torch.tensor([0.0]))
    optimizer = OPTIMIZERS["sgd"]([weight], OptimizerConfig("sgd", lr=1.0, momentum=0.5))
    for _ in range(2):
        optimizer.zero_grad()
        weight.sum().backward()
        optimizer.step()
    assert weight.item() == -(1 + 1.5)


CLASS_WEIGHTS = torch.tensor([1.0, 9.0])


@pytest.fixture
def batch():
    """Features [10, 3, 4], two of the ten bona fide, so that parts of three weigh very differently."""
    return torch.randn(10, 3, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0] * 8 + [1] * 2)


def countermeasure(loss):
    torch.manual_seed(0)
    return Countermeasure(PooledLinear((3, 4)), LOSSES[loss](CLASS_WEIGHTS, 4))


def updater(model, optimizer=None, **train):
    config = ExperimentConfig(
        BackendConfig("pooled_linear"), optimizer=optimizer or OptimizerConfig(), train=TrainConfig(**train)
    )
    return Updater(model, config, 1, torch.device("cpu"))


def gradients(model):
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("micro_batch", [0, 1, 3, 4, 64])
def test_an_update_by_parts_has_the_gradient_of_its_whole_batch(batch, loss, micro_batch):
    features, labels = batch
    reference, model = countermeasure(loss), countermeasure(loss)
    expected = reference.objective(reference(features), labels)
    expected.backward()
    found = updater(model, micro_batch=micro_batch).update(0, features, labels)
    assert found == pytest.approx(expected.item(), rel=1e-6)
    for name, gradient in gradients(reference).items():
        torch.testing.assert_close(gradients(model)[name], gradient, rtol=1e-5, atol=1e-6)


def test_even_parts_by_hand():
    sizes = [[len(part) for part in even_parts(torch.arange(9), most)] for most in (0, 1, 4, 8, 9, 10)]
    assert sizes == [[9], [1] * 9, [3, 3, 3], [5, 4], [9], [9]]


def test_parts_respect_the_limit_and_are_as_even_as_possible(batch):
    model, seen = countermeasure("cross_entropy"), []
    model.register_forward_pre_hook(lambda module, arguments: seen.append(len(arguments[0])))
    updater(model, micro_batch=3).update(0, *batch)
    assert seen == [3, 3, 2, 2]


def test_an_update_with_labels_on_the_host_waits_for_the_device_only_once(batch, monkeypatch):
    # tensors of the meta device have no values: whoever asks for one fails, where a GPU would be waited for
    model, device, steps = countermeasure("cross_entropy").to("meta"), torch.device("meta"), []
    optimizer = OptimizerConfig("sgd", clip_norm=1.0)
    config = ExperimentConfig(BackendConfig("pooled_linear"), optimizer=optimizer, train=TrainConfig(micro_batch=3))
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self: steps.append("made"))
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: nullcontext())  # it knows no such device
    with pytest.raises(RuntimeError, match="meta"):
        Updater(model, config, 1, device).update(0, batch[0].to("meta"), batch[1])
    assert steps == ["made"]


def test_a_trial_step_that_fails_leaves_the_network_unchanged(batch, monkeypatch):
    model, drawn = countermeasure("cross_entropy"), countermeasure("cross_entropy")

    def fail(output, labels):
        with torch.no_grad():
            model.backend.linear.weight.add_(1)  # as a batch norm counts what it sees
        output.logits.sum().backward()
        raise RuntimeError("out of memory")

    monkeypatch.setattr(model.objective, "forward", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        updater(model).trial_step(*batch)
    assert torch.equal(model.backend.linear.weight, drawn.backend.linear.weight)
    assert all(gradient is None for gradient in gradients(model).values())


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("loss", ["cross_entropy", "am_softmax"])  # the latter gives `linear` no gradient
def test_gradients_are_clipped_to_a_norm_and_keep_their_direction(batch, loss, precision):
    whole, cut = countermeasure(loss), countermeasure(loss)
    updater(whole, precision=precision).update(0, *batch)
    updater(cut, OptimizerConfig(clip_norm=0.01), precision=precision, micro_batch=4).update(0, *batch)
    one, other = (torch.cat([g.flatten() for g in gradients(m).values() if g is not None]) for m in (whole, cut))
    assert one.norm() > 0.1
    assert other.norm() == pytest.approx(0.01, rel=1e-3)
    torch.testing.assert_close(other / other.norm(), one / one.norm(), rtol=0, atol=5e-3)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parameters_without_a_gradient_keep_their_initial_values(batch, name):
    model, drawn = countermeasure("oc_softmax"), countermeasure("oc_softmax")
    optimizer = OptimizerConfig(name, lr=0.1, weight_decay=0.1, clip_norm=1.0)
    updater(model, optimizer, precision="float16").update(0, *batch)
    assert torch.equal(model.backend.linear.weight, drawn.backend.linear.weight)
    assert not torch.equal(model.objective.vectors, drawn.objective.vectors)


def test_an_update_uses_the_learning_rate_of_its_step(batch):
    model = countermeasure("cross_entropy")
    before = model.backend.linear.bias.detach().clone()
    optimizer = OptimizerConfig("sgd", lr=1.0, momentum=0.0)
    config = ExperimentConfig(
        BackendConfig("pooled_linear"), optimizer=optimizer, schedule=ScheduleConfig("halve_every", epochs=1)
    )
    Updater(model, config, 10, torch.device("cpu")).update(35, *batch)  # in epoch 3
    torch.testing.assert_close(model.backend.linear.bias, before - 0.125 * model.backend.linear.bias.grad)


def test_after_its_last_epoch_a_cosine_stays_at_lr_min():
    found = rates(ScheduleConfig("cosine_per_epoch", epochs=2, lr_min=0.1), epochs=4)
    assert found[4:] == pytest.approx([0.1] * 4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_updates_on_a_gpu_are_those_of_the_cpu(gpu, optimizer, precision):
    losses = {}
    for device in (torch.device("cpu"), gpu):
        torch.manual_seed(0)
        model = Countermeasure(PooledLinear((5, 4)), LOSSES["cross_entropy"](torch.tensor([2.0, 1.0]), 4)).to(device)
        config = ExperimentConfig(
            BackendConfig("pooled_linear"),
            optimizer=OptimizerConfig(optimizer, lr=0.1, clip_norm=1.0),
            train=TrainConfig(batch_size=6, micro_batch=4, precision=precision),
        )
        updater = Updater(model, config, 3, device)
        features = torch.randn(6, 5, 4, generator=torch.Generator().manual_seed(1)).half().to(device)
        losses[device.type] = [updater.update(step, features, torch.tensor([0, 1, 1, 0, 1, 1])) for step in range(3)]
    allowed = 1e-5 if precision == "float32" else 1e-2
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=allowed)
    assert len(set(losses["cuda"])) == 3  # every update changes the weights
