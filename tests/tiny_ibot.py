# Copyright (c) OpenMMLab. All rights reserved.
"""A small iBOT for views of 32 and 16 pixels."""
import torch

from sbam_mm.registry import MODELS


def tiny_ibot(width=24, prototypes=16, hidden=32, bottleneck=8, with_cp=False,
              separate=False, **options):
    """Two blocks on patches of 8 pixels, always from the same weights.

    Args:
        width (int): Of the encoder.
        prototypes (int): Of class token and patches.
        hidden (int): Width of the head's layers.
        bottleneck (int): Width before the prototypes.
        with_cp (bool): Whether the encoder computes activations twice.
        separate (bool): Whether patches have a head of their own.
        **options: Of :class:`sbam_mm.models.iBOT`.
    """
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='sbam_mm.iBOT',
            backbone=dict(
                type='sbam_mm.MaskedViT',
                arch=dict(
                    embed_dims=width,
                    num_layers=2,
                    num_heads=3,
                    feedforward_channels=2 * width),
                img_size=32,
                patch_size=8,
                with_cp=with_cp,
                learned_position=True),
            head=dict(
                type='sbam_mm.DINOHead',
                in_dim=width,
                out_dim=prototypes,
                hidden_dim=hidden,
                bottleneck_dim=bottleneck,
                **(dict(separate_patches=True) if separate else {})),
            **options))
    model.init_weights()
    return model
