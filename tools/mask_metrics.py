#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
r"""Measure whether maskers hide objects, on images with object masks.

    python tools/mask_metrics.py --compare sbam,attmask-high,gpa \
        --images val2017 --annotations annotations/instances_val2017.json
    python tools/mask_metrics.py --config CONFIG --checkpoint PTH \
        --images photos --annotations photos/masks --out sbam.json

Annotations are a COCO file (polygons, run lengths or boxes), a JSON file
{"photo.jpg": [[x, y, width, height], ...]}, or a folder of PNG masks named
like the images, in which everything that is not black is object. A row with
random masks comes along for comparison.
"""
import argparse
from collections.abc import Iterator
from pathlib import Path

from sbam_mm.command_line import (
    SEED,
    ToolParser,
    add_trust,
    device,
    parses_first,
    share,
    tool,
    whole,
)


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument(
        '--images', nargs='+', action='extend', required=True, metavar='PATH',
        help='folders (looked into once, not deeper) or image files')
    parser.add_argument(
        '--annotations', required=True, metavar='PATH',
        help='COCO or box JSON file, or a folder of PNG masks')
    parser.add_argument(
        '--compare', metavar='A,B,...',
        help="maskers by name (default: the config's, or sbam)")
    parser.add_argument('--config', help='take the model from this config')
    parser.add_argument('--checkpoint', help='weights of the model')
    parser.add_argument(
        '--ratio', type=share, metavar='R',
        help="base ratio of all maskers (default: each one's own)")
    parser.add_argument(
        '--progress', type=share, default=1., metavar='P',
        help='how much of a training is done, for maskers that change over '
        'it, such as gpa (default: 1, its end)')
    parser.add_argument(
        '--threshold', type=share, metavar='T',
        help='a token is object from this covered share on (default: every '
        'token counts with its share)')
    parser.add_argument(
        '--delta', type=share, default=0.1,
        help='tokens with more salience are salient (default: 0.1)')
    parser.add_argument(
        '--seeds', type=whole(1), default=3, metavar='N',
        help='draws per image; without a checkpoint each with random weights '
        'of its own (default: 3)')
    parser.add_argument(
        '--seed', type=SEED, default=0, help='the first (default: 0)')
    parser.add_argument(
        '--limit', type=whole(1), metavar='N', help='take the first N images')
    parser.add_argument('--batch-size', type=whole(1), default=16)
    parser.add_argument(
        '--device', type=device, default='cpu', help='default: cpu')
    parser.add_argument(
        '--out', default='mask_metrics.json',
        help='.json file; a table .md is written beside it (default: '
        'mask_metrics.json)')
    add_trust(parser)
    return parser.parse_args()


import torch
from rich.progress import track
from torch import Tensor, nn

from sbam_mm.config_files import read_model_config
from sbam_mm.datasets.reading.tree import printable
from sbam_mm.environment import collect_versions
from sbam_mm.errors import UserError
from sbam_mm.evaluation.encoders import config_decoding
from sbam_mm.evaluation.mask_metrics import (
    METRICS,
    boundary_tokens,
    mask_metrics,
    over_images,
)
from sbam_mm.evaluation.models import VIT_BASE
from sbam_mm.evaluation.object_masks import (
    find_images,
    read_object_masks,
    token_coverage,
)
from sbam_mm.evaluation.results import (
    markdown_table,
    plus_minus,
    write_results,
)
from sbam_mm.masking.named_maskers import choose_maskers
from sbam_mm.visualization import (
    center_crop,
    draw_mask,
    labelled_maskers,
    load_image,
    masker_config,
    masking_context,
    model_from_config,
    readable_images,
)
from sbam_mm.visualization.fitted_maskers import changes_over_training, fit_all

NOTE = (
    'Each number is the mean over images ± its standard error; draws of one '
    'image are averaged first. Object and background: share of either that '
    'is hidden, a token counting with the share of its patch that is object'
    '{threshold}; above 1, the third says that objects are hidden first. '
    'Pointing game: how often the most salient token is on an object. On '
    'boundary: share of the hidden, or salient (S > {delta:g}), tokens that '
    'objects cover in part. A dash: no salience.')


Model = nn.Module
Values = dict[str, dict[str, Tensor]]


def coverages(files: list[Path], annotations: str, size: tuple[int, int],
              patch: int, decoding: dict) -> dict[Path, Tensor]:
    """Objects of every image on the token grid, (1, L) each.

    All annotations are read before anything is computed, so that a missing
    one stops at once. Images without objects, or with nothing else, are left
    out: there is nothing to compare. So are those that cannot be read.
    """
    masks = read_object_masks(annotations)
    found = {}
    for file, image in track(readable_images(files, **decoding),
                             'Annotations', len(files), transient=True):
        mask = masks(file, image.shape[:2])
        cover = token_coverage([mask], size, patch)
        if 0 < cover.sum() < cover.numel():
            found[file] = cover
    if not found:
        raise UserError(f'none of the {len(files)} images has an object and '
                        f'a background in {annotations}; check that it '
                        'belongs to them.')
    return found


def models(args: argparse.Namespace, config) -> Iterator[tuple[Model, list]]:
    """Models to measure with, and the seeds of the draws for each."""
    seeds = list(range(args.seed, args.seed + args.seeds))
    # A checkpoint is one model; random weights are as many as there are.
    for group in [seeds] if args.checkpoint else [[seed] for seed in seeds]:
        model, _ = model_from_config(config, args.checkpoint, group[0])
        yield model.to(args.device), group


def measure(model: Model, seeds: list[int], maskers: dict[str, nn.Module],
            covers: dict[Path, Tensor], size: tuple[int, int],
            args: argparse.Namespace, decoding: dict) -> Values:
    """Metrics by masker and name, each (seeds, images)."""
    found: dict[str, dict[str, list[Tensor]]] = {
        label: {name: [] for name in METRICS} for label in maskers
    }
    files = list(covers)
    starts = range(0, len(files), args.batch_size)
    for start in track(starts, f'Masks, seeds {seeds}', transient=True):
        batch = files[start:start + args.batch_size]
        context = masking_context(
            model, [center_crop(load_image(file, **decoding), size)
                    for file in batch],
            args.progress)
        cover = torch.cat([covers[file] for file in batch])
        for label, masker in maskers.items():
            drawn = [
                mask_metrics(
                    # No two batches with the same draws.
                    draw_mask(masker, context, 1_000_003 * seed + start),
                    cover, args.threshold, args.delta) for seed in seeds
            ]
            for name in METRICS:
                found[label][name].append(
                    torch.stack([one[name] for one in drawn]))
    return {
        label: {name: torch.cat(parts, dim=1) for name, parts in one.items()}
        for label, one in found.items()
    }


def run(args: argparse.Namespace) -> list[Path]:
    """Do everything; returns the files written."""
    config = read_model_config(args.config) if args.config else VIT_BASE
    source = Path(args.config).name if args.config else 'ViT-B/16'
    names = args.compare.split(',') if args.compare else []
    configs = choose_maskers(names, config.model.get('masker'))
    if masker_config('random') not in configs:
        configs.append(masker_config('random'))
    maskers = labelled_maskers(configs, [args.ratio])
    decoding = config_decoding(config)
    files = find_images(args.images, **decoding)[:args.limit]

    runs: list[Values] = []
    for model, seeds in models(args, config):
        if not runs:
            changes = fit_all(maskers, model)
            patch = model.backbone.patch_size
            height, width = map(int, model.backbone.img_size)
            covers = coverages(files, args.annotations, (height, width),
                               patch, decoding)
        runs.append(measure(model.eval(), seeds, maskers, covers,
                            (height, width), args, decoding))
    values = {
        label: {name: torch.cat([one[label][name] for one in runs])
                for name in METRICS} for label in maskers
    }
    estimates = {
        label: {name: over_images(each) for name, each in one.items()}
        for label, one in values.items()
    }
    cover = torch.cat(list(covers.values()))
    weights = (f'weights of {Path(args.checkpoint).name}' if args.checkpoint
               else 'random weights, drawn anew for every seed')
    seeds = list(range(args.seed, args.seed + args.seeds))
    facts = (
        f'{source}, {weights}; seeds {", ".join(map(str, seeds))}; '
        f'{len(covers)} images of {height} x {width} pixels'
        f' ({len(files) - len(covers)} more show no object or nothing '
        'else, or cannot be read); objects cover '
        f'{cover.mean():.1%} of the pixels, '
        f'{boundary_tokens(cover).mean():.1%} of the tokens lie on a '
        'boundary.')
    note = NOTE.format(
        delta=args.delta,
        threshold='' if args.threshold is None else
        f', where that is at least {args.threshold:g}')
    if any(map(changes_over_training, maskers.values())):
        note += f' Schedules stand at {args.progress:.0%} of the training.'
    versions = collect_versions()
    table = markdown_table(
        ['masker', *METRICS.values()],
        [[label, *(plus_minus(e.mean, e.error) for e in one.values())]
         for label, one in estimates.items()])
    page = (f'{facts}\n\n{table}\n{note} {changes}'.rstrip() + '\n\n' +
            ', '.join(f'{name} {text}' for name, text in versions.items()) +
            '\n')
    results = dict(
        model=source,
        checkpoint=args.checkpoint,
        seeds=seeds,
        images=[printable(file) for file in covers],
        left_out=len(files) - len(covers),
        size=[height, width],
        threshold=args.threshold,
        delta=args.delta,
        progress=args.progress,
        changes=changes,
        versions=versions,
        maskers={
            label: {
                name: dict(
                    estimates[label][name]._asdict(),
                    per_image=[round(v, 6) for v in
                               each.nanmean(dim=0).tolist()])
                for name, each in one.items()
            } for label, one in values.items()
        })
    written = write_results(args.out, results, page)
    print(page)
    return written


@tool
def main() -> None:
    written = run(parse_args())
    print(f'Written: {", ".join(map(str, written))}')


if __name__ == '__main__':
    main()
