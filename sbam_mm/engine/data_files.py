# Copyright (c) OpenMMLab. All rights reserved.
"""Folders and annotation files of segmentation and detection, looked for."""
import os.path as osp
from typing import Iterator

from mmengine.config import Config

from .launch import LaunchError

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

    Args:
        cfg (Config): Of mmseg or mmdet; others look for themselves.
        *splits (str): "train", "val" or "test".

    Raises:
        LaunchError: With the path and what to set.

    Example::

        check_data_files(cfg, 'train', 'val')
    """
    if cfg.get('default_scope') not in SCOPES:
        return
    for split in splits:
        loader = cfg.get(f'{split}_dataloader') or {}
        for dataset in datasets_of(loader.get('dataset') or {}):
            prefix = dataset.get('data_prefix') or {}
            names = dict(ann_file=dataset.get('ann_file'), **{
                f'data_prefix.{key}': value
                for key, value in prefix.items()
            })
            for key, name in names.items():
                path = osp.join(dataset.get('data_root') or '', name or '')
                if name and '://' not in path and not osp.exists(path):
                    raise LaunchError(
                        f"The {split} split's {key} '{path}' does not exist; "
                        'set DATA_ROOT (or --data-root) to the folder that '
                        'the base config describes, or '
                        f'{split}_dataloader.dataset.{key}.')
