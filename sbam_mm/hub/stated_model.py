# Copyright (c) OpenMMLab. All rights reserved.
"""The encoder that the ``config.json`` of a folder describes, as our config.

Weights do not say how many heads there are, which eps the norms have, and how
images are normalised. A folder of transformers or timm says it.
"""
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sbam_mm.errors import UserError
from sbam_mm.files import read_json
from sbam_mm.models.backbones.masked_encoder import vit_arch

# Registers and distillation tokens are told from the weights.
HF_MODELS = ('vit', 'vit_mae', 'deit', 'dinov2', 'dinov2_with_registers')
TIMM_OPTIONS = {
    'img_size', 'patch_size', 'in_chans', 'embed_dim', 'depth', 'num_heads',
    'mlp_ratio', 'qkv_bias', 'init_values', 'pre_norm'
}


def stated_model(folder: str | Path) -> dict[str, Any] | None:
    """Our config of a folder's encoder: ``backbone``, ``data_preprocessor``.

    Of transformers' ViT, ViTMAE, DeiT and DINOv2, and of timm's ViTs where all
    sizes are stated, as this project writes them; None of anything else.
    Images have the size that the folder's are prepared for.

    Raises:
        UserError: If the values are none of a ViT.
    """
    path = Path(folder) / 'config.json'
    if not path.is_file():
        return None
    said = read_json(path)
    options = said.get('model_args')
    try:
        if isinstance(options, dict):
            if set(options) != TIMM_OPTIONS:
                return None
            backbone, mean, std = _of_timm(options, said['pretrained_cfg'])
        elif said.get('model_type') in HF_MODELS:
            backbone, mean, std = _of_hf(said, Path(folder))
        else:
            return None
        return dict(
            backbone=dict(backbone, type='sbam_mm.MaskedViT'),
            data_preprocessor=dict(
                mean=[255. * value for value in mean],
                std=[255. * value for value in std], to_rgb=True))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f'{path} is damaged or of another kind of ViT '
            f'({type(error).__name__}: {error}); say what encoder it is with '
            '--arch or --config.') from error


Encoder = tuple[dict[str, Any], Sequence[float], Sequence[float]]


def _of_timm(said: Mapping[str, Any], images: Mapping[str, Any]) -> Encoder:
    return dict(
        arch=_arch(said['embed_dim'], said['depth'], said['num_heads'],
                   round(said['embed_dim'] * said['mlp_ratio'])),
        img_size=said['img_size'],
        patch_size=said['patch_size'],
        in_channels=said['in_chans'],
        qkv_bias=said['qkv_bias'],
        pre_norm=said['pre_norm'],
        layer_scale_init_value=said['init_values'] or 0.,
    ), images['mean'], images['std']


def _of_hf(said: Mapping[str, Any], folder: Path) -> Encoder:
    if said.get('hidden_act', 'gelu') != 'gelu':
        raise ValueError(f'hidden_act {said["hidden_act"]!r}')
    dinov2 = said['model_type'].startswith('dinov2')
    width, depth = said['hidden_size'], said['num_hidden_layers']
    backbone = dict(
        arch=_arch(width, depth, said['num_attention_heads'],
                   width * said['mlp_ratio'] if dinov2 else
                   said['intermediate_size']),
        img_size=said['image_size'],
        patch_size=said['patch_size'],
        in_channels=said.get('num_channels', 3),
        qkv_bias=said.get('qkv_bias', True),
        layer_scale_init_value=1e-5 if dinov2 else 0.,
        norm_cfg=dict(type='LN', eps=float(said['layer_norm_eps'])))
    file = folder / 'preprocessor_config.json'
    images = read_json(file) if file.is_file() else {}
    size = images.get('crop_size') or images.get('size')
    if isinstance(size, dict) and {'height', 'width'} <= set(size):
        backbone['img_size'] = [size['height'], size['width']]
    # What is not said is half of all, as in the library.
    half = [0.5] * backbone['in_channels']
    return backbone, images.get('image_mean', half), images.get(
        'image_std', half)


def _arch(width: int, depth: int, heads: int, hidden: int) -> dict[str, int]:
    return dict(vit_arch(width, depth, heads), feedforward_channels=hidden)
