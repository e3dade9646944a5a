# Copyright (c) OpenMMLab. All rights reserved.
import logging

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope

# mmengine prints a paragraph for every parameter it initialises.
logging.getLogger('mmengine').setLevel(logging.WARNING)
# Its loggers keep the stream of the test that made them, which pytest closes.
logging.raiseExceptions = False


def pytest_configure():
    # Tiny models are no faster on two, and far slower beside other work.
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fresh_progress():
    """Every test starts outside a runner: no epoch, no iteration."""
    hub = MessageHub.get_current_instance()
    for name in ('iter', 'max_iters', 'epoch', 'max_epochs', 'epoch_iters',
                 'accumulative_counts'):
        hub.runtime_info.pop(name, None)


@pytest.fixture(autouse=True)
def fresh_scope():
    """No test inherits the scope in which another looked up its types."""
    before = DefaultScope._instance_dict.copy()
    yield
    # mmengine exchanges the dict itself, too.
    DefaultScope._instance_dict = before


@pytest.fixture
def tiny_mae():
    """Return a builder of a small MAE for 32 x 32 images, 4 x 4 patches."""
    from sbam_mm.registry import MODELS

    def build(masker='RandomMasker',
              img_size=32,
              patch_size=8,
              norm_pix=True,
              reduction='token',
              arch=None,
              seed=0,
              neck=None,
              **masker_options):
        torch.manual_seed(seed)
        size = dict(img_size=img_size, patch_size=patch_size)
        arch = arch or dict(
            embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
        if isinstance(masker, str):
            masker = dict(type=f'sbam_mm.{masker}', **masker_options)
        model = MODELS.build(
            dict(
                type='sbam_mm.MAE',
                backbone=dict(type='sbam_mm.MaskedViT', arch=arch, **size),
                masker=masker,
                neck={
                    **dict(
                        type='sbam_mm.MAEDecoder',
                        embed_dim=arch['embed_dims'],
                        decoder_embed_dim=16,
                        decoder_depth=1,
                        decoder_num_heads=2,
                        **size),
                    **(neck or {})
                },
                head=dict(
                    type='sbam_mm.PixelHead',
                    patch_size=patch_size,
                    norm_pix=norm_pix,
                    reduction=reduction)))
        model.init_weights()
        return model

    return build
