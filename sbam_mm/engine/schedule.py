# Copyright (c) OpenMMLab. All rights reserved.
"""A config's training made longer or shorter, its schedule with it."""
import math

from mmengine.config import Config


def set_epochs(cfg: Config,
               epochs: int,
               iterations: int | None = None) -> None:
    """Train for another number of epochs, schedules scaled in proportion.

    What methods count in epochs of their own (``start_epoch`` of a masker,
    ``interval`` of a hook) stays as it is.

    Args:
        cfg (Config): Of a training by epochs; changed in place.
        epochs (int): At least 1.
        iterations (int, optional): Of an epoch. If given, a schedule's part
            (a warm-up of a tenth of an epoch) is made one iteration long at
            least; mmengine refuses empty ones. Defaults to None.

    Raises:
        ValueError: If the config does not count in epochs, or ``epochs`` is
            below 1.

    Example:
        >>> cfg = Config(dict(
        ...     train_cfg=dict(by_epoch=True, max_epochs=400),
        ...     param_scheduler=[
        ...         dict(type='LinearLR', begin=0, end=40),
        ...         dict(type='CosineAnnealingLR', begin=40, end=400,
        ...              T_max=360)]))
        >>> set_epochs(cfg, 100)
        >>> cfg.train_cfg.max_epochs, cfg.param_scheduler[1].T_max
        (100, 90.0)
    """
    before = cfg.get('train_cfg', {}).get('max_epochs')
    if not before:
        raise ValueError('the config has no train_cfg.max_epochs, so its '
                         'number of epochs cannot be changed; choose a '
                         'config that trains by epochs.')
    if epochs < 1:
        raise ValueError(f'a training has at least 1 epoch, got {epochs}.')

    def scaled(time: float) -> float:
        moved = time * epochs / before
        return max(moved, 1 / iterations) if time and iterations else moved

    schedulers = cfg.get('param_scheduler') or []
    if isinstance(schedulers, dict):
        schedulers = [schedulers]
    for scheduler in schedulers:
        begin, end = scheduler.get('begin', 0), scheduler.get('end')
        for key in {'begin', 'end', 'T_max'} & scheduler.keys():
            scheduler[key] = scaled(scheduler[key])
        # Half a cosine over all of its part stays that.
        if end is not None and 'T_max' in scheduler and math.isclose(
                scheduler.T_max, scaled(end - begin)):
            scheduler.T_max = scheduler.end - scheduler.get('begin', 0)
    cfg.train_cfg.max_epochs = epochs
