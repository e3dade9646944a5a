# Copyright (c) OpenMMLab. All rights reserved.
"""Two processes on halves of a batch train as one process on all of it."""
import pytest
import torch
from two_processes import run_two

from sbam_mm.registry import MODELS

STEPS = 3


def images(step):
    """Four images whose salient shares differ, so that AMR's ratios do."""
    generator = torch.Generator().manual_seed(step)
    noise = torch.randn(4, 3, 32, 32, generator=generator)
    noise[1, :, :, :24] *= 0.05
    noise[2, :, :16] *= 0.05
    return noise


def train(model, step_model, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ratios = []
    for batch in batches:
        optimizer.zero_grad()
        out = step_model(batch, mode='loss')
        out['loss'].backward()
        optimizer.step()
        ratios.append(
            (out['mask_ratio'].item(), out['visible_tokens'].item()))
    return {k: v.clone() for k, v in model.state_dict().items()}, ratios


def tiny_simmim(masker, reduction):
    """SimMIM with relative positions, which all blocks share."""
    torch.manual_seed(0)
    arch = dict(
        embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
    model = MODELS.build(
        dict(
            type='sbam_mm.SimMIM',
            backbone=dict(
                type='sbam_mm.MaskedBEiT',
                arch=arch,
                img_size=32,
                patch_size=8),
            masker=masker,
            neck=dict(
                type='sbam_mm.LinearDecoder', embed_dim=24, patch_size=8),
            head=dict(
                type='sbam_mm.PixelHead',
                patch_size=8,
                norm_pix=False,
                criterion='L1',
                reduction=reduction)))
    model.init_weights()
    return model


def tiny_convmae(masker, reduction):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='sbam_mm.ConvMAE',
            backbone=dict(
                type='sbam_mm.ConvViT',
                arch=dict(
                    embed_dims=(8, 12, 24), depths=(1, 1, 2), num_heads=3),
                img_size=32,
                patch_sizes=(2, 2, 2)),
            masker=masker,
            neck=dict(
                type='sbam_mm.MAEDecoder',
                img_size=32,
                patch_size=8,
                embed_dim=24,
                decoder_embed_dim=16,
                decoder_depth=1,
                decoder_num_heads=2),
            head=dict(
                type='sbam_mm.PixelHead', patch_size=8, reduction=reduction)))
    model.init_weights()
    return model


def tiny_cae(masker, reduction):
    """CAE with a momentum target, whose average must not differ either."""
    torch.manual_seed(0)
    arch = dict(
        embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
    model = MODELS.build(
        dict(
            type='sbam_mm.CAE',
            backbone=dict(
                type='sbam_mm.MaskedViT',
                arch=arch,
                img_size=32,
                patch_size=8,
                layer_cfgs=dict(layer_scale_init_value=0.1)),
            masker=masker,
            neck=dict(
                type='sbam_mm.ContextRegressor',
                embed_dims=24,
                num_heads=3,
                regressor_depth=1,
                decoder_depth=1,
                out_dims=192),
            head=dict(
                type='sbam_mm.PixelHead', patch_size=8, reduction=reduction),
            target=dict(type='sbam_mm.MomentumTeacher', momentum=0.9)))
    model.init_weights()
    return model


BUILDERS = dict(SimMIM=tiny_simmim, ConvMAE=tiny_convmae, CAE=tiny_cae)


@pytest.fixture(params=['MAE', *BUILDERS])
def build(request, tiny_mae):
    return BUILDERS.get(request.param, tiny_mae)


def half(rank, build, reduction):
    model = build(
        dict(type='sbam_mm.SBAM', noise=0.), reduction=reduction)
    wrapped = torch.nn.parallel.DistributedDataParallel(
        model, gradient_as_bucket_view=True)
    part = slice(2 * rank, 2 * rank + 2)
    return train(model, wrapped,
                 [images(step)[part] for step in range(STEPS)])


@pytest.mark.dist
@pytest.mark.parametrize('reduction', ['token', 'sample'])
def test_two_processes_equal_one(build, reduction, tmp_path):
    # Without noise the masks depend on the images alone.
    model = build(
        dict(type='sbam_mm.SBAM', noise=0.), reduction=reduction)
    weights, _ = train(model, model, [images(step) for step in range(STEPS)])

    (first, ratios0), (second, ratios1) = run_two(
        half, tmp_path, build, reduction)
    # The ranks really hid different numbers of tokens.
    assert ratios0 != ratios1
    for name, value in weights.items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], value, rtol=1e-5, atol=1e-6)
