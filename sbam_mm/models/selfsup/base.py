# Copyright (c) OpenMMLab. All rights reserved.
"""What every masked-image-modelling method shares: a masker and its view."""
import warnings
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

import torch
from mmcv.cnn.bricks import DropPath
from mmpretrain.models import BaseSelfSupervisor
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.masking import (
    MaskingContext,
    RandomMasker,
    TokenMask,
    check_needs,
)
from sbam_mm.models.backbones import Latent
from sbam_mm.models.backbones.masked_encoder import MaskedEncoder, blocks_run
from sbam_mm.models.channels import check_channels, for_any_channels
from sbam_mm.models.guidance import guided
from sbam_mm.models.heads import Head
from sbam_mm.models.necks import Decoder
from sbam_mm.models.progress import training_progress
from sbam_mm.models.providers import (
    PROVIDERS,
    REMEDIES,
    Batch,
    Provider,
    ask_target,
    ask_teacher,
)
from sbam_mm.models.teachers import MomentumTeacher
from sbam_mm.registry import build_part
from sbam_mm.run_switches import is_exact


def throws(masker: nn.Module) -> bool:
    """Whether the masker takes tokens out of the model altogether."""
    # Also inside a masker that wraps another or warms up with one.
    return any(getattr(part, 'throw', 0) > 0 for part in masker.modules())


def has_fixed_table(encoder: nn.Module) -> bool:
    """Whether an encoder's positions are a table that is not trained."""
    return (getattr(encoder, 'pos_embed', None) is not None
            and not getattr(encoder, 'learned_position', False))


def has_stochastic_depth(encoder: nn.Module) -> bool:
    """Whether an encoder trains with stochastic depth, however it is set."""
    return any(path.drop_prob > 0 for path in encoder.modules()
               if isinstance(path, DropPath))


def check_sizes(encoder: nn.Module, neck: nn.Module | None,
                head: nn.Module | None) -> None:
    """Stop unless width and patch size are one from encoder to loss."""
    rate = getattr(encoder, 'drop_path_rate', 0.)
    if not 0 <= rate < 1:
        raise UserError('backbone.drop_path_rate is a share in [0, 1), got '
                        f'{rate}.')
    if min(getattr(encoder, 'patch_resolution', None) or (1, )) < 1:
        raise UserError(
            f'backbone.img_size={encoder.img_size} has no room for a patch '
            f'of {encoder.patch_size} pixels; correct one of them.')
    width = getattr(encoder, 'embed_dims', None)
    wanted = getattr(neck, 'embed_dim', None) or getattr(
        getattr(neck, 'decoder_embed', None), 'in_features', None)
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


def check_parts(model: BaseSelfSupervisor) -> None:
    """Stop unless encoder, decoder and head fit together.

    A neck that is no :class:`Decoder`, or a head that is no :class:`Head`,
    such as one of another project, has none of their extras.
    """
    neck = model.neck if model.with_neck else None
    head = model.head if model.with_head else None
    for part, kind in ((neck, Decoder), (head, Head)):
        if part is not None and not isinstance(part, kind):
            for name in kind.__annotations__:
                if not hasattr(part, name):
                    setattr(part, name, getattr(kind, name))
    check_sizes(model.backbone, neck, head)
    if neck is not None:
        check_decoder(model, neck, head)


def check_decoder(model: BaseSelfSupervisor, neck: nn.Module,
                  head: nn.Module | None) -> None:
    """Stop if a decoder asks for what encoder or head do not do.

    Args:
        model (MaskedImageModel): With its parts built.
        neck (Decoder): Of the model.
        head (Head, optional): Of the model.

    Raises:
        UserError: With the option to change.
    """
    if neck.independent and model.in_place:
        raise UserError(
            f'{type(neck).__name__} looks at visible tokens only, and '
            f'{type(model).__name__} encodes mask tokens among them; take the '
            "neck of its config, or model.type='sbam_mm.MAE'.")
    if neck.prediction < 1 and not getattr(head, 'takes_masked', False):
        raise UserError(
            f'the loss of {type(model).__name__} wants all masked patches; '
            'set neck.prediction=1.')
    if neck.looks_at and isinstance(model.backbone, MaskedEncoder):
        depth = len(model.backbone.layers)
        there = {'input', *range(-depth, depth)}.issuperset(neck.looks_at)
        ends = [blocks_run(block, depth) for block in neck.looks_at]
        if not there or ends != sorted(set(ends)):
            raise UserError(
                f'neck.looks_at={list(neck.looks_at)} does not name blocks of '
                f'an encoder of {depth} in their order; all of them are '
                f"['input', *range({depth})].")


class Reconstruction(NamedTuple):
    """Predicted pixels of every patch, and what was hidden."""
    images: Tensor  # (B, C, H, W)
    token_mask: TokenMask


class MaskedImageModel(BaseSelfSupervisor):
    """A self-supervised method with an exchangeable masker.

    A method writes :meth:`loss`, from the stages that it shares with the
    others: :meth:`embed`, :meth:`mask`, :meth:`encode`, :meth:`decode`. It
    takes normalised images, (B, C, H, W), and the pipeline's data samples,
    with stored maps where the masker or the encoder asks for them, and gives
    losses and what else is to be logged.

    Args:
        backbone (dict or nn.Module): The encoder, e.g. ``MaskedViT``.
        masker (dict or nn.Module, optional): Decides which patches to hide.
            Defaults to None: random masking at 0.75, or what the method
            says.
        neck (dict or nn.Module, optional): The decoder.
        head (dict or nn.Module, optional): Target and loss.
        teacher (dict or nn.Module, optional): ``FrozenTeacher`` or
            ``MomentumTeacher``, whose attention maskers may ask for.
        target (dict or nn.Module, optional): A ``MomentumTeacher`` whose
            tokens the method predicts; maskers may ask it where there is no
            teacher.
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
    # Whether the loss runs inside :meth:`guided`.
    follows_guides = False
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
                 target: dict | nn.Module | None = None,
                 data_preprocessor: dict | nn.Module | None = None,
                 **kwargs):
        super().__init__(
            backbone=build_part(backbone),
            neck=None if neck is None else build_part(neck),
            head=None if head is None else build_part(head),
            data_preprocessor=for_any_channels(data_preprocessor),
            **kwargs)
        if (getattr(self.backbone, 'guide', None) is not None
                and not self.follows_guides):
            raise UserError(
                f'{type(self).__name__} tells its encoder nothing of segments;'
                ' leave out backbone.segment_bias, or use model.type='
                "'sbam_mm.MAE', 'sbam_mm.DINO' or 'sbam_mm.iBOT'.")
        self.teacher = None if teacher is None else build_part(teacher)
        if isinstance(self.teacher, MomentumTeacher):
            self.teacher.of(self.backbone)
        masker = RandomMasker() if masker is None else build_part(masker)
        # Before it is built, its answers are promised.
        self.has_target = target is not None
        check_needs(masker, self.provides, type(self).__name__, REMEDIES)
        unequal = not masker.uniform and (not self.in_place or throws(masker))
        if unequal and has_stochastic_depth(self.backbone):
            raise UserError(
                f'{type(masker).__name__} gives every image its own ratio, '
                'and stochastic depth would drop single tokens of the packed '
                'sequence; set backbone.drop_path_rate=0 (also in '
                'backbone.layer_cfgs) for pre-training.')
        self.masker = masker
        check_channels(self)
        check_parts(self)
        if (self.with_neck and not self.neck.reads_output
                and getattr(self.backbone, 'final_norm', False)):
            # DistributedDataParallel waits for what never gets a gradient.
            self.backbone.ln1.requires_grad_(False)
        self.target: Any = None
        if target is not None:
            self.target = self.momentum_target(target)
        if self.in_place:
            # Here and not in the encoder, so that a teacher has none.
            self.mask_token = nn.Parameter(
                torch.zeros(1, 1, self.backbone.embed_dims))

    def momentum_target(self, target: dict | nn.Module) -> MomentumTeacher:
        """The moving average of the encoder whose tokens are predicted."""
        target = build_part(target)
        if not isinstance(target, MomentumTeacher):
            raise UserError(
                f'{type(self).__name__} learns from a momentum copy of its '
                f'own encoder, got {type(target).__name__}; set model.target='
                "dict(type='sbam_mm.MomentumTeacher') and give a frozen "
                'teacher for the masker as model.teacher.')
        return target.of(self.backbone)

    def target_tokens(self, images: Tensor) -> Tensor:
        """Former name of ``target.tokens``."""
        warnings.warn('target_tokens is now target.tokens.',
                      DeprecationWarning, stacklevel=2)
        return self.target.tokens(images)

    def follow_student(self) -> None:
        """Let momentum copies take their step; call it first in ``loss``."""
        for follower in (self.teacher, self.target):
            if isinstance(follower, MomentumTeacher) and self.training:
                follower.follow(self.backbone)

    def guided(self, inputs: Tensor, data_samples: list | None
               ) -> AbstractContextManager[None]:
        """While it lasts, the encoder attends as its guide says, if any."""
        return guided(self.backbone, inputs, data_samples)

    def embed(self, inputs: Tensor) -> Tensor:
        """Patch tokens with positions: (B, C, H, W) -> (B, L, D)."""
        return self.backbone.embed(inputs)

    def mask(self,
             tokens: Tensor,
             inputs: Tensor,
             data_samples: list | None = None,
             **known) -> TokenMask:
        """Let the masker decide; see :meth:`context`."""
        return self.masker(
            self.context(tokens, inputs, data_samples, **known))

    def context(self,
                tokens: Tensor,
                inputs: Tensor,
                data_samples: list | None = None,
                teaching: Any = None) -> MaskingContext:
        """What the masker may look at."""
        grid = self.grid(inputs)
        progress, epoch = training_progress()
        batch = Batch(tokens, inputs, grid, data_samples, teaching)
        return MaskingContext(
            tokens,
            grid,
            images=inputs,
            progress=progress,
            epoch=epoch,
            providers={
                name: partial(provider, self, batch)
                for name, provider in self.providers().items()
            })

    def providers(self) -> dict[str, Provider]:
        """What maskers may ask for, by name; see :data:`PROVIDERS`."""
        table = dict(PROVIDERS)
        if self.teacher is not None:
            table['teacher_attention'] = ask_teacher
        elif self.has_target:
            table['teacher_attention'] = ask_target
        return table

    @property
    def provides(self) -> frozenset[str]:
        return frozenset(self.providers())

    def encode(self,
               tokens: Tensor,
               token_mask: TokenMask,
               inputs: Tensor) -> Latent:
        """What the encoder makes of the visible ones of (B, L, D).

        With :attr:`in_place`, of every patch that is not thrown, the mask
        token in the place of masked ones.
        """
        asked = {}
        if self.with_neck and self.neck.looks_at:
            asked = dict(blocks=self.neck.looks_at)
        if not self.in_place:
            return self.backbone.encode(tokens, token_mask, **asked)
        return self.backbone.encode_in_place(
            tokens, token_mask, self.mask_token, self.backbone.grid(inputs),
            **asked)

    def decode(self, latent: Latent,
               token_mask: TokenMask) -> Tensor | Latent:
        """What the decoder predicts: all patches, or all that a loss needs.

        Returns:
            Tensor or Latent: (B, L, P), or of masked patches alone, (T, P):
            where the head takes that, and the decoder predicts each on its
            own or no token is thrown.
        """
        if (self.with_head and self.head.takes_masked
                and not latent.layout.full and (
                    self.neck.independent
                    or token_mask.thrown is None and not is_exact())):
            return self.neck.predict_masked(latent, token_mask)
        return self.neck(latent, token_mask)

    def predict(self, tokens: Tensor, token_mask: TokenMask,
                inputs: Tensor) -> Tensor:
        """Every patch from the visible ones, (B, L, D) -> (B, L, P)."""
        return self.neck(self.encode(tokens, token_mask, inputs), token_mask)

    @torch.no_grad()
    def reconstruct(self,
                    inputs: Tensor,
                    token_mask: TokenMask | None = None) -> Reconstruction:
        """Hide patches and predict them, for pictures.

        ``token_mask`` says what to hide; without it the masker decides.
        """
        head = self.head if self.with_head else None
        if not getattr(head, 'predicts_pixels', False):
            raise UserError(
                f'this {type(self).__name__} predicts no pixels; train one '
                "with head=dict(type='sbam_mm.PixelHead'), or take a MAE for "
                'pictures.')
        self.grid(inputs)
        tokens = self.embed(inputs)
        if token_mask is None:
            token_mask = self.mask(tokens, inputs)
        prediction = self.predict(tokens, token_mask, inputs)
        return Reconstruction(
            self.head.to_images(prediction, inputs), token_mask)

    @property
    def evaluated_encoder(self) -> nn.Module:
        """The encoder that ``KNNHook`` and ``extract_features`` judge."""
        return self.backbone

    def grid(self, inputs: Tensor) -> tuple[int, int]:
        """Patches per column and row, which are to be those of all parts."""
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
