# Copyright (c) OpenMMLab. All rights reserved.
"""Paired timing: candidates and baseline take turns in one process.

A ratio of two times measured at different hours says as much of the machine
as of the code. Here every round times all candidates once, in an order drawn
anew, and a candidate's ratio is that to the baseline *of the same round*;
what is reported is the median over rounds with its quartiles.
"""
import argparse
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import torch

from sbam_mm.files import write_atomically, write_json


class Ratio(NamedTuple):
    """Median and quartiles over rounds."""
    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f'{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]'


def quartiles(values: Sequence[float]) -> Ratio:
    if len(values) == 1:
        return Ratio(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method='inclusive')
    return Ratio(median, low, high)


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Time of one call, the device's work included.

    One thread of a CPU is timed by its own clock, which stands still while
    another process has the core.
    """
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    clock = time.perf_counter
    if device.type == 'cpu' and torch.get_num_threads() == 1:
        clock = time.process_time
    start = clock()
    run()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return clock() - start


def device_seconds(run: Callable[[], object],
                   device: torch.device,
                   repeats: int = 5) -> float:
    """Time of one call on the device alone, from CUDA's own events.

    In a training step the host is ahead of the device; so it is here, as the
    device begins with a pause. On a CPU it is :func:`seconds`.
    """
    if device.type != 'cuda':
        return seconds(run, device)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    torch.cuda._sleep(20_000_000)  # cycles: about 10 ms
    start.record()
    for _ in range(repeats):
        run()
    end.record()
    torch.cuda.synchronize(device)
    return start.elapsed_time(end) / 1e3 / repeats


def paired(candidates: dict[str, Callable[[], object]],
           rounds: int,
           device: torch.device,
           warm_up: int = 2,
           seed: int = 0,
           timed: Callable = seconds) -> dict[str, list[float]]:
    """Seconds of all candidates, which take turns, round by round.

    The ``warm_up`` rounds are not counted; ``timed`` is :func:`seconds` or
    another clock with its arguments.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    order = list(candidates)
    shuffle = random.Random(seed).shuffle
    for number in range(warm_up + rounds):
        shuffle(order)
        for name in order:
            spent = timed(candidates[name], device)
            if number >= warm_up:
                times[name].append(spent)
    return times


def ratios(times: dict[str, list[float]], baseline: str) -> dict[str, Ratio]:
    """Every candidate's time over the baseline's of the same round."""
    base = times[baseline]
    return {
        name: quartiles([t / b for t, b in zip(spent, base)])
        for name, spent in times.items()
    }


def environment(device: torch.device) -> dict[str, str]:
    """What a reader needs to judge a number."""
    import mmengine
    import mmpretrain
    if device.type == 'cuda':
        hardware = torch.cuda.get_device_name(device)
    else:
        hardware = f'{_processor()}, {torch.get_num_threads()} threads'
    return dict(
        date=date.today().isoformat(),
        hardware=hardware,
        python=platform.python_version(),
        torch=torch.__version__,
        mmengine=mmengine.__version__,
        mmpretrain=mmpretrain.__version__)


def where(environment: dict[str, str]) -> str:
    """The environment as a sentence."""
    e = environment
    return (f'{e["hardware"]}, torch {e["torch"]}, mmengine {e["mmengine"]}, '
            f'mmpretrain {e["mmpretrain"]}, Python {e["python"]}, '
            f'{e["date"]}.')


def peak_memory(run: Callable[[], object], device: torch.device) -> int:
    """Bytes that a call needs at once beyond what was there before."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU],
            profile_memory=True) as profile:
        run()
    held = peak = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == '[memory]':
            held += event.nbytes()
            peak = max(peak, held)
    return peak


def report(args: argparse.Namespace, measure: Callable, table: Callable
           ) -> None:
    """Measure, and :func:`save` the result with its page."""
    result = measure(args)
    save(args.out, result, table(result))


def save(out: str, result: dict, page: str) -> None:
    """Write OUT.json and OUT.md, and print the page."""
    write_json(f'{out}.json', result)
    write_atomically(f'{out}.md', page.encode())
    print(page)
    print(f'Written: {out}.json, {out}.md')


def _processor() -> str:
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    names = [li.split(':')[1].strip() for li in lines if 'model name' in li]
    return names[0] if names else platform.machine()
