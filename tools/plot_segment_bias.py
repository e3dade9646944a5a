#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
r"""What the segment bias of a checkpoint learnt, as a plot and as JSON.

    python tools/plot_segment_bias.py epoch_1600.pth --out bias
    python tools/plot_segment_bias.py epoch_1600.pth --out bias \
        --config configs/segment_bias/mae_vitb16_bias_1600e.py \
        --image photo.jpg --patch 90

Writes u_pos and u_neg of every layer, mean and spread over the heads (Fig. 4
of the paper), to bias.png and bias.json. With a config and an image also
bias_attention.png: whom one patch attends to without and with the segments
of the image: those of the training, from the file and the image's number in
it (--segments segments.npy --index 7), or cut by Felzenszwalb's method with
the options of tools/generate_segments.py (--option scale=100 min_share=0.04).
Of a fixed bias, which has learnt nothing, this picture is all there is.
"""
import argparse
from pathlib import Path

from sbam_mm.command_line import (
    KeyValues,
    ToolParser,
    add_trust,
    parses_first,
    tool,
    whole,
)


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('checkpoint', help='of a run with a segment bias')
    parser.add_argument('--out', default='segment_bias',
                        help='files begin so (default: segment_bias)')
    parser.add_argument('--config', help='of that run, for --image')
    parser.add_argument('--image', help='to draw attention maps on')
    parser.add_argument('--patch', type=whole(0),
                        help='whose attention (default: the middle one)')
    parser.add_argument('--layer', type=whole(1),
                        help='in which layer, from 1 (default: the last)')
    parser.add_argument(
        '--segments', metavar='FILE',
        help='stored segments, of tools/generate_segments.py')
    parser.add_argument(
        '--index', type=whole(0), help='number of the image in --segments')
    parser.add_argument(
        '--option', nargs='+', action=KeyValues, default={},
        metavar='KEY=VALUE', help='of Felzenszwalb, as for the training')
    add_trust(parser)
    return parser.parse_args()


import numpy as np
import torch
from mmpretrain.models import BaseSelfSupervisor

from sbam_mm.datasets.transforms import nearest_crop
from sbam_mm.datasets.transforms.crop_maps import WHOLE
from sbam_mm.errors import UserError
from sbam_mm.files import write_json
from sbam_mm.models.checkpoint import read_checkpoint, state_dict_of
from sbam_mm.segments import SegmentMaps
from sbam_mm.segments.figures.attention import (
    attention_figure,
    attention_of_patch,
    bias_figure,
    learnt_bias,
)
from sbam_mm.segments.maps import Felzenszwalb, id_map
from sbam_mm.visualization import (
    center_crop,
    load_image,
    model_from_config,
    save_figure,
)
from sbam_mm.visualization.pixels import to_inputs


def cutter(options: dict) -> Felzenszwalb:
    try:
        return Felzenszwalb(**options)
    except TypeError:
        raise UserError(
            f'--option {" ".join(options)} is unknown to Felzenszwalb; it '
            'takes side, scale, sigma and min_share.') from None


def stored_segments(args: argparse.Namespace, shape: tuple[int, ...],
                    crop: tuple[int, int],
                    grid: tuple[int, int]) -> np.ndarray:
    """What the file has of the centred crop of an image of such a shape."""
    maps = SegmentMaps(args.segments)
    if args.index is None or not 0 <= args.index < len(maps.maps):
        raise UserError(
            f'--segments has the maps 0 to {len(maps.maps) - 1}; give the '
            'number of the image with --index.')
    maps.verify(args.index, args.image)
    height, width = shape[:2]
    scale = min(height / crop[0], width / crop[1])
    top = .5 - .5 * crop[0] * scale / height
    left = .5 - .5 * crop[1] * scale / width
    return nearest_crop(
        maps.read(args.index), (left, top, 1 - left, 1 - top), grid)


def attention_picture(args: argparse.Namespace,
                      model: BaseSelfSupervisor) -> Path:
    """Draw the attention of one patch without and with segments."""
    vit = model.evaluated_encoder
    size = (int(vit.img_size[0]), int(vit.img_size[1]))
    whole = load_image(args.image)
    image = center_crop(whole, size)
    inputs = to_inputs(model, [image])
    grid = vit.grid(inputs)
    highest = vit.segment_bias.max_segments
    patches, layers = grid[0] * grid[1], len(vit.layers)
    patch, layer = args.patch, args.layer
    if patch is None:
        patch = grid[0] // 2 * grid[1] + grid[1] // 2
    if layer is None:
        layer = layers
    if not 0 <= patch < patches or not 1 <= layer <= layers:
        raise UserError(
            f'--patch {patch} --layer {layer} is not there; the encoder has '
            f'patches 0 to {patches - 1} and layers 1 to {layers}.')
    if args.segments:
        ids = stored_segments(args, whole.shape, size, grid)
    else:
        found = id_map(cutter(args.option)(image), highest)
        ids = nearest_crop(found, WHOLE, grid)
    if ids.max() > highest:
        raise UserError(
            f'{args.segments} has the segment {ids.max()} in this image, but '
            f"the model's max_segments is {highest}; give the file of its "
            'training.')
    segments = torch.from_numpy(ids).flatten()[None].to(inputs.device)
    maps = [
        each.view(grid).cpu().numpy() for each in attention_of_patch(
            vit, inputs, segments, patch, layer - 1)
    ]
    path = Path(f'{args.out}_attention.png')
    save_figure(
        attention_figure(image, ids, *maps, patch,
                         f'Layer {layer}: attention of the framed patch'),
        path)
    return path


def guided_model(args: argparse.Namespace) -> BaseSelfSupervisor:
    """The model of the run, whose encoder takes segments."""
    if not args.config:
        raise UserError('--image wants the config of the run, too; give '
                        '--config.')
    model, _ = model_from_config(args.config, args.checkpoint)
    if getattr(model.evaluated_encoder, 'segment_bias', None) is None:
        raise UserError(
            f'the encoder of {args.config} takes no segments; give the config '
            'and checkpoint of a first phase.')
    return model


def run(args: argparse.Namespace) -> list[Path]:
    """Do everything; returns the files written."""
    written = []
    if args.image:
        model = guided_model(args)
        written = [attention_picture(args, model)]
        if not list(model.evaluated_encoder.segment_bias.parameters()):
            return written
    checkpoint = read_checkpoint(args.checkpoint)
    bias = learnt_bias(state_dict_of(checkpoint, args.checkpoint))
    results = {
        name: dict(
            mean=values.mean(axis=1).tolist(),
            std=values.std(axis=1).tolist(),
            values=values.tolist())
        for name, values in bias.items()
    }
    data, picture = Path(f'{args.out}.json'), Path(f'{args.out}.png')
    write_json(data, results)
    save_figure(bias_figure(bias, Path(args.checkpoint).name), picture)
    return [data, picture, *written]


@tool
def main() -> None:
    written = run(parse_args())
    print(f'Written: {", ".join(map(str, written))}')


if __name__ == '__main__':
    main()
