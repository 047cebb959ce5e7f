"""Where the channels of a map lie in memory: innermost, as a CPU and tensor cores convolve and pool fastest."""

import torch


def as_image(maps: torch.Tensor) -> torch.Tensor:
    """[B, H, W] → the image of one channel [B, 1, H, W], marked as channels-last.

    Convolutions, poolings and batch norms hand the layout of their input on, so a network is told once, here. With one
    channel both layouts are the same bytes, and `contiguous(memory_format=torch.channels_last)` would leave the strides
    of an ordinary tensor as they are: a convolution reads it as channels-first. Hence the new axis is made last.

    >>> as_image(torch.zeros(2, 3, 5)).stride()
    (15, 1, 5, 1)
    """
    return maps.contiguous().unsqueeze(3).movedim(3, 1)
