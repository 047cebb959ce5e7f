"""The device that `--device` names, and what is printed if the memory of a GPU is full."""

import click
import pytest
import torch
from click.testing import CliRunner

from spoofcache.common.cli import Sentence, resolve_device, sentences


def test_a_gpu_whose_driver_is_too_old_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        Sentence, match=r"--device cuda: torch .* can use no GPU here; expected cpu, or a GPU, a driver"
    ):
        resolve_device("cuda")


def test_an_available_gpu_is_used(gpu):
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda")


def test_a_full_gpu_names_the_settings_that_need_less():
    @click.command()
    @sentences()
    def full():
        raise torch.OutOfMemoryError("CUDA out of memory")

    done = CliRunner().invoke(full)
    assert done.exit_code == 2
    assert "train.micro_batch or train.features=pinned may help, elsewhere a smaller --batch-size" in done.stderr
