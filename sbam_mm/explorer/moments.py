# Copyright (c) OpenMMLab. All rights reserved.
"""A training's progress: the checkpoints of a work directory."""
import re
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from sbam_mm.errors import UserError

_NAME = re.compile(r'(epoch|iter)_(\d+)\.pth')


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
    loop = config.get('train_cfg') or {}
    lengths = dict(epoch=loop.get('max_epochs'), iter=loop.get('max_iters'))
    found = []
    for path in Path(work_dir).glob('*.pth'):
        name = _NAME.fullmatch(path.name)
        if name:
            found.append((name[1], int(name[2]), path))
    if not found:
        raise UserError(f'{work_dir} has no checkpoints (epoch_*.pth or '
                        'iter_*.pth); give the work directory of a training.')
    made = []
    for unit, number, path in sorted(found):
        length = lengths[unit] or max(n for u, n, _ in found if u == unit)
        word = 'iteration' if unit == 'iter' else unit
        made.append(Moment(str(path), f'{word} {number} of {length}',
                           min(number / length, 1.)))
    return sorted(made, key=lambda one: one.progress)
