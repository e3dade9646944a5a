# Copyright (c) OpenMMLab. All rights reserved.
"""Loading weights that are known to fit, from our files and official ones.

mmengine loads with ``strict=False`` and says nothing when no key matches: a
wrong file then trains or draws from random weights. Here it is an error.
"""
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.files import replacing
from sbam_mm.safe_loading import read_checkpoint

from .checkpoint_formats import BRANCHES, to_ours
from .key_prefixes import listing, say_prefix, without_prefix
from .position_tables import fit_tables, stored_grids

# Under these names projects keep their weights beside other things.
CONTAINERS = ('state_dict', 'model')
SUFFIXES = ('.pth', '.pt', '.bin', '.safetensors')
# What is a parameter, by the last part of its name, and never an integer.
LEARNT = ('weight', 'bias', 'cls_token', 'mask_token', 'pos_embed', 'gamma')
# What some ViTs have and a model may be built without.
OPTIONS = {
    r'register_tokens$':
    "type='sbam_mm.RegisterViT' and the number of registers",
    r'dist_token$': "type='DistilledVisionTransformer'",
    r'pre_norm\.': 'pre_norm=True',
    r'layers\.\d+\.\w+\.gamma[12]\.':
    'layer_scale_init_value=1e-5',
    r'ln2\.': "out_type='avg_featmap' and final_norm=False",
}


@dataclass
class LoadReport:
    """How a checkpoint fits a model: lists of keys.

    ``matched`` are those of both with equal shapes, ``missing`` the model's
    that the file lacks, ``unexpected`` the file's that the model lacks,
    ``misshapen`` those of both with the two different shapes.
    """
    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Share of the model's keys that match, in [0, 1]."""
        wanted = len(self.matched) + len(self.missing) + len(self.misshapen)
        return len(self.matched) / wanted if wanted else 0.

    def __str__(self) -> str:
        wanted = len(self.matched) + len(self.missing) + len(self.misshapen)
        return (f'{len(self.matched)} of {wanted} keys of the model loaded, '
                f'{len(self.unexpected)} of the file not used')


def state_dict_of(checkpoint: Mapping[str, Any],
                  name: str = 'the checkpoint',
                  branch: str = 'teacher') -> dict[str, Tensor]:
    """The weights in a checkpoint, under the names they were saved with.

    The prefix of a model wrapper ("module.") or of a compiled model
    ("_orig_mod.") is taken off.

    Args:
        checkpoint (Mapping): Weights, or a dict with weights under
            "state_dict" (mmengine), "model" (MAE, timm), or "teacher" and
            "student" (DINO, iBOT).
        branch (str): "teacher" or "student", where a file has both.

    Example:
        >>> list(state_dict_of(dict(model=dict(a=torch.ones(1)), epoch=3)))
        ['a']
    """
    if branch not in BRANCHES:
        raise UserError(f'branch={branch!r} is unknown; choose one of '
                        f'{", ".join(BRANCHES)}.')
    state = checkpoint
    if isinstance(checkpoint, Mapping):
        for container in (*CONTAINERS, branch):
            if isinstance(checkpoint.get(container), Mapping):
                state = checkpoint[container]
                break
    weights = {
        re.sub(r'^(module\.|_orig_mod\.)+', '', key): value
        for key, value in state.items() if isinstance(value, Tensor)
    } if isinstance(state, Mapping) else {}
    if not weights:
        found = (
            f'only the keys {listing([str(key) for key in state])}'
            if isinstance(state, Mapping) and state else
            f'an object of type {type(state).__name__}')
        raise UserError(
            f'{name} holds no weights but {found}; give a file that is a '
            'state dict or has one under "state_dict".')
    check_values(weights, name)
    return weights


def check_values(weights: Mapping[str, Tensor],
                 name: str = 'the checkpoint') -> None:
    """Refuse weights that are no real, finite numbers, by name."""
    wrong = [
        f'{key} ({str(value.dtype).rpartition(".")[2]})'
        for key, value in weights.items() if value.is_complex() or
        key.rpartition('.')[2] in LEARNT and not value.is_floating_point()
    ]
    if wrong:
        raise UserError(
            f'{name} holds no floating-point numbers in {listing(wrong)}; '
            'give a checkpoint whose weights are neither complex nor '
            'quantised.')
    broken = [key for key, value in weights.items() if not _finite(value)]
    if broken:
        raise UserError(
            f'{name} has values that are NaN or infinite in '
            f'{listing(broken)}; its training had diverged or the file is '
            'damaged, so give an earlier or another one.')


def _finite(value: Tensor) -> bool:
    if not value.is_floating_point():
        return True
    if value.layout != torch.strided:
        value = value.to_dense()
    # Of 8-bit numbers PyTorch does not tell.
    value = value.float() if value.dtype.itemsize < 2 else value
    return bool(torch.isfinite(value).all())


def compare_keys(model: nn.Module, state: Mapping[str, Tensor]) -> LoadReport:
    """Compare weights with a model; nothing is loaded.

    Position embeddings that the model resizes while loading
    (mmpretrain's backbones) match if they are those of a square grid; see
    :func:`sbam_mm.models.position_tables.fit_tables` for any grid.

    Example:
        >>> report = compare_keys(nn.Linear(2, 3), nn.Linear(2, 3, False)
        ...                       .state_dict())
        >>> report.matched, report.missing
        (['weight'], ['bias'])
    """
    resized = {
        f'{name}.pos_embed'.lstrip('.'): module.num_extra_tokens
        for name, module in model.named_modules()
        if hasattr(module, '_prepare_pos_embed')
    }
    report = LoadReport()
    own = model.state_dict()
    for key, value in own.items():
        if key not in state:
            report.missing.append(key)
        elif state[key].shape == value.shape or (
                key in resized and state[key].dim() == value.dim()
                and state[key].shape[-1] == value.shape[-1]
                and _square(state[key].shape[1] - resized[key])):
            report.matched.append(key)
        else:
            report.misshapen.append(
                f'{key} ({tuple(state[key].shape)} in the file, '
                f'{tuple(value.shape)} in the model)')
    report.unexpected = [key for key in state if key not in own]
    return report


def _square(number: int) -> bool:
    return number > 0 and math.isqrt(number)**2 == number


def _depths(keys: Iterable[str]) -> dict[str, int]:
    """Number of blocks by the name of their list."""
    depths: dict[str, int] = {}
    for key in keys:
        match = re.match(r'(.*?\b(?:layers|blocks|decoder_blocks))\.(\d+)\.',
                         key)
        if match:
            name, number = match.groups()
            depths[name] = max(depths.get(name, 0), int(number) + 1)
    return depths


def check_keys(model: nn.Module,
               state: Mapping[str, Tensor],
               min_share: float = 0.5,
               name: str = 'the checkpoint') -> LoadReport:
    """Refuse weights that do not fit the model.

    Args:
        min_share (float): Share of the model's keys that must match; by
            default an encoder without its decoder passes. At least one key
            must match in any case.
    """
    report = compare_keys(model, state)
    if report.misshapen:
        raise UserError(
            f'{name} was made by a model of other sizes: '
            f'{len(report.misshapen)} shapes differ, '
            f'{listing(report.misshapen)}; build the model from the config '
            'the checkpoint was trained with.')
    own_state = model.state_dict()
    wrong = [
        key for key in report.matched if own_state[key].is_floating_point()
        and not state[key].is_floating_point()
    ]
    if wrong:
        raise UserError(
            f'{name} holds no floating-point numbers in {listing(wrong)}, '
            'as the model wants; give a checkpoint that is not quantised.')
    own, others = _depths(own_state), _depths(state)
    for blocks in own:
        if own[blocks] != others.get(blocks, own[blocks]):
            raise UserError(
                f'{name} was made by a model of another depth: it has '
                f'{others[blocks]} {blocks}, the model {own[blocks]}; build '
                'the model from the config the checkpoint was trained with.')
    if not report.matched or report.share < min_share:
        total = len(report.matched) + len(report.missing)
        raise UserError(
            f'{name} has {len(report.matched)} of the {total} keys of '
            f'{type(model).__name__}, fewer than the '
            f'{max(1, round(min_share * total))} wanted '
            f'(the model wants {total} keys and lacks {len(report.missing)}: '
            f'{listing(report.missing)}; the file has {len(state)} keys and '
            f'{len(report.unexpected)} are unknown to the model: '
            f'{listing(report.unexpected) or "none"}); give a checkpoint of '
            'this model, or an encoder of MAE, DINO, iBOT, timm or Hugging '
            'Face.')
    return report


def write_weights(path: str, weights: Mapping[str, Any]) -> None:
    """Write a checkpoint file that is either complete or not there.

    Args:
        path (str): Ending in ".pth", ".pt", ".bin" (all as torch saves), or
            ".safetensors".
    """
    if not path.endswith(SUFFIXES):
        raise UserError(f'{path} does not end in {", ".join(SUFFIXES)}; '
                        'choose one.')
    with replacing(path) as name:
        if path.endswith('.safetensors'):
            # transformers wants to be told where the tensors come from.
            safetensors.torch.save_file(
                {key: value.contiguous() for key, value in weights.items()},
                name,
                metadata=dict(format='pt'))
        else:
            torch.save(weights, name)


def check_options(state: Iterable[str], own: Iterable[str],
                  name: str) -> None:
    """Stop if a file has a part that a model was built without.

    Both have the encoder's keys, with or without "backbone." in front.
    """
    state, own = list(state), list(own)
    for pattern, option in OPTIONS.items():
        part = re.compile(rf'(backbone\.)?{pattern}')
        extra = [key for key in state if part.match(key)]
        if extra and not any(map(part.match, own)):
            raise UserError(
                f'{name} has {listing(extra)}, which the encoder lacks; build '
                f'it with {option}.')


def weights_for(model: nn.Module,
                checkpoint: Mapping[str, Any],
                min_share: float = 0.5,
                name: str = 'the checkpoint') -> dict[str, Tensor]:
    """The weights in a checkpoint under the names a model gives them.

    They are not compared with the model yet.

    Args:
        model (nn.Module): One with a ``backbone``, or the backbone itself.
        checkpoint (Mapping): As read from a file: ours, mmpretrain's, or any
            of :data:`sbam_mm.models.checkpoint_formats.FORMATS`.
        min_share (float): Weights that match this share of the model's keys,
            or half of them if that is more, are left as they are.

    Raises:
        UserError: If there are no weights, some are of no plain ViT, or
            the model was built without a part that the file has.
    """
    state = state_dict_of(checkpoint, name)
    if compare_keys(model, state).share >= max(min_share, 0.5):
        return state
    done = to_ours(state, name)
    if done.format is None:
        for prefix, bare in without_prefix(state):
            report = compare_keys(model, bare)
            if report.share >= max(min_share, 0.5) and not report.unexpected:
                say_prefix(prefix, name)
                return bare
    state = done.state
    own = model.state_dict()
    prefix = 'backbone.'
    if not any(key.startswith(prefix) for key in own):
        prefix = ''
    check_options(state, own, name)
    return {
        re.sub(r'^backbone\.', prefix, key): value
        for key, value in state.items()
    }


def load_weights(model: nn.Module,
                 path: str,
                 min_share: float = 0.5,
                 trust_pickle: bool = False,
                 grid: tuple[int, int] | None = None) -> LoadReport:
    """Load a checkpoint into a model, or say why it does not fit.

    Official files of MAE, DINO, iBOT, timm and Hugging Face's ViT and ViTMAE
    are recognised by their key names. Hugging Face's layer norms have
    eps=1e-12, the others' and ours 1e-6: give the backbone
    ``norm_cfg=dict(type='LN', eps=1e-12)`` for the same digits.

    Args:
        path (str): A checkpoint file, ".safetensors" included, or a URL.
        grid (tuple[int, int], optional): Rows and columns of patches of the
            file's position tables, where the file does not say it and they are
            no square.

    Example::

        model = MODELS.build(cfg.model)
        print(load_weights(model, 'work_dirs/sbam/epoch_400.pth'))
        print(load_weights(model.backbone, 'mae_pretrain_vit_base.pth'))
    """
    path = str(path)
    checkpoint = read_checkpoint(path, trust_pickle)
    state = weights_for(model, checkpoint, min_share, path)
    grids = stored_grids(checkpoint) if grid is None else [grid]
    state = fit_tables(model, state, grids, path)
    report = check_keys(model, state, min_share, path)
    model.load_state_dict(state, strict=False)
    return report
