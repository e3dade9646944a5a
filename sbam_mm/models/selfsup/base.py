# Copyright (c) OpenMMLab. All rights reserved.
"""What every masked-image-modelling method shares: a masker and its view."""
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from mmcv.cnn.bricks import DropPath
from mmpretrain.models import BaseSelfSupervisor
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.layers import SegmentRelation
from sbam_mm.masking import (
    MaskingContext,
    RandomMasker,
    TokenMask,
    check_needs,
)
from sbam_mm.models.channels import check_channels, for_any_channels
from sbam_mm.models.progress import training_progress
from sbam_mm.models.stored_maps import stored_map
from sbam_mm.models.teachers import MomentumTeacher
from sbam_mm.registry import build_part

# Maps per image that the pipeline may bring, and the transform that does.
STORED_MAPS = {
    'attention_map': 'LoadAttentionMap',
    'part_map': 'LoadPartMap',
    'segment_map': 'LoadSegments',
}
# What a user adds when a masker needs what is not there.
REMEDIES = {
    'teacher_attention':
    "add model.teacher=dict(type='sbam_mm.FrozenTeacher', backbone=..., "
    "checkpoint=...) or dict(type='sbam_mm.MomentumTeacher'), or set "
    "source='self' in the masker",
    'predicted_loss':
    "use model.type='sbam_mm.HPM', which predicts the loss of every patch",
}


def throws(masker: nn.Module) -> bool:
    """Whether the masker takes tokens out of the model altogether."""
    # Also inside a masker that wraps another or warms up with one.
    return any(getattr(part, 'throw', 0) > 0 for part in masker.modules())


def has_fixed_table(encoder: nn.Module) -> bool:
    """Whether an encoder's positions are a table that is not trained."""
    return (getattr(encoder, 'pos_embed', None) is not None
            and not getattr(encoder, 'learned_position', False))


def drops_paths(encoder: nn.Module) -> bool:
    """Whether an encoder trains with stochastic depth, however it is set."""
    return any(path.drop_prob > 0 for path in encoder.modules()
               if isinstance(path, DropPath))


def has_segment_bias(encoder: nn.Module) -> bool:
    """Whether an encoder's attention wants to know of segments."""
    return getattr(encoder, 'segment_bias', None) is not None


def segments_for(encoder: nn.Module,
                 inputs: Tensor,
                 data_samples: list | None,
                 views: Sequence[int] | None = None) -> Tensor | None:
    """The segments of a batch, for an encoder with a segment bias.

    Args:
        encoder (nn.Module): E.g. ``MaskedViT``.
        inputs (Tensor): The images, (B, C, H, W).
        data_samples (list): With ``segment_map`` from the pipeline.
        views (Sequence[int], optional): Which views of every image the inputs
            are, view after view. Defaults to None: there is one.

    Returns:
        Tensor or None: uint8 ids, (B, L); None without such a bias.

    Raises:
        UserError: If the pipeline makes no segments, or none that fit.
    """
    if not has_segment_bias(encoder):
        return None
    gather = partial(
        stored_map,
        data_samples,
        'segment_map',
        encoder.grid(inputs),
        inputs.device,
        STORED_MAPS['segment_map'],
        who="the encoder's segment bias",
        highest=encoder.segment_bias.max_segments)
    if views is None:
        return gather()
    maps = [ids for view in views if (ids := gather(view=view)) is not None]
    return torch.cat(maps) if maps else None


def pictures_for(head: nn.Module, inputs: Tensor | list[Tensor]
                 ) -> tuple[Tensor, Tensor]:
    """What a model sees of a batch, and what its head makes targets of.

    Args:
        head (nn.Module): Its ``second_picture`` says whether it wants a
            picture of its own, as DALL-E's tokenizer does.
        inputs (Tensor or list[Tensor]): Images (B, C, H, W), or these and
            the second picture of each, which other heads do not look at.

    Returns:
        tuple[Tensor, Tensor]: Both of them images.

    Raises:
        UserError: If the head wants a second picture and there is none.
    """
    wants = getattr(head, 'second_picture', False)
    if isinstance(inputs, Tensor):
        if wants:
            raise UserError(
                f'{type(head).__name__} wants a second picture of every '
                'image, but the pipeline makes one; put '
                'RandomResizedCropAndInterpolationWithTwoPic into '
                'train_pipeline and TwoNormDataPreprocessor into '
                'data_preprocessor.')
        return inputs, inputs
    return inputs[0], inputs[1] if wants else inputs[0]


def check_sizes(encoder: nn.Module, neck: nn.Module | None,
                head: nn.Module | None) -> None:
    """Stop unless width and patch size are one from encoder to loss.

    Args:
        encoder, neck, head (nn.Module): Built parts of a model.

    Raises:
        UserError: With the option to change.
    """
    rate = getattr(encoder, 'drop_path_rate', 0.)
    if not 0 <= rate < 1:
        raise UserError('backbone.drop_path_rate is a share in [0, 1), got '
                        f'{rate}.')
    if min(getattr(encoder, 'patch_resolution', None) or (1, )) < 1:
        raise UserError(
            f'backbone.img_size={encoder.img_size} has no room for a patch '
            f'of {encoder.patch_size} pixels; correct one of them.')
    width = getattr(encoder, 'embed_dims', None)
    wanted = getattr(getattr(neck, 'decoder_embed', None), 'in_features', None)
    if isinstance(width, int) and wanted not in (None, width):
        raise UserError(f'neck.embed_dim={wanted} is not the width of the '
                        f'encoder, {width}; set neck.embed_dim={width}.')
    patch = getattr(encoder, 'patch_size', None)
    for name, part in (('neck', neck), ('head', head)):
        wanted = getattr(part, 'patch_size', None)
        if isinstance(patch, int) and wanted not in (None, patch):
            raise UserError(
                f'{name}.patch_size={wanted} is not that of the encoder, '
                f'{patch}; set {name}.patch_size={patch}.')


class MaskedImageModel(BaseSelfSupervisor):
    """A self-supervised method with an exchangeable masker.

    Args:
        backbone (dict or nn.Module): The encoder, e.g. ``MaskedViT``.
        masker (dict or nn.Module): Decides which patches to hide. Defaults
            to random masking at 0.75.
        neck (dict or nn.Module, optional): The decoder. Defaults to None.
        head (dict or nn.Module, optional): Target and loss. Defaults to None.
        teacher (dict or nn.Module, optional): ``FrozenTeacher`` or
            ``MomentumTeacher``, whose attention maskers may ask for.
            Defaults to None.
        data_preprocessor (dict or nn.Module, optional): Of any number of
            channels, see ``SelfSupDataPreprocessor``. Defaults to None:
            nothing is normalised.
        **kwargs: Other options of mmpretrain's ``BaseSelfSupervisor``.

    Raises:
        UserError: At build time, if the masker needs what this method
            cannot give, or parts expect images of different channels; with
            a batch, if its images have others.
    """
    # Whether a mask token takes the place of masked tokens, so that all
    # images keep the same length whatever their ratio.
    in_place = False
    # Whether the encoder is told of segments, see :meth:`segments`.
    tells_segments = False
    # Whether images of other sizes than the encoder's may come, where its
    # table is fixed, too: its positions are interpolated then.
    any_size = False
    # Tokens and tables that the method's official code spares weight decay;
    # MAE's, DINO's and those that follow them spare vectors alone.
    no_weight_decay: tuple[str, ...] = ()

    def __init__(self,
                 backbone: dict | nn.Module,
                 masker: dict | nn.Module | None = None,
                 neck: dict | nn.Module | None = None,
                 head: dict | nn.Module | None = None,
                 teacher: dict | nn.Module | None = None,
                 data_preprocessor: dict | nn.Module | None = None,
                 **kwargs):
        super().__init__(
            backbone=build_part(backbone),
            neck=None if neck is None else build_part(neck),
            head=None if head is None else build_part(head),
            data_preprocessor=for_any_channels(data_preprocessor),
            **kwargs)
        if has_segment_bias(self.backbone) and not self.tells_segments:
            raise UserError(
                f'{type(self).__name__} tells its encoder nothing of segments;'
                ' leave out backbone.segment_bias, or use model.type='
                "'sbam_mm.MAE', 'sbam_mm.DINO' or 'sbam_mm.iBOT'.")
        self.teacher = None if teacher is None else build_part(teacher)
        if isinstance(self.teacher, MomentumTeacher):
            self.teacher.of(self.backbone)
        masker = RandomMasker() if masker is None else build_part(masker)
        check_needs(masker, self.provides, type(self).__name__, REMEDIES)
        unequal = not masker.uniform and (not self.in_place or throws(masker))
        if unequal and drops_paths(self.backbone):
            raise UserError(
                f'{type(masker).__name__} gives every image its own ratio, '
                'and stochastic depth would drop single tokens of the packed '
                'sequence; set backbone.drop_path_rate=0 (also in '
                'backbone.layer_cfgs) for pre-training.')
        self.masker = masker
        check_channels(self)
        check_sizes(self.backbone, self.neck if self.with_neck else None,
                    self.head if self.with_head else None)

    @property
    def provides(self) -> frozenset[str]:
        """What :meth:`context` can answer when a masker asks."""
        names = {'attention', 'layer_tokens', 'position', *STORED_MAPS}
        if self.teacher is not None:
            names.add('teacher_attention')
        return frozenset(names)

    @property
    def evaluated_encoder(self) -> nn.Module:
        """The encoder that ``KNNHook`` and ``extract_features`` judge."""
        return self.backbone

    def segments(self,
                 inputs: Tensor,
                 data_samples: list | None,
                 views: Sequence[int] | None = None) -> Tensor | None:
        """Segments of the images, where the encoder can use them.

        See :func:`segments_for`.
        """
        return segments_for(self.backbone, inputs, data_samples, views)

    def grid(self, inputs: Tensor) -> tuple[int, int]:
        """Patches per column and row, which are to be those of all parts.

        Args:
            inputs (Tensor): The images, (B, C, H, W).

        Raises:
            UserError: If a decoder, or the encoder's fixed table, is built
                for another grid.
        """
        grid = self.backbone.grid(inputs)
        built = {
            name: part.grid for name, part in self.named_children()
            if isinstance(getattr(part, 'grid', None), tuple)
        }
        if not self.any_size and has_fixed_table(self.backbone):
            built['backbone'] = tuple(self.backbone.patch_resolution)
        for name, own in built.items():
            if own != grid:
                raise UserError(
                    f'images of {inputs.shape[-2]} x {inputs.shape[-1]} '
                    f'pixels have {grid[0]} x {grid[1]} patches, but '
                    f'model.{name} is built for {own[0]} x {own[1]}; set '
                    f'img_size of model.{name}, and of the other parts, to '
                    'the size of the images.')
        return grid

    def context(self,
                tokens: Tensor,
                inputs: Tensor,
                data_samples: list | None = None) -> MaskingContext:
        """What the masker may look at.

        Args:
            tokens (Tensor): Patch tokens with positions, (B, L, D).
            inputs (Tensor): The images they come from, (B, C, H, W).
            data_samples (list, optional): With the pipeline's maps.
                Defaults to None.
        """
        grid = self.grid(inputs)
        progress, epoch = training_progress()
        providers: dict[str, Callable[..., Tensor | None]] = dict(
            attention=partial(self.backbone.attention, tokens),
            layer_tokens=partial(self.backbone.layer_tokens, tokens),
            position=lambda: self.backbone.position(grid)[:, 1:])
        for key, transform in STORED_MAPS.items():
            providers[key] = partial(stored_map, data_samples, key, grid,
                                     tokens.device, transform)
        if self.teacher is not None:
            providers['teacher_attention'] = partial(self.teacher.attention,
                                                     inputs, grid)
        return MaskingContext(
            tokens, grid, progress=progress, epoch=epoch, providers=providers)

    def mask(self,
             tokens: Tensor,
             inputs: Tensor,
             data_samples: list | None = None,
             attend: Sequence[SegmentRelation] | None = None,
             **known) -> TokenMask:
        """Let the masker decide, from the embedded tokens (B, L, D).

        Args:
            tokens, inputs, data_samples: See :meth:`context`.
            attend (Sequence[SegmentRelation], optional): What segments do to
                the encoder's attention, which maskers may ask for. Defaults
                to None: nothing.
            **known: Further options of :meth:`context`.
        """
        context = self.context(tokens, inputs, data_samples, **known)
        if attend is not None:
            guided = {
                name: partial(context.providers[name], attend=attend)
                for name in ('attention', 'layer_tokens')
            }
            context = replace(
                context, providers={**context.providers, **guided})
        return self.masker(context)

    def follow_student(self) -> None:
        """Let a momentum teacher take its step; call it first in ``loss``."""
        if self.teacher is not None and self.training:
            self.teacher.follow(self.backbone)
