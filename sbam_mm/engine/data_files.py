# Copyright (c) OpenMMLab. All rights reserved.
"""Check that segmentation and detection data are there."""
import os.path as osp
from collections.abc import Iterator
from importlib.util import find_spec

from mmengine.config import Config

from sbam_mm.errors import UserError

SCOPES = ('mmseg', 'mmdet')


def datasets_of(dataset: dict) -> Iterator[dict]:
    """A data set's config, or those that a wrapper holds."""
    inner = dataset.get('datasets') or [dataset.get('dataset')]
    for part in inner:
        if part is None:
            yield dataset
        else:
            yield from datasets_of(part)


def check_data_files(cfg: Config, *splits: str) -> None:
    """Stop before anything is built if a file or folder is missing.

    Also if LVIS is used without the package that reads it. Configs of other
    scopes than mmseg and mmdet pass.
    """
    if cfg.get('default_scope') not in SCOPES:
        return
    for split in splits:
        loader = cfg.get(f'{split}_dataloader') or {}
        for dataset in datasets_of(loader.get('dataset') or {}):
            if str(dataset.get('type')).startswith('LVIS'):
                check_lvis()
            prefix = dataset.get('data_prefix') or {}
            names = dict(ann_file=dataset.get('ann_file'), **{
                f'data_prefix.{key}': value
                for key, value in prefix.items()
            })
            for key, name in names.items():
                path = osp.join(dataset.get('data_root') or '', name or '')
                if name and missing(path):
                    raise UserError(
                        f"The {split} split's {key} '{path}' does not exist; "
                        'set DATA_ROOT (or --data-root) to the folder that '
                        'the base config describes, or '
                        f'{split}_dataloader.dataset.{key}.')
        metrics = cfg.get(f'{split}_evaluator') or []
        for metric in metrics if isinstance(metrics, list) else [metrics]:
            path = metric.get('ann_file') or ''
            if missing(path):
                raise UserError(
                    f"The {split} split's metric reads '{path}', which does "
                    f'not exist; set {split}_evaluator.ann_file to the '
                    "split's annotation file.")


def missing(path: str) -> bool:
    """Whether a path is given, is no URL, and does not exist."""
    return bool(path) and '://' not in path and not osp.exists(path)


def check_lvis() -> None:
    """Stop without a working package ``lvis``.

    The release on PyPI, which lacks a module, needs a numpy below 1.24: hours
    of training would end in the first evaluation.
    """
    if find_spec('lvis') is None or find_spec('lvis.boundary_utils') is None:
        raise UserError(
            'LVIS needs the package lvis from its repository (PyPI has an '
            'old one that fails in evaluation); pip install '
            'git+https://github.com/lvis-dataset/lvis-api.git')
