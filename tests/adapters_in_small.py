# Copyright (c) OpenMMLab. All rights reserved.
"""Small models of the libraries for which there are adapters.

A step of each, 32 x 32 pixels in 8 x 8 patches: forward, backward, and the
places of the batch that went through the encoder.
"""
import pytest
import torch

from sbam_mm import masking

WIDTH, HEADS, DEPTH = 24, 3, 2
GRID = (8, 8)
SIZE = dict(img_size=32, patch_size=4)


def images(batch=3):
    return torch.randn(batch, 3, 32, 32,
                       generator=torch.Generator().manual_seed(0))


def answers(batch=3):
    """To all that maskers ask, of a batch."""
    draws = torch.Generator().manual_seed(1)
    length = GRID[0] * GRID[1]
    received = torch.rand(batch, 12, length, generator=draws)
    parts = torch.randint(0, 7, (batch, length), generator=draws).byte()
    return dict(
        attention=lambda context, *question: received,
        teacher_attention=lambda context, *question: received,
        attention_map=lambda context: received.mean(1),
        predicted_loss=lambda context: received.sum(1),
        layer_tokens=lambda context, layer: received[:, :8].mT,
        position=lambda context: received[:1, :1].mT,
        part_map=lambda context: parts)


def presets():
    """Every masker that is exported, with its defaults."""
    kinds = {name: getattr(masking, name) for name in masking.__all__}
    kinds = {
        name: kind for name, kind in kinds.items() if isinstance(kind, type)
        and issubclass(kind, (masking.Masker, masking.MaskSomeViews))
        and name not in ('Masker', 'MaskSomeViews')
    }
    return {
        **kinds,
        'SBAM-batch': lambda: masking.SBAM(scope='batch'),
        'MaskSomeViews': lambda: masking.MaskSomeViews(masking.SBM()),
    }


def without_datasets(monkeypatch):
    """Keep transformers.Trainer from taking tests/datasets for a library."""
    trainer = pytest.importorskip('transformers.trainer')
    monkeypatch.setattr(trainer, 'is_datasets_available', lambda: False)


def timm_vit(name='VisionTransformer', **options):
    timm = pytest.importorskip('timm')
    torch.manual_seed(0)
    kind = getattr(timm.models, name)
    return kind(**{**SIZE, **dict(
        embed_dim=WIDTH, num_heads=HEADS, depth=DEPTH, num_classes=0),
        **options})


def vit_mae(**options):
    transformers = pytest.importorskip('transformers')
    torch.manual_seed(0)
    return transformers.ViTMAEForPreTraining(transformers.ViTMAEConfig(**{
        **dict(image_size=32, patch_size=4, hidden_size=WIDTH,
               num_hidden_layers=DEPTH, num_attention_heads=HEADS,
               intermediate_size=48, decoder_hidden_size=16,
               decoder_num_hidden_layers=1, decoder_num_attention_heads=2,
               decoder_intermediate_size=32), **options}))


def lightly_vit(**options):
    pytest.importorskip('lightly')
    from lightly.models.modules import MaskedVisionTransformerTIMM
    # Its own positions are for square images.
    return MaskedVisionTransformerTIMM(
        timm_vit(**options), pos_embed_initialization='skip')
