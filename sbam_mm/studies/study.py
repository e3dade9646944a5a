# Copyright (c) OpenMMLab. All rights reserved.
"""A study: what is varied, with how many seeds, what is measured, drawn."""
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any

from mmengine.config import Config

from sbam_mm.command_line.explain import sentence_of
from sbam_mm.config_files import read_config
from sbam_mm.engine.config_checks import check_training
from sbam_mm.engine.trial_build import check_buildable
from sbam_mm.errors import UserError

from .cell_config import VERBS, cell_config, comparable, content_hash
from .figure_kinds import check_figure, diagrams
from .stages import Stage, make_stage

NAMES = ('config', 'options', 'axes', 'exclude', 'seeds', 'stages', 'figures',
         'rounding', 'baseline', 'around')
# Tables have these columns beside those of the axes.
COLUMNS = ('cell', 'seed', 'epoch', 'protocol', 'metric', 'value')


@dataclass(frozen=True, eq=False)
class Cell:
    """One training of a study: a label for every axis, and a seed."""
    labels: Mapping[str, str]
    seed: int
    config: Config = field(repr=False)
    content: Mapping[str, Any] = field(repr=False)

    def __str__(self) -> str:
        words = [f'{axis} {label}' for axis, label in self.labels.items()]
        return ', '.join([*words, f'seed {self.seed}'])

    @cached_property
    def hash(self) -> str:
        return content_hash(self.content)

    @property
    def epochs(self) -> int:
        return self.config.train_cfg.max_epochs

    @property
    def data(self) -> str:
        """The folder of the images that the training sees."""
        dataset = self.config.train_dataloader.dataset
        while 'data_root' not in dataset:
            dataset = dataset.get('dataset') or dataset.get('images')
        return dataset['data_root']


@dataclass
class Study:
    """What a study file says.

    Args:
        config (str, optional): Config of all trainings, unless an axis or
            ``options`` name it.
        axes (dict): What is varied, by option. A list of values, or a dict of
            values by label. A value that is a dict with the axis' own name
            in it holds several options, which move together; so do all values
            of an axis whose name is none of an option.
        exclude (list[dict]): Combinations to leave out: by axis a label or a
            list of them; what matches all of a dict is left out.
        around (dict[str, str], optional): A label of some axes, from which
            cells differ in one of these axes at most: one option at a time
            in place of all combinations. A figure over one of the axes shows
            the cells that have these labels on the others.
        options (dict): Of all trainings, by dotted name or verb, see
            :func:`sbam_mm.studies.cell_config.cell_config`.
        stages (list[dict]): What is measured, see
            :class:`sbam_mm.studies.stages.Stage`.
        figures (dict[str, dict]): What is drawn, by the name of the file, see
            :mod:`sbam_mm.studies.figures`.
        rounding (str, optional): Of the visible tokens where a ``ratio`` is
            given, "floor" or "ceil", one for all maskers. Defaults to None:
            each its own.
        baseline (dict, optional): The label of an axis that the others are
            compared with, seed by seed, e.g. ``dict(masker='random')``.
        data_root (str, optional): For configs that read ``DATA_ROOT``.
        name (str): Of the files that are written.
        folder (Path): Which paths of configs are relative to.

    Raises:
        UserError: If anything in it cannot be run.
    """
    axes: Mapping[str, Any]
    seeds: Sequence[int]
    config: str | None = None
    exclude: Sequence[Mapping] = ()
    around: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    stages: Sequence[Mapping] = ()
    figures: Mapping[str, Mapping] = field(default_factory=dict)
    rounding: str | None = None
    baseline: Mapping[str, str] | None = None
    data_root: str | None = None
    name: str = 'study'
    folder: Path = Path()

    def __post_init__(self) -> None:
        self._check_seeds()
        if self.rounding not in ('floor', 'ceil', None):
            raise UserError('the rounding of a study is "floor", "ceil" or '
                            f'None, got {self.rounding!r}.')
        if not self.axes:
            raise UserError('the study has no axis, so nothing is varied; '
                            'give it one, e.g. axes = dict(masker=["random", '
                            '"sbam"]).')
        self.levels = {axis: levels_of(axis, values)
                       for axis, values in self.axes.items()}
        for axis in self.levels:
            if axis in COLUMNS:
                raise UserError(f'an axis cannot be called {axis!r}, which '
                                'is a column of the table; rename it.')
        for rule in [*self.exclude, self.around, self.baseline or {}]:
            self._check_labels(rule)
        self.measured: list[Stage] = [make_stage(one) for one in self.stages]
        for name, figure in self.figures.items():
            check_figure(name, figure, self.levels)
            self._check_labels(figure.get('where', {}))
        self.cells = list(self._cells())
        if not self.cells:
            raise UserError('exclude leaves nothing of the study; take a '
                            'rule out.')
        self._check_twins()

    def _check_seeds(self) -> None:
        if not self.seeds:
            raise UserError('the study has no seed; give at least one, e.g. '
                            'seeds = [0].')
        for seed in self.seeds:
            if isinstance(seed, bool) or not isinstance(seed, int) or (
                    not 0 <= seed < 2**32):
                raise UserError(f'a seed is a whole number from 0, got '
                                f'{seed!r}.')
        twice = [s for s in self.seeds if list(self.seeds).count(s) > 1]
        if twice:
            raise UserError(f'the seed {twice[0]} is there twice, which '
                            'would count one training as two; leave one out.')

    def _check_labels(self, rule: Mapping[str, Any]) -> None:
        """Stop at an axis or label that the study has not."""
        for axis, wanted in rule.items():
            _one_of('axis', axis, self.levels)
            for label in _labels(wanted):
                _one_of(f'label of the axis {axis!r}', label,
                        self.levels[axis])

    def _cells(self) -> Iterator[Cell]:
        """Seeds change last, so that half a study is balanced."""
        made = []
        for labels in product(*self.levels.values()):
            chosen = dict(zip(self.levels, labels))
            moved = [axis for axis, label in self.around.items()
                     if chosen[axis] not in _labels(label)]
            if len(moved) > 1 or any(_matches(chosen, rule)
                                     for rule in self.exclude):
                continue
            made.append((chosen, self._config(chosen)))
        for seed in self.seeds:
            for chosen, cfg in made:
                own = Config(dict(cfg.to_dict(), randomness=dict(
                    cfg.get('randomness') or {}, seed=seed)),
                    env_variables=cfg.env_variables)
                yield Cell(chosen, seed, own, comparable(own))

    def _config(self, labels: Mapping[str, str]) -> Config:
        """What all seeds of some labels share, found to be buildable."""
        options: dict[str, Any] = {'config': self.config}
        options.update(self.options)
        for axis, label in labels.items():
            options.update(self.levels[axis][label])
        if not options['config']:
            raise UserError('the study has no config; give it one, or an '
                            "axis 'config'.")
        options['config'] = str((self.folder / options['config']).resolve())
        where = ', '.join(f'{axis} {label}' for axis, label in labels.items())
        try:
            cfg = cell_config(options, self.rounding, self.data_root)
            check_training(cfg)
            check_buildable(cfg)
        except Exception as error:
            raise UserError(f'{where or "the study"} cannot be run: '
                            f'{sentence_of(error) or error}') from error
        if not cfg.train_cfg.get('max_epochs'):
            raise UserError(f'{where or "the study"} cannot be run: its '
                            'config counts no epochs (train_cfg.max_epochs).')
        self._keep_checkpoints(cfg)
        return cfg

    def _keep_checkpoints(self, cfg: Config) -> None:
        """Let the training keep what the stages look at."""
        epochs = sorted({epoch for stage in self.measured
                         for epoch in stage.epochs(cfg.train_cfg.max_epochs)})
        hooks = cfg.setdefault('default_hooks', {})
        hooks['checkpoint'] = dict(
            hooks.get('checkpoint') or {}, type='sbam_mm.CheckpointHook',
            milestones=epochs or None)

    def _check_twins(self) -> None:
        known: dict[str, Cell] = {}
        for cell in self.cells:
            twin = known.setdefault(cell.hash, cell)
            if twin is not cell:
                raise UserError(
                    f'({twin}) and ({cell}) are the same training; leave one '
                    'out with exclude, or correct the options.')


def shown(study: Study, content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The diagrams of a figure, with the labels that each keeps."""
    where = {axis: _labels(label)
             for axis, label in content.get('where', {}).items()}
    found = []
    for diagram in diagrams(content):
        drawn = [diagram.get(key) for key in ('x', 'y', 'by')]
        fixed = {axis: _labels(label) for axis, label in study.around.items()
                 if axis not in drawn and any(one in study.around
                                              for one in drawn)}
        found.append(dict(diagram, where={**fixed, **where}))
    return found


def levels_of(axis: str, values: Any) -> dict[str, dict[str, Any]]:
    """The options of each label of an axis.

    Example:
        >>> levels_of('epochs', [4, 8])
        {'4': {'epochs': 4}, '8': {'epochs': 8}}
        >>> levels_of('arm', {'a': {'ratio': .5}, 'b': {'ratio': .9}})
        {'a': {'ratio': 0.5}, 'b': {'ratio': 0.9}}
    """
    if not isinstance(values, (Mapping, list, tuple)) or not values:
        raise UserError(f'the axis {axis!r} has no values; give a list of '
                        'them, or a dict of values by label.')
    if not isinstance(values, Mapping):
        labels = [_label(axis, value) for value in values]
        for label in labels:
            if labels.count(label) > 1:
                raise UserError(f'the axis {axis!r} has two values with the '
                                f'label {label!r}; leave one out, or give a '
                                'dict of values by label.')
        values = dict(zip(labels, values))
    if is_option(axis):
        return {
            str(label): dict(value) if isinstance(value, Mapping)
            and axis in value else {axis: value}
            for label, value in values.items()}
    for label, options in values.items():
        if not isinstance(options, Mapping):
            raise UserError(
                f'the axis {axis!r} is neither a dotted name of an option nor '
                f'one of {", ".join(VERBS)}, and its label {label!r} has no '
                'dict of options; correct the name.' + _near(axis, VERBS))
    return {str(label): dict(options) for label, options in values.items()}


def is_option(axis: str) -> bool:
    """Whether the name of an axis is that of an option.

    Example:
        >>> [is_option(name) for name in ('model.masker', 'ratio', 'arm')]
        [True, True, False]
    """
    return '.' in axis or axis in VERBS


def _label(axis: str, value: Any) -> str:
    if axis == 'config':
        return Path(value).stem
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value if isinstance(value, str) else json.dumps(value)
    return f'{value:g}'


def _labels(wanted: Any) -> list[str]:
    many = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    return [_label('', one) for one in many]


def _matches(chosen: Mapping[str, str], rule: Mapping[str, Any]) -> bool:
    return all(chosen[axis] in _labels(wanted)
               for axis, wanted in rule.items())


def _one_of(what: str, name: str, known: Mapping | Sequence[str]) -> None:
    if name not in known:
        raise UserError(f'the study has no {what} {name!r}; it has '
                        f'{", ".join(known)}.' + _near(name, list(known)))


def _near(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f' (Did you mean {near[0]!r}?)' if near else ''


def as_study(grid: Mapping[str, Any]) -> dict[str, Any]:
    """A study from what was called a grid: maskers at ratios.

    Their names are ``config``, ``maskers``, ``ratios``, ``seeds``, and
    perhaps ``epochs``, ``cfg_options`` and ``rounding``.
    """
    options = dict(grid.get('cfg_options', {}))
    if grid.get('epochs'):
        options['epochs'] = grid['epochs']
    pimr = dict(kind='pimr', x='ratio', by='masker', label='kNN top-1 [%]',
                metric='training/knn_top1')
    return dict(
        {name: grid[name] for name in ('config', 'seeds') if name in grid},
        axes=dict(masker=grid['maskers'], ratio=grid['ratios']),
        options=options, figures=dict(pimr=pimr),
        rounding=grid.get('rounding', 'floor'))


def read_study(path: str | Path, data_root: str | None = None) -> Study:
    """A study from its file, which is Python; configs are relative to it.

    Earlier files of grids are read, too, see :func:`as_study`.

    Raises:
        UserError: If the file is missing, is no study, or says what cannot be
            run.
    """
    path = Path(path)
    with redirect_stdout(StringIO()):  # mmengine tells of DATA_ROOT
        content = read_config(path, 'study').to_dict()
    if 'maskers' in content and 'ratios' in content:
        content = as_study(content)
    # Other names help to write the file, but a typo of ours does not.
    for name in set(content) - set(NAMES):
        near = get_close_matches(name, set(NAMES) - set(content), 1, 0.8)
        if near:
            raise UserError(f'{path} sets {name!r}; did you mean '
                            f'{near[0]!r}?')
    for name in ('axes', 'seeds'):
        if name not in content:
            raise UserError(f'{path} is no study: it has no {name}; give a '
                            'file like configs/studies/small/maskers_stl10.py'
                            '.')
    return Study(**{name: content[name] for name in NAMES if name in content},
                 data_root=data_root, name=path.stem, folder=path.parent)
