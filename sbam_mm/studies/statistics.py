# Copyright (c) OpenMMLab. All rights reserved.
"""Means over seeds, and whether two maskers differ by more than chance."""
from collections.abc import Mapping, Sequence
from math import nan, sqrt
from statistics import mean, stdev
from typing import NamedTuple

from scipy import stats

from .rows import Row

# Fewer pairs cannot give p < 0.05 in a two-sided test of signed ranks.
WILCOXON = 6


class Spread(NamedTuple):
    """Mean and standard deviation (n - 1; NaN of one) over n seeds."""
    mean: float
    std: float
    seeds: int


def spread(values: Sequence[float]) -> Spread:
    """Of one number per seed.

    Example:
        >>> spread([1., 3.])
        Spread(mean=2.0, std=1.4142135623730951, seeds=2)
    """
    return Spread(mean(values), stdev(values) if len(values) > 1 else nan,
                  len(values))


class Paired(NamedTuple):
    """Differences of runs that share all but one label, seeds included.

    ``error`` is the standard error of the mean difference; ``t`` and
    ``wilcoxon`` are two-sided p-values, NaN with too few pairs (3 and 6);
    ``holm`` is ``t`` corrected for the number of comparisons.
    """
    mean: float
    error: float
    pairs: int
    t: float
    wilcoxon: float
    holm: float = nan


def paired(differences: Sequence[float]) -> Paired:
    """Test whether paired differences have the mean 0.

    Example:
        >>> found = paired([1., 2., 3.])
        >>> found.mean, found.pairs, round(found.t, 3), found.wilcoxon
        (2.0, 3, 0.074, nan)
    """
    number = len(differences)
    error = stdev(differences) / sqrt(number) if number > 1 else nan
    t = wilcoxon = nan
    if number >= 3 and error > 0:
        t = float(stats.ttest_1samp(differences, 0.).pvalue)
    if number >= WILCOXON and any(differences):
        wilcoxon = float(stats.wilcoxon(differences).pvalue)
    return Paired(mean(differences), error, number, t, wilcoxon)


def holm(values: Sequence[float]) -> list[float]:
    """Holm's correction of p-values; NaN stays and does not count.

    Example:
        >>> holm([.01, .04, .03])
        [0.03, 0.06, 0.06]
    """
    order = sorted((p, i) for i, p in enumerate(values) if p == p)
    found, highest = [nan] * len(values), 0.
    for rank, (p, i) in enumerate(order):
        highest = max(highest, min(1., (len(order) - rank) * p))
        found[i] = round(highest, 12)
    return found


def against(rows: Sequence[Row], axis: str,
            baseline: str) -> Mapping[str, Paired]:
    """Every label of an axis minus the baseline, pair by pair.

    A pair has the same seed and the same labels on all other axes.
    """
    values = {
        (row.labels[axis], (row.seed, *(
            label for name, label in row.labels.items() if name != axis))):
        row.value for row in rows}
    differences: dict[str, list[float]] = {}
    for (label, rest), value in values.items():
        other = values.get((baseline, rest))
        if label != baseline and other is not None:
            differences.setdefault(label, []).append(value - other)
    tests = {label: paired(each) for label, each in differences.items()}
    corrected = holm([test.t for test in tests.values()])
    return {label: test._replace(holm=p)
            for (label, test), p in zip(tests.items(), corrected)}
