"""The memory layout of feature maps: channels last, in which CPUs and tensor cores convolve and pool fastest."""

import torch


def as_image(maps: torch.Tensor) -> torch.Tensor:
    """Turn maps [B, H, W] into images of one channel [B, 1, H, W] in channels-last layout.

    Convolutions, poolings and batch norms keep the layout of their input, so it is enough to set it here, once per
    network. With a single channel both layouts are the same bytes, and `contiguous(memory_format=torch.channels_last)`
    would leave the strides of an ordinary tensor unchanged, which a convolution reads as channels-first. The channel
    axis is therefore added at the end and then moved to its place.

    >>> as_image(torch.zeros(2, 3, 5)).stride()
    (15, 1, 5, 1)
    """
    return maps.contiguous().unsqueeze(3).movedim(3, 1)
