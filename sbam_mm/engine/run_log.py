# Copyright (c) OpenMMLab. All rights reserved.
"""What a training has logged in its work directory."""
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

from sbam_mm.errors import UserError

Records = list[dict[str, float]]


def read_scalars(work_dir: str | Path) -> Records:
    """All log lines of a run, from ``<time stamp>/vis_data/scalars.json``.

    Where a stopped run was resumed from an older checkpoint, what the later
    part logged again replaces the earlier lines.
    """
    records: Records = []
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        part = []
        for line in path.read_text('utf-8', 'replace').splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue  # a run killed in the middle of a line
            if not isinstance(record, dict):
                raise UserError(f'{path} is no log of a training ({line:.60}'
                                '); give the work directory of a run.')
            # Other projects log text and lists, too.
            part.append({key: value for key, value in record.items()
                         if isinstance(value, (int, float))})
        first = min((r['step'] for r in part if 'step' in r), default=None)
        if first is not None:
            records = [r for r in records if r.get('step', 0) < first]
        records += part
    if not records:
        raise UserError(
            f'{work_dir} has no log of a training (*/vis_data/scalars.json); '
            'give the work directory of a run.')
    return records


def series(records: Records,
           key: str,
           x: str = 'step') -> tuple[list[float], list[float]]:
    """One quantity over "step" (iterations) or "epoch"; empty if not logged.

    Example:
        >>> series([dict(step=1, loss=2.), dict(step=2, knn_top1=30.)],
        ...        'loss')
        ([1], [2.0])
    """
    points = [(r[x], r[key]) for r in records if key in r and x in r]
    return [p[0] for p in points], [p[1] for p in points]


def by_epoch(records: Records,
             keys: Sequence[str]) -> dict[int, dict[str, float]]:
    """Means over what each epoch logged, by epoch.

    Example:
        >>> by_epoch([dict(epoch=1, loss=3.), dict(epoch=1, loss=2.),
        ...           dict(epoch=1, knn_top1=30.)], ['loss', 'knn_top1'])
        {1: {'loss': 2.5, 'knn_top1': 30.0}}
    """
    epochs = sorted({int(r['epoch']) for r in records if 'epoch' in r})
    table = {}
    for epoch in epochs:
        logged = {key: [r[key] for r in records
                        if r.get('epoch') == epoch and key in r]
                  for key in keys}
        table[epoch] = {key: mean(values)
                        for key, values in logged.items() if values}
    return table


def with_speed(records: Records, batch_size: int) -> Records:
    """Adds images_per_second to the steps, of ``batch_size`` images in all.

    The first step contains the start of the workers, and gets none.

    Example:
        >>> with_speed([dict(loss=2., time=9.), dict(loss=1., time=.2)], 64)
        [{'loss': 2.0, 'time': 9.0}, {'loss': 1.0, 'time': 0.2, \
'images_per_second': 320.0}]
    """
    first = next((i for i, r in enumerate(records) if 'loss' in r), -1)
    return [
        dict(r, images_per_second=batch_size / r['time'])
        if i > first and 'loss' in r and r.get('time', 0) > 0 else r
        for i, r in enumerate(records)
    ]


def training_summary(records: Records,
                     batch_size: int) -> dict[str, float | None]:
    """Summarise a training whose steps take ``batch_size`` images in all.

    images_per_second is that of the median step; loss, visible_tokens and
    mask_ratio are means of what the last epoch logged; knn_top1, in per cent,
    was logged last. None stands for what was not logged.

    Example:
        >>> training_summary([dict(epoch=1, step=9, loss=.5, time=.2),
        ...                   dict(epoch=1, step=9, knn_top1=30.)], 64)[
        ...     'images_per_second']
        320.0
    """
    steps = [r for r in records if 'loss' in r]
    # Loops over iterations may log no epoch.
    last = [r for r in steps if r.get('epoch') == steps[-1].get('epoch')]
    # The first record contains the start of the workers.
    times = [r['time'] for r in steps[1:] or steps if 'time' in r]

    def of_last_epoch(key: str) -> float | None:
        values = [r[key] for r in last if key in r]
        return mean(values) if values else None

    knn = series(records, 'knn_top1')[1]
    return dict(
        images_per_second=batch_size / median(times) if times else None,
        loss=of_last_epoch('loss'),
        visible_tokens=of_last_epoch('visible_tokens'),
        mask_ratio=of_last_epoch('mask_ratio'),
        knn_top1=knn[-1] if knn else None)
