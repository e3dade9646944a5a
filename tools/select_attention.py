#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
r"""Find the attention head that looks at objects, from a handful of images.

    python tools/select_attention.py --checkpoint mae_pretrain_vit_base.pth \
        --images photos --annotations photos/masks
    python tools/select_attention.py --config CONFIG --checkpoint PTH \
        --images a.jpg b.jpg --annotations boxes.json --top masked

Ranks every head of every block of a teacher (that of --teacher or of the
config, or else the encoder itself) by the recall of the annotated patches
among the patches of highest GPA score, writes a table, a picture and a JSON
file, and prints the config lines for the best head. Annotations are a folder
of PNG masks named like the images (not black = object), a COCO file, or a JSON
file {"photo.jpg": [[x, y, width, height], ...]}.
"""
import argparse
from functools import partial
from pathlib import Path

from sbam_mm.command_line import (
    ToolParser,
    add_teacher,
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
        help='image files, or folders of them')
    parser.add_argument(
        '--annotations', required=True, metavar='PATH',
        help='folder of PNG masks, COCO file, or JSON file of boxes')
    parser.add_argument(
        '--config', help='take the teacher, or else the encoder, from this '
        'config (default: ViT-B/16)')
    parser.add_argument('--checkpoint', help='weights of the model')
    add_teacher(parser)
    parser.add_argument(
        '--top', default='annotated', choices=('annotated', 'masked'),
        help='look for the annotated patches among as many (default), or '
        'among as many as are masked')
    parser.add_argument(
        '--ratio', type=share, default=0.75,
        help='masking ratio of --top masked (default: 0.75)')
    parser.add_argument(
        '--threshold', type=share, default=0.5,
        help='a patch is annotated from this covered share on (default: 0.5)')
    parser.add_argument(
        '--own-query', action='store_true',
        help="count a patch's own query, as GPA's code does and its paper "
        'does not')
    parser.add_argument(
        '--class-query', action='store_true',
        help="count the class token's query, as GPA's code does and its "
        'paper does not')
    parser.add_argument('--batch-size', type=whole(1), default=16)
    parser.add_argument(
        '--device', type=device, default='cpu', help='default: cpu')
    parser.add_argument(
        '--out', default='attention_selection',
        help='name of the files .json, .md and .png (default: '
        'attention_selection)')
    add_trust(parser)
    return parser.parse_args()


import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn

from sbam_mm.config_files import read_model_config
from sbam_mm.datasets.reading.tree import printable
from sbam_mm.environment import collect_versions
from sbam_mm.errors import UserError
from sbam_mm.evaluation.attention_selection import (
    Ask,
    HeadRecall,
    annotated_patches,
    head_scores,
    rank_heads,
    recall_of_heads,
)
from sbam_mm.evaluation.encoders import config_decoding
from sbam_mm.evaluation.models import VIT_BASE
from sbam_mm.evaluation.object_masks import (
    find_images,
    read_object_masks,
    token_coverage,
)
from sbam_mm.evaluation.results import (
    markdown_table,
    plus_minus,
    result_files,
    write_results,
)
from sbam_mm.masking.functional import visible_count
from sbam_mm.visualization import (
    center_crop,
    model_from_config,
    readable_images,
    save_figure,
)
from sbam_mm.visualization.heads import heads_figure
from sbam_mm.visualization.pixels import to_inputs


def annotated_images(
        args: argparse.Namespace, size: tuple[int, int], patch: int,
        decoding: dict) -> tuple[dict, Tensor]:
    """Pictures by name, as the model sees them, and annotated patches."""
    masks = read_object_masks(args.annotations)
    images, found = {}, []
    files = find_images(args.images, **decoding)
    for file, image in readable_images(files, **decoding):
        found.append(masks(file, image.shape[:2]))
        name = printable(file.name)
        images[printable(file) if name in images else name] = center_crop(
            image, size)
    if not found:
        raise UserError(f'none of the {len(files)} images can be read; give '
                        'others.')
    coverage = token_coverage(found, size, patch)
    return images, annotated_patches(coverage, args.threshold, list(images))


def masked_count(args: argparse.Namespace, length: int) -> int | None:
    """How many patches are looked at; None: as many as are annotated."""
    if args.top == 'annotated':
        return None
    if not 0 < args.ratio < 1:
        raise UserError(f'--ratio {args.ratio:g} is no masking ratio; give '
                        'a share in (0, 1), e.g. 0.75.')
    return length - visible_count(length, args.ratio)


def queries_of(args: argparse.Namespace) -> str:
    """Whose queries are summed."""
    return 'all' if args.class_query else 'patches'


def asked(model: nn.Module, pictures: list[np.ndarray]) -> Ask:
    """What answers for these pictures: the teacher, or else the encoder."""
    inputs = to_inputs(model, pictures)
    return partial(
        model.context(model.embed(inputs), inputs).ask,
        'attention' if model.teacher is None else 'teacher_attention')


@torch.no_grad()
def measure(args: argparse.Namespace, model: nn.Module,
            pictures: list[np.ndarray], annotated: Tensor,
            number: int | None) -> tuple[Tensor, HeadRecall, int, Tensor]:
    """Recall of all heads, the best, its column, and its scores (B, L)."""
    batches = [
        (asked(model, pictures[i:i + args.batch_size]),
         annotated[i:i + args.batch_size].to(args.device))
        for i in range(0, len(pictures), args.batch_size)
    ]
    depth = (len(model.backbone.layers) if model.teacher is None else
             model.teacher.depth)
    recall = torch.cat([
        recall_of_heads(ask, depth, wanted, number, args.own_query,
                        queries_of(args)).cpu()
        for ask, wanted in track(batches, 'Images', transient=True)
    ], dim=2)
    best = rank_heads(recall)[0]
    column = recall.shape[1] - 1 if best.head == 'sum' else int(best.head)
    scores = torch.cat([
        head_scores(ask, best.block, args.own_query,
                    queries_of(args))[column].cpu()
        for ask, _ in batches
    ])
    return recall, best, column, scores


def run(args: argparse.Namespace) -> list[Path]:
    """Do everything; returns the files written."""
    config = read_model_config(args.config) if args.config else VIT_BASE
    source = Path(args.config).name if args.config else 'ViT-B/16'
    model, _ = model_from_config(config, args.checkpoint,
                                 teacher=args.teacher)
    model = model.to(args.device).eval()
    teacher = model.teacher
    patch = model.backbone.patch_size
    height, width = map(int, model.backbone.img_size)
    images, annotated = annotated_images(
        args, (height, width), patch,
        config_decoding(config))
    length = annotated.shape[1]
    number = masked_count(args, length)
    recall, best, column, scores = measure(
        args, model, list(images.values()), annotated, number)

    ranked = rank_heads(recall)
    share = float(annotated.float().mean())
    chance = share if number is None else number / length
    who = 'encoder' if teacher is None else type(teacher).__name__
    weights = 'random weights' if teacher is None else 'its own weights'
    if args.teacher:
        weights = f'weights of {args.teacher}'
    elif args.checkpoint:
        weights = f'weights of {Path(args.checkpoint).name}'
    looked = ('as many as are annotated' if number is None else
              f'{number} of {length}')
    facts = (f'{source}, {who}, {weights}; {len(images)} images, '
             f'{share:.1%} of their patches annotated; recall of these among '
             f'the patches of highest GPA score, {looked}; chance is '
             f'{chance:.3f}.')
    lines = best.config_lines()
    if args.own_query:
        lines = [line.replace('own_query=False', 'own_query=True')
                 for line in lines]
        lines[1] = f'{lines[1][:-1]}, own_query=True)'
    if args.class_query:
        lines = [line.replace("queries='patches'", "queries='all'")
                 for line in lines]
        lines[1] = f"{lines[1][:-1]}, queries='all')"
    table = markdown_table(
        ['rank', 'block', 'head', 'recall'],
        [[str(rank), str(one.block), str(one.head),
          plus_minus(one.recall, one.error)]
         for rank, one in enumerate(ranked, 1)])
    code = '\n'.join(lines)
    page = (f'{facts}\n\n```python\n{code}\n```\n\n{table}')
    title = f'{source}, {weights}, {len(images)} images'
    figure = heads_figure(
        recall.mean(dim=2).numpy(), chance, (best.block, column), images,
        annotated.view(-1, height // patch, width // patch).numpy(),
        scores.view(-1, height // patch, width // patch).numpy(), title)
    results = dict(
        model=source,
        teacher=who,
        checkpoint=args.checkpoint,
        images=list(images),
        annotated=annotated.sum(dim=1).tolist(),
        looked_at=number,
        chance=chance,
        own_query=args.own_query,
        queries=queries_of(args),
        config=lines,
        heads=[one._asdict() for one in ranked],
        versions=collect_versions())
    written = write_results(args.out, results, page)
    picture, = result_files(args.out, '.png')
    save_figure(figure, picture)
    print(f'{facts}\nBest: block {best.block}, head {best.head}, recall '
          f'{plus_minus(best.recall, best.error)}\n\n{code}\n')
    return [*written, picture]


@tool
def main() -> None:
    written = run(parse_args())
    print(f'Written: {", ".join(map(str, written))}')


if __name__ == '__main__':
    main()
