# Copyright (c) OpenMMLab. All rights reserved.
"""PIMR and Global PIMR: how well a method bears other masking ratios.

Choi et al., "Salience-Based Adaptive Masking", ECCV 2024, Eq. 5, Eq. 6 and
Fig. 3. With P(M) the performance after pre-training at masking ratio M:

- **PIMR(M) = (P(M) - P_min) / (P_max - P_min)**, Eq. 5, where P_min and P_max
  are the lowest and highest performance observed *for this method*. It says
  where in its own range a method is at ratio M: 0 at its worst, 1 at its best.
- **Global PIMR(M) = (P(M) - P_Gmin) / (P_Gmax - P_Gmin)**, Eq. 6, where the
  extremes are those *of all methods that are compared*: 0 at the worst of all
  runs, 1 at the best. Only this one says which method is better.

The text before Eq. 5 calls the reference the performance "at the lowest
ratio"; the definitions below it say the lowest performance, and that is what
is computed here. Both agree when the lowest ratio is the worst. The paper
shows P(M) as curves and prints no values, so none can be recomputed from it.

PIMR forgets how wide the range is: a method that loses 0.1 points and one that
loses 10 both have a PIMR of 0 at their worst ratio. Tables should therefore
have the range (``Curve.spread``) beside it.
"""
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import NamedTuple

from sbam_mm.errors import UserError

NAN = float('nan')


class Run(NamedTuple):
    """One pre-trained model and how well it did: P(M), higher is better."""
    masker: str
    ratio: float
    seed: int
    performance: float


class Point(NamedTuple):
    """A method at one ratio, over its seeds.

    Standard deviations are over seeds (divisor n - 1), NaN with a single
    seed; those of PIMR are in units of its range, which is taken as given.
    PIMR, of the mean, is NaN where the method does equally well at all ratios.
    """
    ratio: float
    values: dict[int, float]
    mean: float
    std: float
    pimr: float
    pimr_std: float
    global_pimr: float
    global_pimr_std: float


class Curve(NamedTuple):
    """A method over the masking ratio, points in ascending order."""
    points: list[Point]

    @property
    def spread(self) -> float:
        """P_max - P_min of the mean performance: what PIMR divides by."""
        means = [point.mean for point in self.points]
        return max(means) - min(means)


def min_max_scaled(performance: Mapping[float, float],
             observed: Iterable[float]) -> dict[float, float]:
    """Performances as shares in [0, 1] of the range of all ``observed``.

    NaN where the range is empty.
    """
    values = list(observed)
    low, high = min(values), max(values)
    return {
        ratio: (value - low) / (high - low) if high > low else NAN
        for ratio, value in performance.items()
    }


def pimr(performance: Mapping[float, float]) -> dict[float, float]:
    """Performance Improvement over Masking Ratio of one method, Eq. 5.

    Maps the masking ratio M to PIMR(M) in [0, 1]; NaN where all performances
    P(M) are equal.

    Example:
        >>> pimr({0.45: 80., 0.6: 83., 0.75: 84., 0.9: 81.})
        {0.45: 0.0, 0.6: 0.75, 0.75: 1.0, 0.9: 0.25}
    """
    return min_max_scaled(performance, performance.values())


def global_pimr(
    performance: Mapping[str, Mapping[float, float]]
) -> dict[str, dict[float, float]]:
    """PIMR in [0, 1] with the range over all methods under comparison, Eq. 6.

    Example:
        >>> global_pimr({'mae': {0.6: 80., 0.75: 83.},
        ...              'sbm': {0.6: 83., 0.75: 84.}})
        {'mae': {0.6: 0.0, 0.75: 0.75}, 'sbm': {0.6: 0.75, 0.75: 1.0}}
    """
    everything = [v for curve in performance.values() for v in curve.values()]
    return {
        method: min_max_scaled(curve, everything)
        for method, curve in performance.items()
    }


def curves(runs: Sequence[Run]) -> dict[str, Curve]:
    """Performance, PIMR and Global PIMR of every method from its runs.

    Seeds are averaged first: Eq. 5 and 6 are those of the mean performance,
    so that a method's worst ratio has a PIMR of exactly 0 and its best of
    exactly 1.

    Example:
        >>> found = curves([Run('sbm', 0.6, 0, 80.), Run('sbm', 0.6, 1, 82.),
        ...                 Run('sbm', 0.75, 0, 85.)])
        >>> first, second = found['sbm'].points
        >>> first.mean, first.pimr, round(first.pimr_std, 2), second.pimr
        (81.0, 0.0, 0.35, 1.0)
    """
    if not runs:
        raise UserError('there is no finished run with a number; finish the '
                        'grid or choose another column as metric.')
    table: dict[str, dict[float, dict[int, float]]] = {}
    for run in runs:
        seeds = table.setdefault(run.masker, {}).setdefault(run.ratio, {})
        if run.seed in seeds:
            raise UserError(f'{run.masker} at ratio {run.ratio:g} with seed '
                            f'{run.seed} is there twice; leave one out.')
        seeds[run.seed] = run.performance
    means = {
        masker: {ratio: mean(table[masker][ratio].values())
                 for ratio in sorted(table[masker])}
        for masker in table
    }
    overall = [v for curve in means.values() for v in curve.values()]
    best_share = global_pimr(means)
    found = {}
    for masker, curve in means.items():
        own_share = pimr(curve)
        points = []
        for ratio, average in curve.items():
            values = table[masker][ratio]
            std = stdev(values.values()) if len(values) > 1 else NAN
            points.append(
                Point(ratio, values, average, std, own_share[ratio],
                      _scaled(std, curve.values()),
                      best_share[masker][ratio], _scaled(std, overall)))
        found[masker] = Curve(points)
    return found


def _scaled(std: float, observed: Iterable[float]) -> float:
    """A spread in units of the range it is shown in."""
    values = list(observed)
    width = max(values) - min(values)
    return std / width if width else NAN


def caveats(found: Mapping[str, Curve]) -> list[str]:
    """What a reader must know before comparing: a sentence each.

    About ratios and seeds that one method has and another lacks, single
    seeds, single ratios and equal performances.

    Example:
        >>> runs = [Run('sbm', 0.6, 0, 80.), Run('sbm', 0.75, 0, 81.)]
        >>> caveats(curves(runs))
        ['There is one seed: differences may be chance.']
    """
    sentences = []
    have = {masker: {p.ratio: p.values.keys() for p in curve.points}
            for masker, curve in found.items()}
    ratios = sorted({r for points in have.values() for r in points})
    seeds = sorted({s for points in have.values() for each in points.values()
                    for s in each})
    for masker, points in have.items():
        for ratio in ratios:
            missing = [s for s in seeds if s not in points.get(ratio, ())]
            if len(missing) == len(seeds):
                sentences.append(f'{masker} has no run at ratio {ratio:g}.')
            elif missing:
                sentences.append(
                    f'{masker} at ratio {ratio:g} lacks seed '
                    f'{", ".join(map(str, missing))}: means are over '
                    'different seeds.')
    if len(seeds) == 1:
        sentences.append('There is one seed: differences may be chance.')
    for masker, curve in found.items():
        if len(curve.points) == 1:
            sentences.append(f'{masker} has one ratio: PIMR needs two.')
        elif curve.spread == 0:
            sentences.append(f'{masker} does equally well at all ratios: it '
                             'has no PIMR.')
    return sentences
