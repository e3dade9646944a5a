# Copyright (c) OpenMMLab. All rights reserved.
"""A grid of runs: one config, every masker at every ratio with every seed."""
import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from mmengine.config import Config

from sbam_mm.command_line.explain import sentence_of
from sbam_mm.config_files import read_config
from sbam_mm.errors import UserError
from sbam_mm.files import read_json
from sbam_mm.masking.named_maskers import at_ratio, choose_maskers, masker_name
from sbam_mm.registry import MODELS

from .config_checks import check_training
from .launch import load_config
from .replace_masker import masker_owner
from .schedule import set_epochs
from .trial_build import check_buildable

# Where a run lies and how it was started do not change what it computes.
PLACE = ('work_dir', 'resume', 'launcher', 'experiment_name')
RESULT = 'result.json'


@dataclass(frozen=True)
class Cell:
    """One run of a grid."""
    masker: str
    ratio: float
    seed: int

    def __str__(self) -> str:
        return f'{self.masker}, ratio {self.ratio:g}, seed {self.seed}'

    @property
    def folder(self) -> str:
        """Where the run lies, such as 'sbam/ratio0.75/seed0'."""
        return f'{self.masker}/ratio{self.ratio:g}/seed{self.seed}'


@dataclass
class Grid:
    """What is to be run.

    Args:
        config (str): Config file of the training; its masker is replaced.
        maskers (list[str]): Short names, see
            :mod:`sbam_mm.masking.named_maskers`. The config's own
            masker keeps its options.
        ratios (list[float]): Base masking ratios in (0, 1).
        epochs (int, optional): Train this long, schedules scaled. Defaults to
            None: as the config says.
        data_root (str, optional): For configs that read ``DATA_ROOT``.
        rounding (str, optional): Of the visible tokens, "floor" or "ceil", one
            for all maskers of one ratio: by their own, random masking of MAE's
            code keeps 6 of 64 patches at 0.9 and SBM of the paper 7. None
            leaves each its own.

    Raises:
        UserError: If anything in it cannot be run, e.g. an unknown masker, a
            ratio that a masker cannot have, or a config without masker.
    """
    config: str
    maskers: list[str]
    ratios: list[float]
    seeds: list[int]
    epochs: int | None = None
    cfg_options: dict = field(default_factory=dict)
    data_root: str | None = None
    rounding: str | None = 'floor'

    def __post_init__(self) -> None:
        self.maskers = list(map(masker_name, self.maskers))
        for name, values in (('masker', self.maskers), ('ratio', self.ratios),
                             ('seed', self.seeds)):
            if not values:
                raise UserError(f'the grid has no {name}; give at least one.')
            if len(set(values)) < len(values):
                raise UserError(f'the grid has a {name} twice: '
                                f'{", ".join(map(str, values))}; leave one '
                                'out.')
        for ratio in self.ratios:
            if not 0 < ratio < 1:
                raise UserError('a masking ratio is a share in (0, 1), got '
                                f'{ratio:g}; MAE uses 0.75.')
        if any(seed < 0 for seed in self.seeds):
            raise UserError('seeds are whole numbers from 0, got '
                            f'{", ".join(map(str, self.seeds))}.')
        if self.rounding not in ('floor', 'ceil', None):
            raise UserError('the rounding of a grid is "floor", "ceil" or '
                            f'None (each masker its own), got '
                            f'{self.rounding!r}.')
        with redirect_stdout(StringIO()):  # mmengine tells of DATA_ROOT
            self._base = load_config(self.config, self.data_root,
                                     dict(self.cfg_options))
        if self._base.get('train_dataloader') is None:
            raise UserError(f'the config {self.config} has no '
                            'train_dataloader; use one of a pre-training.')
        check_training(self._base)
        if self.epochs is not None:
            set_epochs(self._base, self.epochs)
        own = masker_owner(self._base)['masker']
        self._configs = dict(
            zip(self.maskers, choose_maskers(self.maskers, own)))
        for masker in self.maskers:
            for ratio in self.ratios:
                self._check(masker, ratio)

    def _check(self, masker: str, ratio: float) -> None:
        """Some maskers support one ratio only, or need what is not there."""
        try:
            MODELS.build(
                at_ratio(self._configs[masker], ratio, self.rounding))
        except (TypeError, ValueError) as error:
            raise UserError(f'{masker} cannot be run at ratio {ratio:g}: '
                            f'{error}') from error
        try:
            check_buildable(self.run_config(Cell(masker, ratio, 0)))
        except Exception as error:
            raise UserError(
                f'{masker} cannot be run with {self.config}: '
                f'{sentence_of(error) or error}') from error

    @property
    def cells(self) -> list[Cell]:
        """All runs. Seeds change last, so that half a grid is balanced."""
        return [
            Cell(masker, ratio, seed) for seed in self.seeds
            for ratio in self.ratios for masker in self.maskers
        ]

    def run_config(self, cell: Cell) -> Config:
        """The config of one run, without work_dir."""
        cfg = copy.deepcopy(self._base)
        masker_owner(cfg)['masker'] = at_ratio(
            self._configs[cell.masker], cell.ratio, self.rounding)
        cfg.randomness = dict(cfg.get('randomness') or {}, seed=cell.seed)
        return cfg

    def base_hash(self) -> str:
        """Hash of all that the runs of the grid share."""
        cfg = copy.deepcopy(self._base)
        masker_owner(cfg)['masker'] = None
        cfg.randomness = dict(cfg.get('randomness') or {}, seed=None)
        return config_hash(cfg)


def config_hash(cfg: Config) -> str:
    """Twelve hex digits of what a run computes.

    Where it is run (``work_dir``) and whether it was resumed do not count.

    Example:
        >>> one = Config(dict(lr=1e-3, work_dir='here'))
        >>> other = Config(dict(work_dir='there', lr=1e-3))
        >>> config_hash(one) == config_hash(other)
        True
    """
    content = {k: v for k, v in cfg.to_dict().items() if k not in PLACE}
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read_grid_file(path: str | Path) -> dict[str, Any]:
    """Arguments of :class:`Grid` from a grid file, which is Python.

    ``config`` in it is relative to the file, as ``_base_`` is in a config.

    Raises:
        UserError: If the file is missing or is no grid.
    """
    path = Path(path)
    with redirect_stdout(StringIO()):  # mmengine tells of DATA_ROOT
        content = read_config(path, 'grid').to_dict()
    names = ('config', 'maskers', 'ratios', 'seeds', 'epochs', 'cfg_options',
             'data_root', 'rounding')
    found = {name: content[name] for name in names if name in content}
    if 'config' not in found:
        raise UserError(f'{path} is no grid: it has no config; give a file '
                        'like configs/grids/pimr_small.py.')
    found['config'] = str((path.parent / found['config']).resolve())
    return found


def shard(cells: list[Cell], part: int, parts: int) -> list[Cell]:
    """Every ``parts``-th run, for machine ``part`` (from 1) of ``parts``.

    Example:
        >>> cells = [Cell('sbam', 0.75, seed) for seed in range(3)]
        >>> [cell.seed for cell in shard(cells, 1, 2)]
        [0, 2]
    """
    if not 1 <= part <= parts:
        raise UserError(f'a shard is i/n with i from 1 to n, got '
                        f'{part}/{parts}; the first of four is 1/4.')
    return cells[part - 1::parts]


def read_result(path: Path) -> dict[str, Any]:
    """The record of one run."""
    return read_json(
        path,
        masker=str,
        ratio=(int, float),
        seed=int,
        status=str,
        seconds=(int, float))


def read_results(folder: str | Path) -> Iterator[Mapping[str, Any]]:
    """Records of all runs in a grid's folder, by masker, ratio and seed."""
    found = []
    for path in Path(folder).glob(f'*/ratio*/seed*/{RESULT}'):
        found.append(read_result(path))
    yield from sorted(found,
                      key=lambda r: (r['masker'], r['ratio'], r['seed']))
