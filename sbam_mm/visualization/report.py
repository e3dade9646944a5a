# Copyright (c) OpenMMLab. All rights reserved.
"""A report of some runs: one HTML file that needs nothing beside it."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from sbam_mm.environment import collect_versions

from .page import Section, write_page

# Differences of accuracies below this many points are shown as equal.
EQUAL = 0.05


@dataclass
class RunResult:
    """What came out of one run, or of a floor that runs are compared with.

    Args:
        name (str): Short, for files and look-ups, e.g. "sbam".
        label (str): For people, e.g. "SBAM, per-image ratio".
        metrics (dict[str, float or None]): Accuracies in per cent by column
            header; None where it was not measured.
        config (str or Path, optional): Path of a config, or its text.
    """
    name: str
    label: str
    metrics: dict[str, float | None] = field(default_factory=dict)
    images_per_second: float | None = None
    visible_tokens: float | None = None
    config: str | Path | None = None
    work_dir: str | Path | None = None
    seconds: float | None = None

    def config_text(self) -> str | None:
        """The config as text, read from its file if it is a path."""
        if self.config is None or '\n' in str(self.config):
            return self.config  # type: ignore[return-value]
        path = Path(self.config)
        return path.read_text(encoding='utf-8') if path.is_file() else str(
            self.config)


def _join(names: Sequence[str]) -> str:
    return ' and '.join([', '.join(names[:-1])] * (len(names) > 1) +
                        [names[-1]])


def _lower(label: str) -> str:
    """A label inside a sentence; "SBAM" stays as it is."""
    return label[:1].lower() + label[1:] if label[1:2].islower() else label


def summarise(runs: Sequence[RunResult], floors: Sequence[RunResult]) -> str:
    """Say in words what the numbers say, and no more.

    Per metric the best run and its lead, whether runs are above the floors
    (what they should exceed, e.g. raw pixels), cost, and how much it proves.

    Example:
        >>> a, b = RunResult('a', 'A', {'kNN': 40.}), RunResult(
        ...     'b', 'B', {'kNN': 41.5})
        >>> summarise([a, b], [])[:60]
        'On kNN, B is best with 41.5 %, 1.5 points above A (40.0 %). '
    """
    sentences = []
    for metric in _metrics(runs):
        scored = sorted(_scores(runs, metric), key=lambda pair: -pair[0])
        if len(scored) == 1:
            sentences.append(f'On {metric}, {scored[0][1]} reaches '
                             f'{scored[0][0]:.1f} %.')
        elif scored:
            best, label = scored[0]
            if best - scored[-1][0] < EQUAL:
                sentences.append(
                    f'On {metric}, {_join([name for _, name in scored])} are '
                    f'equal at {best:.1f} %.')
            else:
                others = [
                    f'{best - value:.1f} points above {name} ({value:.1f} %)'
                    for value, name in scored[1:]
                ]
                sentences.append(f'On {metric}, {label} is best with '
                                 f'{best:.1f} %, {_join(others)}.')
        sentences += _against_floors(metric, scored, floors)
    cost = [
        f'{_lower(r.label)} kept {r.visible_tokens:.1f} patches per image'
        ' visible' + (f' and trained at {r.images_per_second:.0f} images/s'
           if r.images_per_second else '')
        for r in runs if r.visible_tokens is not None
    ]
    if cost:
        sentences.append(f'In training, {_join(cost)}.')
    if len(runs) > 1:
        sentences.append(
            'Each run was made once, with one seed, so these differences are '
            'an observation and no evidence that one method is better.')
    return ' '.join(sentences)


def _metrics(runs: Sequence[RunResult]) -> list[str]:
    return list(dict.fromkeys(name for r in runs for name in r.metrics))


def _scores(results: Sequence[RunResult],
            metric: str) -> list[tuple[float, str]]:
    """(value, label) of the results for which it was measured."""
    values = [(r.metrics.get(metric), _lower(r.label)) for r in results]
    return [(value, label) for value, label in values if value is not None]


def _against_floors(metric: str, scored: list[tuple[float, str]],
                    floors: Sequence[RunResult]) -> list[str]:
    """One sentence on the runs that are above all floors, and on others."""
    levels = _scores(floors, metric)
    if not scored or not levels:
        return []
    named = _join([f'{label} ({level:.1f} %)' for level, label in levels])
    low = {label: [name for level, name in levels if score <= level]
           for score, label in scored}
    below = [names for names in low.values() if names]
    if below and all(names == below[0] for names in low.values()):
        who = {1: 'it is not', 2: 'neither is'}.get(len(low), 'none is')
        return [f'Compared with {named}: {who} above {_join(below[0])}.']
    if below:
        said = [f'{label} is not above {_join(names)}'
                for label, names in low.items() if names]
        return [f'Compared with {named}: {_join(said)}.']
    both = {1: 'It is', 2: 'Both are'}.get(len(scored), 'All are')
    return [f'{both} above {named}.']


def note_on_pixels(runs: Sequence[RunResult], pixels: Sequence[RunResult],
                   untrained: RunResult, metric: str) -> str:
    """What it means that a run is not above raw pixels; '' if all are.

    Example:
        >>> a, b, c = (RunResult(n, n, {'kNN': v}) for n, v in (
        ...     ('SBAM', 75.), ('Raw pixels', 80.), ('Untrained', 70.)))
        >>> note_on_pixels([a], [b], c, 'kNN')[-45:]
        'against untrained (70.0 %): SBAM +5.0 points.'
    """
    scored = _scores(runs, metric)
    levels, start = _scores(pixels, metric), untrained.metrics.get(metric)
    if not scored or not levels or start is None or min(scored)[0] > max(
            levels)[0]:
        return ''
    gains = _join([
        f'{label} {"−+"[score >= start]}{abs(score - start):.1f} points'
        for score, label in scored
    ])
    short = all(score <= start for score, _ in scored)
    return (
        f'Comparing images pixel by pixel is ahead ({max(levels)[0]:.1f} %). '
        'It is hard to beat where objects of one size stand in the same place '
        'in every image, as in Fashion-MNIST, because the features are means '
        'over patches, in which it is lost where something was. What training '
        f'has changed shows against {_lower(untrained.label)} ({start:.1f} '
        f'%): {gains}{", so it was too short to help" if short else ""}.')


def _table(runs: Sequence[RunResult], floors: Sequence[RunResult]) -> dict:
    metrics = _metrics([*runs, *floors])
    everything = [*floors, *runs]
    extras = [
        (header, name, form) for header, name, form in (
            ('visible patches', 'visible_tokens', '{:.1f}'),
            ('images/s', 'images_per_second', '{:.0f}'),
            ('training', 'seconds', '{:.0f} s'))
        if any(getattr(r, name) is not None for r in everything)
    ]
    best = {
        metric: max((v for v, _ in _scores(runs, metric)), default=None)
        for metric in metrics
    }
    rows = []
    for result in everything:
        floor = result in floors
        cells = [(result.label, False)]
        for metric in metrics:
            value = result.metrics.get(metric)
            top = not floor and value is not None and value == best[metric]
            cells.append(('–' if value is None else f'{value:.1f}',
                          top and len(runs) > 1))
        for _, name, form in extras:
            value = getattr(result, name)
            cells.append(('–' if value is None else form.format(value), False))
        rows.append(dict(cells=cells, floor=floor))
    return dict(
        header=['', *(f'{m} [%]' for m in metrics),
                *(header for header, _, _ in extras)],
        rows=rows,
        note='Grey rows are floors: what the images give without training.'
        if floors else '')


def build_report(out_path: str | Path,
                 runs: Sequence[RunResult],
                 floors: Sequence[RunResult] = (),
                 figures: Sequence[Section] = (),
                 provenance: Mapping[str, object] | None = None,
                 title: str = 'Random masking and SBAM compared',
                 notes: Sequence[str] = ()) -> None:
    """Write the report of some runs as one HTML file.

    Args:
        floors (Sequence[RunResult]): What needs no training: raw pixels,
            features of random weights.
        figures (Sequence[Section]): Heading, caption and content of each
            section, in order, see :func:`~sbam_mm.visualization.write_page`.
        provenance (Mapping[str, object], optional): Where the numbers come
            from, e.g. data, seed, time; shown as given, followed by
            :func:`~sbam_mm.environment.collect_versions`. "command" is
            shown in fixed-width type.

    Example::

        build_report(
            'report.html',
            runs=[RunResult('sbam', 'SBAM', {'kNN top-1': 41.9},
                            work_dir='work_dirs/quickstart/sbam')],
            floors=[RunResult('pixels', 'Raw pixels', {'kNN top-1': 33.0})],
            figures=[('Masks', 'The same photographs.', mask_gallery(...))],
            provenance=dict(data='CIFAR-10', seed=0, command='make ...'))
    """
    given = dict(provenance or {})
    command = given.pop('command', None)
    facts = [(str(key)[:1].upper() + str(key)[1:], str(value))
             for key, value in given.items()]
    facts += collect_versions().items()
    now = datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC')
    texts = [(r.label, r.config_text()) for r in runs]
    write_page(
        out_path,
        title,
        subtitle=f'sbam_mm, {now}',
        summary=summarise(runs, floors),
        table=_table(runs, floors),
        figures=figures,
        facts=facts,
        commands=[('Command', str(command))] if command else [],
        notes=notes,
        configs=[(label, text) for label, text in texts if text])
