# Copyright (c) OpenMMLab. All rights reserved.
"""A pre-trained encoder from a checkpoint, whole or not at all.

The rules are the same for evaluation, fine-tuning, segmentation and
detection:

- the file is ours, mmpretrain's, or an official one of
  :data:`~sbam_mm.models.checkpoint_formats.FORMATS`, also behind a prefix;
- of DINO's and iBOT's two encoders the teacher's is taken, as in the papers,
  or the one asked for;
- position tables are resized to the backbone's grid;
- every parameter of the backbone is in the file, or is named as one that
  begins anew;
- every parameter of the file's encoder has a place in the backbone, or serves
  pre-training and classification only (``LEFT_BEHIND``).
"""
import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from sbam_mm.errors import UserError

from .checkpoint import (
    LoadReport,
    check_keys,
    check_options,
    read_checkpoint,
    state_dict_of,
    weights_for,
)
from .checkpoint_formats import TEACHER, listing, to_ours
from .position_tables import fit_tables, stored_grids

# Mask token, norms at the end, class token, segment bias, and what joins
# layers (MFF).
LEFT_BEHIND = re.compile(
    r'mask_token$|ln[12]\.|cls_token$|relative_position_index$|'
    r'segment_bias\.u_(pos|neg)$|proj_(layers\.|weights$)')


def encoder_weights(checkpoint: Mapping[str, Any],
                    name: str = 'the checkpoint',
                    branch: str = 'teacher',
                    backbone: nn.Module | None = None) -> dict[str, Tensor]:
    """The encoder in a checkpoint, in mmpretrain's names without a prefix.

    Args:
        branch (str): "teacher" or "student", where a file has both.
        backbone (nn.Module, optional): Tells the names of an encoder that is
            in no known format.

    Example:
        >>> import torch
        >>> state = {'module.backbone.layers.0.ln1.bias': torch.ones(2),
        ...          'neck.mask_token': torch.ones(1, 1, 2)}
        >>> list(encoder_weights({'state_dict': state}))
        ['layers.0.ln1.bias']
    """
    state = state_dict_of(checkpoint, name, branch)
    if backbone is not None and set(backbone.state_dict()) <= set(state):
        return state
    state = to_ours(state, name).state
    prefix = 'backbone.'
    if branch == 'teacher' and any(key.startswith(TEACHER) for key in state):
        prefix = TEACHER
    encoder = {
        key[len(prefix):]: value
        for key, value in state.items() if key.startswith(prefix)
    }
    if not encoder and backbone is not None:
        return weights_for(backbone, state, 1., name)
    if not encoder:
        raise UserError(
            f'{name} has no encoder: none of its {len(state)} keys '
            f'({listing(list(state))}) belongs to a ViT; give a pre-training '
            'checkpoint of ours or of mmpretrain, or an official one of MAE, '
            'DINO, iBOT, timm or Hugging Face.')
    return encoder


def load_encoder(backbone: nn.Module,
                 path: str,
                 begins_anew: Sequence[str] = (),
                 branch: str = 'teacher') -> LoadReport:
    """Load a pre-trained encoder into a backbone, by the rules above.

    Args:
        backbone (nn.Module): One with mmpretrain's key names, changed in
            place, only if the file fits.
        begins_anew (Sequence[str]): Patterns of the keys that need not be in
            the file, e.g. tables of relative positions that a detector adds.
        branch (str): See :func:`encoder_weights`.

    Returns:
        LoadReport: ``missing`` holds nothing but keys that begin anew.

    Raises:
        UserError: If anything is missing, left over or of another shape.
    """
    name = f'the checkpoint {path}'
    checkpoint = read_checkpoint(str(path))
    state = encoder_weights(checkpoint, name, branch, backbone)
    own = backbone.state_dict()
    if {'cls_token', 'pos_embed'} <= set(state) and (
            'cls_token' not in own and 'pos_embed' in own):
        state['pos_embed'] = state['pos_embed'][:, 1:]
    state = {key: value for key, value in state.items()
             if key in own or not LEFT_BEHIND.match(key)}
    check_options(state, own, name)
    state = fit_tables(backbone, state, stored_grids(checkpoint), name)
    report = check_keys(backbone, state, 0., name)
    lacking = [key for key in report.missing if not any(
        re.search(pattern, key) for pattern in begins_anew)]
    if lacking:
        raise UserError(
            f'{name} lacks {len(lacking)} of the '
            f'{len(report.matched) + len(lacking)} parameters of the encoder '
            f'({listing(lacking)}) and has others '
            f'({listing(report.unexpected) or "none"}); give the config it '
            'was trained with, or a checkpoint of such an encoder.')
    if report.unexpected:
        raise UserError(
            f'{name} has {listing(report.unexpected)}, which the encoder '
            'lacks; build it with the options it had.')
    backbone.load_state_dict(state, strict=False)
    return report
