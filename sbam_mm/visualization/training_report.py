# Copyright (c) OpenMMLab. All rights reserved.
"""Sections and numbers of a report, from what trainings have left."""
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sbam_mm.engine.hooks.same_run import images_per_step
from sbam_mm.engine.run_log import read_scalars, training_summary, with_speed
from sbam_mm.errors import UserError

from .curves import training_diagrams
from .page import Albums, Diagrams, Section
from .report import RunResult
from .run_pictures import (
    config_path,
    images_for,
    kept_checkpoints,
    run_album,
    run_config,
)

CURVES = ('As logged while training. The band around the masking ratio runs '
          'from the lowest to the highest of the images of a step.')
COMPARED = ('Losses compare only where equally many and the same kind of '
            'patches are hidden.')
ALBUM = ('The same images and the same random draws at every checkpoint that '
         'was kept, and with the weights as they were drawn before training. '
         'Click a row to enlarge it. The error is the root mean square over '
         'hidden pixels, of values from 0 to 1.')
LAST_ONLY = ('{} has kept one checkpoint, so there is nothing between the '
             'beginning and it; default_hooks.checkpoint.milestones=8 keeps '
             'eight.')
NORM_PIX = ('The models predict each patch without its mean and contrast; '
            'both are taken from the true patch.')


def run_labels(work_dirs: Sequence[str | Path]) -> list[str]:
    """Short names of work directories, which differ.

    Example:
        >>> run_labels(['a/sbam', 'a/random']), run_labels(['a/x', 'b/x'])
        (['sbam', 'random'], ['a/x', 'b/x'])
    """
    paths = [Path(path).resolve() for path in work_dirs]
    names = [path.name for path in paths]
    if len({*names}) == len(names):
        return names
    common = os.path.commonpath(paths)
    return [os.path.relpath(path, common) for path in paths]


def run_result(label: str, work_dir: str | Path) -> RunResult:
    """The last numbers of a training, for the table of a report."""
    size = _batch_size(work_dir)
    summary = training_summary(read_scalars(work_dir), size or 1)
    config = config_path(work_dir)
    return RunResult(
        label, label,
        {} if summary['knn_top1'] is None else {
            'kNN top-1': summary['knn_top1']},
        images_per_second=summary['images_per_second'] if size else None,
        visible_tokens=summary['visible_tokens'],
        config=config.read_text('utf-8', 'replace') if config else None,
        work_dir=work_dir)


def training_sections(work_dirs: Mapping[str, str | Path],
                      images: Mapping[str, np.ndarray] | None = None,
                      floors: Mapping[str, float] | None = None
                      ) -> list[Section]:
    """What every report of trainings shows: curves, and pictures over time.

    Where a run's pictures cannot be drawn, a note says why.

    Args:
        work_dirs (Mapping[str, str or Path]): By label.
        images (Mapping[str, np.ndarray], optional): By name; uint8,
            (H, W, C), RGB if C is 3; cropped to what each model sees.
            Defaults to None: the first run's own.
        floors (Mapping[str, float], optional): Levels of kNN accuracy to
            compare with, in per cent, by label.

    Raises:
        UserError: If a folder has no log of a training.
    """
    runs = {}
    for label, work_dir in work_dirs.items():
        size, records = _batch_size(work_dir), read_scalars(work_dir)
        runs[label] = with_speed(records, size) if size else records
    albums, notes, caption = [], [], ALBUM
    for label, work_dir in work_dirs.items():
        try:
            config = run_config(work_dir)
            if images is None:
                images, note = images_for(config)
                notes += [note] * bool(note)
            album, missing = run_album(label, work_dir, images)
        except UserError as error:
            notes.append(f'No pictures of {label}: {error}')
            continue
        albums.append(album)
        notes += missing
        if len(album.moments) == 2 and album.total > 1:
            notes.append(LAST_ONLY.format(label))
        if (config.model.get('head') or {}).get('norm_pix', False):
            caption = f'{ALBUM} {NORM_PIX}'
    by_iteration = any(
        path.stem.startswith('iter') for work_dir in work_dirs.values()
        for path in kept_checkpoints(work_dir).values())
    return [
        ('Through the training', caption if albums else '',
         Albums(albums, notes, 'iteration' if by_iteration else 'epoch')),
        ('Curves', CURVES if len(runs) == 1 else f'{CURVES} {COMPARED}',
         Diagrams(training_diagrams(runs, floors), list(runs), runs))]


def _batch_size(work_dir: str | Path) -> int | None:
    """Images of a step in all processes, where the run says it."""
    for path in reversed(kept_checkpoints(work_dir).values()):
        size = images_per_step(path)
        if size:
            return size
    try:
        return (run_config(work_dir).get('train_dataloader') or {}).get(
            'batch_size')
    except UserError:
        return None
