# Copyright (c) OpenMMLab. All rights reserved.
"""A pre-trained encoder becomes the backbone of a segmentor or detector.

mmseg's and mmdet's backbones load with ``strict=False``: a file of another
project, or ours with its prefix, loads nothing and the training goes on from
random weights. Here every parameter of the backbone comes from the file, or
the run stops with one sentence.
"""
import re
from typing import Any

from mmengine.logging import print_log
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.models.checkpoint import (
    LoadReport,
    check_keys,
    read_checkpoint,
    state_dict_of,
)
from sbam_mm.models.checkpoint_formats import TEACHER, listing, to_ours
from sbam_mm.models.position_tables import fit_tables, stored_grids

PREFIX = 'backbone.'
# What an encoder has for pre-training or classification only.
LEFT_BEHIND = (r'mask_token$', r'ln[12]\.', r'(cls|dist)_token$',
               r'relative_position_index$')


def encoder_weights(checkpoint: Any,
                    name: str = 'the checkpoint') -> dict[str, Tensor]:
    """The encoder in a checkpoint, in mmpretrain's names without a prefix.

    Args:
        checkpoint: As read from a file: ours, mmpretrain's, or an official
            one of MAE, DINO, iBOT, timm or Hugging Face. Of our DINO and
            iBOT the teacher is taken, as the papers do.
        name (str): What to call it in a message.

    Returns:
        dict[str, Tensor]: For example "layers.0.ln1.weight".

    Raises:
        UserError: If there is no encoder.

    Example:
        >>> import torch
        >>> state = {'module.backbone.layers.0.ln1.bias': torch.ones(2),
        ...          'neck.mask_token': torch.ones(1, 1, 2)}
        >>> list(encoder_weights({'state_dict': state}))
        ['layers.0.ln1.bias']
    """
    state = to_ours(state_dict_of(checkpoint, name), name).state
    prefix = TEACHER if any(
        key.startswith(TEACHER) for key in state) else PREFIX
    encoder = {
        key[len(prefix):]: value
        for key, value in state.items() if key.startswith(prefix)
    }
    if not encoder:
        raise UserError(
            f'{name} has no encoder: none of its {len(state)} keys '
            f'({listing(list(state))}) belongs to a ViT; give a pre-training '
            'checkpoint of ours or of mmpretrain, or an official one of MAE, '
            'DINO, iBOT, timm or Hugging Face.')
    return encoder


def load_encoder(backbone: nn.Module,
                 path: str,
                 begins_anew: tuple[str, ...] = ()) -> LoadReport:
    """Load a pre-trained encoder into a backbone, whole or not at all.

    Position embeddings are resized to the backbone's images.

    Args:
        backbone (nn.Module): One with mmpretrain's key names, changed in
            place.
        path (str): A checkpoint file or URL; see :func:`encoder_weights`.
        begins_anew (tuple[str]): Patterns of the keys that the backbone adds
            to the encoder, such as tables of relative positions. Defaults to
            none.

    Returns:
        LoadReport: What was loaded; ``missing`` holds nothing but keys that
        begin anew.

    Raises:
        UserError: If the file has no encoder, a key of the backbone is not
            in the file, a key of the encoder has no place in the backbone
            (class token, final norm and mask token aside), or shapes differ.

    Example::

        report = load_encoder(DenseViT('base'), 'work_dirs/sbam/epoch_400.pth')
    """
    path = str(path)
    checkpoint = read_checkpoint(path)
    state = encoder_weights(checkpoint, path)
    own = backbone.state_dict()
    without_class = {'cls_token', 'pos_embed'} <= set(state) and (
        'cls_token' not in own and 'pos_embed' in own)
    if without_class:
        state['pos_embed'] = state['pos_embed'][:, 1:]
    state = {
        key: value
        for key, value in state.items() if key in own
        or not any(re.match(pattern, key) for pattern in LEFT_BEHIND)
    }
    state = fit_tables(backbone, state, stored_grids(checkpoint), path)
    report = check_keys(backbone, state, 0., path)
    added = [
        key for key in report.missing
        if any(re.search(pattern, key) for pattern in begins_anew)
    ]
    lacking = [key for key in report.missing if key not in added]
    if lacking:
        raise UserError(
            f'{path} lacks {len(lacking)} of the {len(own) - len(added)} '
            f'weights that {type(backbone).__name__} takes from it: '
            f'{listing(lacking)}; give the checkpoint of a whole encoder, or '
            'build the backbone with the architecture it was trained with.')
    if report.unexpected:
        raise UserError(
            f'{path} has {len(report.unexpected)} weights that '
            f'{type(backbone).__name__} has no place for: '
            f'{listing(report.unexpected)}; build the backbone with the '
            'architecture and options the encoder was trained with.')
    backbone.load_state_dict(state, strict=False)
    return report


class FromEncoder:
    """A backbone whose ``init_cfg=dict(type='Pretrained')`` is strict.

    Goes before mmpretrain's class in the list of bases. ``begins_anew``
    names what the class adds to an encoder.
    """
    begins_anew: tuple[str, ...] = ()
    init_cfg: Any
    is_init: bool

    def init_weights(self) -> None:
        """Start from a checkpoint, whole, or from random weights.

        Raises:
            UserError: See :func:`load_encoder`; also if the name of the
                checkpoint is empty, or options other than "checkpoint" are
                given.
        """
        cfg = self.init_cfg
        if not (isinstance(cfg, dict) and cfg.get('type') == 'Pretrained'):
            super().init_weights()  # type: ignore[misc]
            return
        path = str(cfg.get('checkpoint') or '')
        if not path:
            raise UserError(
                'the backbone has no checkpoint to start from; give it with '
                '--cfg-options model.backbone.init_cfg.checkpoint=FILE or '
                'the environment variable CHECKPOINT, or set '
                'model.backbone.init_cfg=None to train from random weights.')
        unknown: list[str] = sorted(set(cfg) - {'type', 'checkpoint'})
        if unknown:
            raise UserError(
                f'init_cfg has {", ".join(unknown)}, which has no effect '
                'here: prefixes and formats are recognised; remove it.')
        # What begins anew needs its random start first.
        self.init_cfg = None
        super().init_weights()  # type: ignore[misc]
        self.init_cfg = cfg
        assert isinstance(self, nn.Module)
        report = load_encoder(self, path, self.begins_anew)
        print_log(
            f'Encoder from {path}: {len(report.matched)} weights loaded, '
            f'{len(report.missing)} begin anew.',
            logger='current')
