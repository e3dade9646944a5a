#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""How long the mask explorer takes to answer a slider.

    python tools/benchmarks/explorer.py --out docs/benchmarks/explorer_cpu

Sixteen photographs at ViT-B/16, which the page shows at once, and every
masker that asks neither encoder nor teacher: from a slider's new position to
the HTML of the masker's pictures and numbers, with the tokens of the images
kept from before. Beside it the first drawing, which computes them, and with
--browser the whole way in Chromium, from the key to the new numbers on the
page. Writes OUT.json and OUT.md.
"""
import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sbam_mm.command_line import ToolParser, parses_first, whole


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('--rounds', type=whole(1), default=15)
    parser.add_argument(
        '--threads', type=whole(1), default=1,
        help='1 is timed by its own clock, others by the wall (default: 1)')
    parser.add_argument('--images', type=whole(1, 16), default=16)
    parser.add_argument('--browser', action='store_true')
    parser.add_argument('--out', default='work_dirs/benchmarks/explorer')
    return parser.parse_args()


import paired
import torch

from sbam_mm.evaluation.models import VIT_BASE
from sbam_mm.explorer.page import Setup, draw_panel
from sbam_mm.explorer.screenshots import browser
from sbam_mm.explorer.serve import serve
from sbam_mm.explorer.session import Session
from sbam_mm.explorer.setup import named_maskers
from sbam_mm.masking.named_maskers import OWN_RATIO, at_ratio
from sbam_mm.visualization import model_from_config, photographs
from sbam_mm.visualization.fitted_maskers import build_masker
from sbam_mm.visualization.photographs import PHOTOGRAPHS

LAYERS = ('Mask', 'Salience')
TARGET = 0.5


def fast_maskers() -> dict[str, dict]:
    """Those that go by the tokens of the input, or by nothing."""
    return {name: config for name, config in named_maskers().items()
            if not build_masker(config).needs}


def prepared(number: int) -> Setup:
    """The page's state with so many photographs, parts of the built-in."""
    model, _ = model_from_config(VIT_BASE)
    session = Session(model)
    keys = []
    for part in range(2):
        for name, image in photographs(PHOTOGRAPHS).items():
            width = image.shape[1] * 3 // 4
            half = image[:, :width] if part else image
            keys.append(session.add(f'{name} {part}', half))
    keys = keys[:number]
    return Setup(session, keys, keys, named_maskers(), ['SBAM'], 'benchmark')


def slide(setup: Setup, config: dict, step: int) -> str:
    """The answer to a new position: another ratio, or another draw."""
    name = config['type'].rpartition('.')[2]
    if name not in OWN_RATIO:
        config = at_ratio(config, 0.4 + 0.005 * step)
    html = draw_panel(setup, config, setup.chosen, step, 1., LAYERS)
    if 'class="numbers"' not in html:
        raise RuntimeError(html)
    return html


def in_browser(setup: Setup, rounds: int) -> list[float]:
    """Seconds from a key to new numbers on the page, SBAM's ratio."""
    page = serve(setup)
    times = []
    with browser() as opened:
        tab = opened.new_page(viewport=dict(width=1280, height=900))
        tab.goto(page.local_url)
        field = tab.get_by_label('number input for ratio')
        field.wait_for()
        tab.wait_for_function("document.querySelector('.maskers .numbers')")
        tab.wait_for_timeout(1000)
        shown = "document.querySelector('.maskers .numbers').innerText"
        for step in range(rounds):
            before = tab.evaluate(shown)
            start = time.perf_counter()
            field.fill(f'{0.4 + 0.02 * step:.2f}')
            field.press('Enter')
            tab.wait_for_function(f'before => {shown} != before', arg=before,
                                  polling=10)
            times.append(time.perf_counter() - start)
    page.close()
    return times


def measure(args: argparse.Namespace) -> dict:
    torch.set_num_threads(args.threads)
    device = torch.device('cpu')
    setup = prepared(args.images)
    first = paired.seconds(lambda: slide(setup, fast_maskers()['SBAM'], 0),
                           device)
    maskers: dict[str, dict] = {}
    for name, config in fast_maskers().items():
        slide(setup, config, 0)
        times, size = [], 0
        for step in range(1, args.rounds + 1):
            html = ''

            def answer(config=config, step=step) -> None:
                nonlocal html
                html = slide(setup, config, step)

            times.append(paired.seconds(answer, device))
            size = len(html)
        maskers[name] = dict(seconds=paired.quartiles(times), bytes=size)
    result = dict(
        environment=paired.environment(device), threads=args.threads,
        rounds=args.rounds, images=args.images, first=first, maskers=maskers)
    if args.browser:
        result['browser'] = paired.quartiles(in_browser(setup, args.rounds))
    return result


def table(result: dict) -> str:
    clock = ('CPU time of one thread' if result['threads'] == 1 else
             f'wall time with {result["threads"]} threads')
    slowest = max(row['seconds'][0] for row in result['maskers'].values())
    lines = [
        '# The mask explorer', '',
        f'From a slider\'s new position to the HTML of {result["images"]} '
        'photographs at ViT-B/16 (mask and salience), for every masker that '
        f'asks neither encoder nor teacher; {clock}, median over '
        f'{result["rounds"]} positions [quartiles]. The target is half a '
        f'second on two cores; the slowest takes {slowest:.2f} s.',
        '', paired.where(result['environment']), '',
        f'The first drawing, which computes the tokens, took '
        f'{result["first"]:.2f} s.']
    if 'browser' in result:
        lines.append(
            'In Chromium on the same machine, from a key in SBAM\'s ratio to '
            'the new numbers on the page: '
            f'{paired.Ratio(*result["browser"])} s of wall time.')
    lines += ['', 'masker | seconds | kilobytes sent', '---|---|---']
    lines += [
        f'{name} | {paired.Ratio(*row["seconds"])} | '
        f'{row["bytes"] / 1000:.0f}' for name, row in result['maskers'].items()
    ]
    return '\n'.join([*lines, ''])


def main() -> None:
    paired.report(parse_args(), measure, table)


if __name__ == '__main__':
    main()
