# Copyright (c) OpenMMLab. All rights reserved.
"""What segments did to attention: the learnt bias, and maps with and without.

Source: Taguchi et al., *SAM Helps SSL*, BMVC 2024, Fig. 4.
"""
from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from sbam_mm.errors import UserError
from sbam_mm.layers import RecordedAttention
from sbam_mm.models import MaskedViT
from sbam_mm.models.backbones.vit_attention import encode_whole
from sbam_mm.models.guidance import attending
from sbam_mm.segments import relations_to
from sbam_mm.visualization.output import (
    Cell,
    colours_of,
    picture_grid,
    style_axes,
)
from sbam_mm.visualization.pixels import heat_map

from .outlines import segments_over

# The branch of DINO that is evaluated comes first.
PREFIXES = ('momentum_teacher.module.backbone.', 'backbone.', '')


def learnt_bias(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """u_pos and u_neg in the weights of a model or an encoder.

    Those that were learnt, (layers, heads), with 1 for what was shared.

    Example:
        >>> learnt_bias({'backbone.segment_bias.u_pos': torch.ones(2, 1)})
        {'u_pos': array([[1.],
               [1.]], dtype=float32)}
    """
    for prefix in PREFIXES:
        found = {
            name: state[f'{prefix}segment_bias.{name}'].float().cpu().numpy()
            for name in ('u_pos', 'u_neg')
            if f'{prefix}segment_bias.{name}' in state
        }
        if found:
            return found
    raise UserError('the checkpoint has no learnt segment bias; give one of '
                    'a run with backbone.segment_bias=dict(), or of a fixed '
                    'one its config and an image.')


def bias_figure(bias: Mapping[str, np.ndarray], title: str = '') -> Figure:
    """Mean and standard deviation over the heads, layer by layer (Fig. 4)."""
    figure = Figure(figsize=(8, 3.2), layout='constrained')
    figure.suptitle(title, fontsize=11, x=.01, ha='left', weight='bold')
    labels = dict(u_pos='same segment, u_pos',
                  u_neg='different segments, u_neg')
    colours = colours_of(labels)
    diagrams = {
        'mean over heads': {k: v.mean(axis=1) for k, v in bias.items()},
        'standard deviation over heads':
        {k: v.std(axis=1) for k, v in bias.items()},
    }
    for axes, (ylabel, curves) in zip(figure.subplots(1, 2), diagrams.items()):
        for name, values in curves.items():
            layers = np.arange(1, len(values) + 1)
            axes.plot(layers, values, marker='o', markersize=4,
                      color=colours[name], label=labels[name])
        style_axes(axes, 'layer', ylabel)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.axes[0].axhline(0., color='#9aa5b1', linewidth=.8)
    # Below the diagrams, where no line runs.
    figure.legend(*figure.axes[0].get_legend_handles_labels(),
                  loc='outside lower center', ncols=2, frameon=False,
                  fontsize=8.5)
    return figure


@torch.no_grad()
def attention_of_patch(vit: MaskedViT, inputs: Tensor, segments: Tensor,
                       patch: int, block: int = -1) -> tuple[Tensor, Tensor]:
    """Whom a patch attends to, without its segments and with them.

    Args:
        inputs (Tensor): Normalised images, (B, C, H, W).
        segments (Tensor): Ids of all patches, (B, L).
        patch (int): Whose query, from 0.
        block (int): Which block; negative counts from the end.

    Returns:
        tuple[Tensor, Tensor]: Without and with: float32 (B, L), the mean over
        heads.
    """
    relations = relations_to(vit, segments)
    maps = []
    for given in ([None] * len(relations), relations):
        attend = [RecordedAttention(relation) for relation in given]
        with attending(vit, attend):
            encode_whole(vit, inputs)
        probabilities, = attend[block].maps
        maps.append(probabilities[:, :, 1 + patch, 1:].mean(dim=1))
    return maps[0], maps[1]


def attention_figure(image: np.ndarray, segments: np.ndarray,
                     without: np.ndarray, guided: np.ndarray, patch: int,
                     title: str = '') -> Figure:
    """An image, its segments, and two attention maps on one scale."""
    top = max(without.max(), guided.max())
    row: list[Cell] = [
        (image, ''),
        (segments_over(image, segments), f'{segments.max()} segments'),
        (heat_map(image, without / top), f'at most {without.max():.3f}'),
        (heat_map(image, guided / top), f'at most {guided.max():.3f}'),
    ]
    figure = picture_grid(
        [row], ['image', 'segments', 'without bias', 'with bias'], title)
    rows, columns = segments.shape
    height, width = image.shape[0] / rows, image.shape[1] / columns
    # Pixels lie around whole numbers.
    corner = (patch % columns * width - .5, patch // columns * height - .5)
    for axes in figure.axes:
        # White within black shows on any picture.
        for colour, line in (('black', 3.), ('white', 1.5)):
            axes.add_patch(Rectangle(corner, width, height, fill=False,
                                     edgecolor=colour, linewidth=line))
    return figure
