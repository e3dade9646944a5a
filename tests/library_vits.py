# Copyright (c) OpenMMLab. All rights reserved.
"""Small random ViTs of timm and transformers."""
import json

import pytest
import torch

SIZES = dict(
    hidden_size=24, num_hidden_layers=3, num_attention_heads=3,
    intermediate_size=48, image_size=32, patch_size=8)
SHORT = {key: value for key, value in SIZES.items()
         if key != 'intermediate_size'}
# By name: the config's class, its options, and extra tokens.
HF = {
    'ViT': ('ViTConfig', SIZES, 1),
    'DeiT distilled': ('DeiTConfig', SIZES, 2),
    'DINOv2': ('Dinov2Config', dict(SHORT, use_swiglu_ffn=True), 1),
    'DINOv2 with registers': ('Dinov2WithRegistersConfig', SHORT, 5),
    'DINOv3': ('DINOv3ViTConfig', dict(SIZES, num_register_tokens=4), 5),
    'CLIP': ('CLIPVisionConfig', SIZES, 1),
    'SigLIP': ('SiglipVisionConfig', SIZES, 0),
    'BEiT': ('BeitConfig', dict(SIZES, use_relative_position_bias=True), 1),
    'MAE': ('ViTMAEConfig', SIZES, 1),
    'I-JEPA': ('IJepaConfig', SIZES, 0),
    'data2vec': ('Data2VecVisionConfig', dict(
        SIZES, use_shared_relative_position_bias=True), 1),
}
# Of images with values in [0, 1].
NORMALISATION = dict(image_mean=[.5, .4, .3], image_std=[.3, .25, .2])
# Of timm.
SMALL = dict(embed_dim=24, depth=3, num_heads=3, img_size=32)


def randomise(model):
    torch.manual_seed(3)
    for parameter in model.parameters():
        noise = .4 * torch.randn_like(parameter)
        # Around the scales that norms begin with.
        parameter.data = noise + (parameter.data if noise.dim() == 1 else 0)
    return model.eval()


def hf_folder(name, folder, **options_of_files):
    """A small random model in a folder; returns it with eager attention."""
    transformers = pytest.importorskip('transformers')
    kind, options, _ = HF[name]
    config = getattr(transformers, kind)(**options)
    if name == 'MAE':
        config.mask_ratio = 0.
    torch.manual_seed(2)
    model = randomise(transformers.AutoModel.from_config(
        config, attn_implementation='eager'))
    model.save_pretrained(folder, **options_of_files)
    (folder / 'preprocessor_config.json').write_text(
        json.dumps(dict(NORMALISATION, rescale_factor=1 / 255)))
    return model
