# Copyright (c) OpenMMLab. All rights reserved.
"""ViTs of timm and transformers as teachers, against the libraries' own maps.

Weights are random, and biases, layer scales and tables too, so that every
part of an architecture shows in its attention.
"""
import json

import pytest
import safetensors.torch
import torch
from library_vits import HF, SMALL, hf_folder, randomise

from sbam_mm.models.teachers import HFTeacher, TimmTeacher
from sbam_mm.models.teachers.library_teacher import on_grid
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit
# timm's names, and the extra tokens.
TIMM = {
    'vit_tiny_patch16_224': 1,
    'deit_tiny_distilled_patch16_224': 2,
    'vit_small_patch14_dinov2': 1,
    'vit_small_patch14_reg4_dinov2': 5,
    'vit_small_patch16_dinov3': 5,
    'vit_base_patch16_clip_224': 1,
    'vit_base_patch16_siglip_224': 0,
    'beit_base_patch16_224': 1,
    'vit_base_patch16_224.mae': 1,
    'eva02_tiny_patch14_224': 1,
}


@pytest.fixture
def timm():
    return pytest.importorskip('timm')


def sums(maps, extra, queries, own_query):
    """Rows or sums of whole maps (B, heads, N, N), as maskers ask."""
    if queries == 'cls':
        return maps[:, :, 0, extra:]
    if not own_query:
        maps = maps - torch.diag_embed(maps.diagonal(dim1=2, dim2=3))
    first = extra if queries == 'patches' else 0
    return maps[:, :, first:].sum(2)[..., extra:]


def compare(teacher, maps, images, extra, grid):
    for queries in ('cls', 'patches', 'all'):
        if queries == 'cls' and not teacher.has_class_token:
            with pytest.raises(ValueError, match="queries='all'"):
                teacher.attention(images, grid, 0)
            continue
        for own_query in (True, False):
            for block in range(3):
                torch.testing.assert_close(
                    teacher.attention(images, grid, block, queries,
                                      own_query=own_query),
                    sums(maps[block], extra, queries, own_query),
                    rtol=1e-5, atol=1e-5)
    # Heads are told apart, and maps are not flat.
    assert all(one.std(dim=1).mean() > 1e-3 for one in maps)


@pytest.mark.parametrize('name', HF)
def test_attention_is_that_of_transformers(name, tmp_path):
    model = hf_folder(name, tmp_path)
    images = torch.randn(2, 3, 32, 32)
    options = {}
    if name == 'MAE':
        options['noise'] = torch.arange(16.).expand(2, -1)
    with torch.no_grad():
        maps = model(images, output_attentions=True, **options).attentions
    teacher = HFTeacher(str(tmp_path))
    compare(teacher, maps, images, HF[name][2], (4, 4))


def timm_maps(model, images):
    """Of all blocks, with timm's eager attention."""
    maps = []
    for block in model.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_pre_hook(
            lambda _, inputs: maps.append(inputs[0]))
    with torch.no_grad():
        model.forward_features(images)
    return maps


@pytest.mark.parametrize('name', TIMM)
def test_attention_is_that_of_timm(timm, name, tmp_path):
    patch = 14 if 'patch14' in name else 16
    options = dict(SMALL, img_size=4 * patch)
    model = randomise(timm.create_model(name, num_classes=0, **options))
    path = tmp_path / 'weights.safetensors'
    safetensors.torch.save_file(model.state_dict(), path)
    images = torch.randn(2, 3, 4 * patch, 4 * patch)
    teacher = TimmTeacher(name, str(path), **options)
    compare(teacher, timm_maps(model, images), images, TIMM[name], (4, 4))
