# Copyright (c) OpenMMLab. All rights reserved.
"""Load golden numbers and put official weights into our models."""
import re
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent / 'golden'

ENCODER = [
    (r'^blocks\.(\d+)\.norm([12])', r'backbone.layers.\1.ln\2'),
    (r'^blocks\.(\d+)\.attn', r'backbone.layers.\1.attn'),
    (r'^blocks\.(\d+)\.mlp\.fc1', r'backbone.layers.\1.ffn.layers.0.0'),
    (r'^blocks\.(\d+)\.mlp\.fc2', r'backbone.layers.\1.ffn.layers.1'),
    (r'^norm\.', 'backbone.ln1.'),
    (r'^patch_embed\.proj\.', 'backbone.patch_embed.projection.'),
    (r'^(cls_token|pos_embed)$', r'backbone.\1'),
]
DECODER = [
    (r'^decoder_blocks\.(\d+)\.norm([12])', r'neck.decoder_blocks.\1.ln\2'),
    (r'^decoder_blocks\.(\d+)\.attn', r'neck.decoder_blocks.\1.attn'),
    (r'^decoder_blocks\.(\d+)\.mlp\.fc1',
     r'neck.decoder_blocks.\1.ffn.layers.0.0'),
    (r'^decoder_blocks\.(\d+)\.mlp\.fc2',
     r'neck.decoder_blocks.\1.ffn.layers.1'),
    (r'^decoder_norm\.', 'neck.ln1.'),
    (r'^(decoder_embed|decoder_pred|decoder_pos_embed|mask_token)',
     r'neck.\1'),
]
# HPM's second decoder; before the first one's, whose names are prefixes.
LOSS_DECODER = [
    (r'^decoder_blocks_losspred\.(\d+)\.norm([12])',
     r'loss_decoder.blocks.\1.ln\2'),
    (r'^decoder_blocks_losspred\.(\d+)\.attn',
     r'loss_decoder.blocks.\1.attn'),
    (r'^decoder_blocks_losspred\.(\d+)\.mlp\.fc1',
     r'loss_decoder.blocks.\1.ffn.layers.0.0'),
    (r'^decoder_blocks_losspred\.(\d+)\.mlp\.fc2',
     r'loss_decoder.blocks.\1.ffn.layers.1'),
    (r'^decoder_(norm|pred)_losspred\.', r'loss_decoder.\1.'),
]


def load(name):
    """All arrays of a file as tensors (strings of its keys kept)."""
    with np.load(FOLDER / f'{name}.npz') as file:
        return {key: torch.from_numpy(file[key]) for key in file}


def our_name(official):
    """The name of an official MAE parameter in our model."""
    for pattern, replacement in ENCODER + LOSS_DECODER + DECODER:
        name, hits = re.subn(pattern, replacement, official)
        if hits:
            return name
    raise KeyError(official)


def our_state_dict(golden):
    return {
        our_name(key[3:]): value
        for key, value in golden.items() if key.startswith('sd/')
    }


def our_ibot_state_dict(golden, prefix='sd/'):
    """Parameters of iBOT's student, or with another prefix gradients.

    Its second last layer is the first one: both are shared.
    """
    head = {'weight_g': 'original0', 'weight_v': 'original1'}
    state = {}
    for key, value in golden.items():
        if not key.startswith(prefix) or 'last_layer2' in key:
            continue
        part, name = key[len(prefix):].split('.', 1)
        if name == 'masked_embed':
            state['mask_token'] = value[None]
        elif part == 'backbone':
            state[our_name(name)] = value
        elif name.startswith('last_layer'):
            name = head[name.split('.')[1]]
            state[f'head.last_layer.parametrizations.weight.{name}'] = value
        else:
            state[f'head.{name}'] = value
    return state
