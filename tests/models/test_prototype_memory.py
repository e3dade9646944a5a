# Copyright (c) OpenMMLab. All rights reserved.
"""iBOT never makes the prototypes' logits of all patches."""
import pytest
import torch
from tiny_ibot import tiny_ibot
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode

pytestmark = pytest.mark.unit
K = 977  # no other size in the model
BATCH, TOKENS = 4, 16


class RowsOfPrototypes(TorchDispatchMode):
    """Rows of the largest tensor (..., K) that any operation returns."""
    most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(tensor, torch.Tensor):
                self.most = max(self.most, rows(tensor))
        return out


def rows(tensor):
    wide = tensor.ndim > 1 and tensor.shape[-1] == K
    return tensor.numel() // K if wide else 0


@pytest.mark.parametrize('with_cp', [False, True])
def test_rows_are_masked_patches_and_class_tokens(with_cp):
    model = tiny_ibot(
        prototypes=K,
        with_cp=with_cp,
        masker=dict(type='sbam_mm.SBAM', ratio=0.3, delta_r=0.2))
    crops = [torch.randn(BATCH, 3, size, size) for size in (32, 32, 16, 16)]
    kept, masks = [], []
    model.masker.register_forward_hook(
        lambda module, args, mask: masks.append(mask.masked.sum().item()))

    def pack(tensor):
        kept.append(rows(tensor))
        return tensor

    with RowsOfPrototypes() as made, saved_tensors_hooks(
            pack, lambda tensor: tensor):
        out = model.loss(crops)
        (out['loss_cls'] + out['loss_patch']).backward()
    masked, = masks
    assert len(crops) * BATCH < masked < BATCH * TOKENS
    assert made.most == max(kept) == masked
