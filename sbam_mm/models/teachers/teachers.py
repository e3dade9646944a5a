# Copyright (c) OpenMMLab. All rights reserved.
"""Teachers look at whole images and tell a masker what they attend to."""
from collections.abc import Mapping, Sequence

import torch
from mmpretrain.models import VisionTransformer
from torch import Tensor, nn

from sbam_mm.attention import resized
from sbam_mm.errors import UserError
from sbam_mm.registry import MODELS, build_part

from ..backbones.vit_attention import input_tokens, patch_attention
from ..channels import SelfSupDataPreprocessor, renormalised
from ..checkpoint import check_keys, read_checkpoint, weights_for
from ..checkpoint_formats import GUIDES
from ..position_tables import fit_tables, stored_grids
from .momentum import MomentumCopy


class Teacher(nn.Module):
    """What maskers may ask of any teacher.

    Here it is one of mmpretrain's Vision Transformers; see
    :class:`LibraryTeacher` for those of other libraries.
    """

    @property
    def vit(self) -> VisionTransformer:
        """The teacher's encoder."""
        return self.backbone

    @property
    def depth(self) -> int:
        """Number of blocks that can be asked."""
        return len(self.vit.layers)

    @property
    def heads(self) -> int:
        """Number of heads of every block."""
        return int(self.vit.layers[0].attn.num_heads)

    @property
    def patch_size(self) -> tuple[int, int]:
        return self.vit.patch_embed.projection.kernel_size

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images that its positions are made for."""
        height, width = self.vit.img_size
        return height, width

    def as_its_own(self, images: Tensor, student: nn.Module) -> Tensor:
        """Images normalised for a student, normalised for this teacher."""
        # One that follows the student has none of its own.
        own = getattr(self, 'normalised', None)
        if own is None:
            return images
        return renormalised(images, student.data_preprocessor, own)

    def init_weights(self) -> None:
        """Keeps what was loaded."""

    def freeze(self, state: Mapping[str, Tensor], checkpoint: Mapping,
               min_share: float, name: str) -> None:
        """Load the weights taken from a checkpoint, for good."""
        check_guides(self, state, name)
        state = fit_tables(self, state, stored_grids(checkpoint), name)
        check_keys(self, state, min_share, name)
        self.load_state_dict(state, strict=False)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> 'Teacher':
        """Stays in eval mode."""
        return super().train(False)

    @torch.no_grad()
    def attention(self,
                  images: Tensor,
                  grid: tuple[int, int],
                  block: int,
                  queries: str = 'cls',
                  softmax: bool = True,
                  own_query: bool = True) -> Tensor:
        """Attention that patches receive; see :func:`patch_attention`.

        ``images`` are as for the student, whose patches are ``grid``. A
        teacher with larger or smaller patches sees them resized, so that it
        has as many.
        """
        x = input_tokens(self.vit, self.at_grid(images, grid))
        return patch_attention(self.vit, x, block, queries, softmax,
                               own_query)

    def at_grid(self, images: Tensor, grid: tuple[int, int]) -> Tensor:
        """Images whose patches are, of this teacher's size, a grid."""
        height, width = self.patch_size
        return resized(images, (grid[0] * height, grid[1] * width))


def check_guides(teacher: nn.Module, state: Mapping[str, Tensor],
                 name: str) -> None:
    """Stop unless a teacher has the segment bias of its weights, or none."""
    if getattr(teacher.backbone, 'segment_bias', None) is None:
        return
    wanted, learnt = ({
        key.rpartition('.')[2]: tuple(value.shape)
        for key, value in weights.items() if GUIDES.fullmatch(key)
    } for weights in (teacher.state_dict(), state))
    if wanted and not learnt:
        raise UserError(
            f'{name} was trained without the segment bias that '
            'teacher.backbone has; give a checkpoint of the first phase, with '
            'its segment_bias options.')
    if wanted != learnt:
        raise UserError(
            f'{name} learnt a segment bias that teacher.backbone does not '
            f'take ({_sizes(learnt)} instead of {_sizes(wanted)}); give '
            'teacher.backbone the arch and segment_bias options of the first '
            'phase.')


def _sizes(parameters: Mapping[str, tuple[int, ...]]) -> str:
    return ' and '.join(
        f'{name} {" x ".join(map(str, size))}'
        for name, size in parameters.items()) or 'no parameters'


@MODELS.register_module()
class FrozenTeacher(Teacher):
    """A pre-trained ViT that stays as it is (GPA, MILAN).

    Args:
        backbone (dict or nn.Module): Any of mmpretrain's Vision Transformers
            with standard blocks, e.g. ``dict(type='sbam_mm.MaskedViT',
            arch='base')``.
        checkpoint (str): Its weights: a file or URL of this project, of
            mmpretrain, or the official ones of MAE, DINO, iBOT and timm; see
            :func:`sbam_mm.models.checkpoint.load_weights`.
        mean, std (Sequence[float], optional): What its images were normalised
            with, in values from 0 to 255. Defaults to None: with those of the
            student's ``data_preprocessor``.
    """

    def __init__(self,
                 backbone: dict | nn.Module,
                 checkpoint: str,
                 mean: Sequence[float] | None = None,
                 std: Sequence[float] | None = None):
        super().__init__()
        self.backbone = build_part(backbone)
        self.normalised = SelfSupDataPreprocessor(mean, std)
        self.checkpoint = checkpoint
        if not isinstance(self.backbone, VisionTransformer):
            raise UserError(
                f'a teacher is one of mmpretrain\'s VisionTransformers, got '
                f'{type(self.backbone).__name__}; set teacher.backbone.type '
                "to 'VisionTransformer' or 'sbam_mm.MaskedViT'.")
        # At build time, so that a missing file stops the run at once.
        read = read_checkpoint(checkpoint)
        self.freeze(weights_for(self, read, 0.9, checkpoint), read, 0.9,
                    checkpoint)


@MODELS.register_module()
class MomentumTeacher(Teacher):
    """A moving average of the encoder that is being trained (AttMask, HPM).

    The options are those of :class:`MomentumCopy`.
    """
    takes_options_of = MomentumCopy

    def __init__(self,
                 momentum: float = 0.996,
                 end_momentum: float | None = None,
                 **schedule):
        super().__init__()
        self.options = dict(
            momentum=momentum, end_momentum=end_momentum, **schedule)
        self.average: MomentumCopy | None = None

    def of(self, student: nn.Module) -> 'MomentumTeacher':
        self.average = MomentumCopy(student, **self.options)
        return self

    @property
    def vit(self) -> VisionTransformer:
        assert self.average is not None
        return self.average.module

    @torch.no_grad()
    def tokens(self, images: Tensor) -> Tensor:
        """Patch tokens after the last block, before the norm, (B, L, D)."""
        return self.vit.layer_tokens(
            self.vit.embed(images), len(self.vit.layers))

    def follow(self, student: nn.Module) -> None:
        """Move towards the student, at the beginning of a training step."""
        assert self.average is not None
        self.average.follow(student)
