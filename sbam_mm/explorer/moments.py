# Copyright (c) OpenMMLab. All rights reserved.
"""A training's progress: the checkpoints of a work directory."""
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from sbam_mm.errors import UserError
from sbam_mm.visualization.run_pictures import (
    kept_checkpoints,
    training_length,
)

UNITS = dict(epoch='epoch', iter='iteration')


class Moment(NamedTuple):
    """A checkpoint, what to call it, and the share of the training done."""
    path: str
    label: str
    progress: float


def config_of(work_dir: str | Path) -> Path:
    """The config that a training has written into its work directory."""
    found = sorted(Path(work_dir).glob('*.py'))
    if len(found) != 1:
        many = ', '.join(path.name for path in found) or 'none'
        raise UserError(
            f'{work_dir} should hold the one config of a training and has '
            f'{many}; name the config with --config.')
    return found[0]


def moments(work_dir: str | Path, config: Config) -> list[Moment]:
    """Checkpoints of a training from first to last.

    Raises:
        UserError: If there is none.
    """
    checkpoints = kept_checkpoints(work_dir)
    if not checkpoints:
        raise UserError(f'{work_dir} has no checkpoints (epoch_*.pth or '
                        'iter_*.pth); give the work directory of a training.')
    total = training_length(config, checkpoints)
    return [
        Moment(str(path), f'{UNITS[path.stem.partition("_")[0]]} {number} of '
               f'{total}', min(number / total, 1.))
        for number, path in checkpoints.items()
    ]
