# Copyright (c) OpenMMLab. All rights reserved.
"""Students whose teachers differ from them, and images that differ."""
import torch


def apart(model, teacher):
    """The model, with the weights of its teacher moved."""
    generator = torch.Generator().manual_seed(5)
    for value in teacher.parameters():
        value.data += 0.05 * torch.randn(value.shape, generator=generator)
    return model


def images(batch_size=3, seed=1):
    """Noise; of the first image three quarters are nearly constant."""
    generator = torch.Generator().manual_seed(seed)
    batch = torch.randn(batch_size, 3, 32, 32, generator=generator)
    batch[0, :, :, :24] *= 0.05
    return batch
