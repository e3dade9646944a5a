# Copyright (c) OpenMMLab. All rights reserved.
"""CLIP's image encoder as a teacher: what it attends to, and its features."""
from typing import NamedTuple

import torch
from mmpretrain.models.utils.clip_generator_helper import VisionTransformer
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.registry import MODELS

from ..checkpoint import read_checkpoint, state_dict_of
from ..checkpoint_formats import listing

PREFIX = 'visual.'


class Look(NamedTuple):
    """What CLIP makes of images.

    Features are in the space that text shares, class token first; attention
    is the last block's class token's, the mean of its heads.
    """
    features: Tensor  # (B, 1 + L, D)
    attention: Tensor  # float32 (B, L)


@MODELS.register_module()
class CLIPTeacher(nn.Module):
    """CLIP's ViT, frozen; mmpretrain's module with OpenAI's weights.

    It sees the student's images, normalised with ImageNet's mean and
    deviation as mmpretrain's MILAN has it, not with CLIP's.

    Source: Radford et al., *Learning Transferable Visual Models From Natural
    Language Supervision*, ICML 2021; as MILAN's target, Hou et al., 2022.

    Args:
        checkpoint (str): Weights with OpenAI's names: mmpretrain's
            ``clip_vit_base_16.pth.tar``, named in its MILAN config, or any
            state dict of theirs. The text encoder is not used.
    """

    def __init__(self, checkpoint: str):
        super().__init__()
        state = visual_weights(checkpoint)
        width, _, patch, _ = state['conv1.weight'].shape
        self.grid = round((len(state['positional_embedding']) - 1)**0.5)
        self.patch_size = patch
        self.visual = VisionTransformer(
            input_resolution=patch * self.grid,
            patch_size=patch,
            width=width,
            layers=len({key.split('.')[2] for key in state
                        if key.startswith('transformer.resblocks.')}),
            heads=width // 64,
            output_dim=state['proj'].shape[1])
        lacking = sorted(set(self.visual.state_dict()) - set(state))
        if lacking:
            raise UserError(
                f'{checkpoint} lacks {len(lacking)} weights of CLIP\'s image '
                f'encoder ({listing(lacking)}); give a whole one.')
        self.visual.load_state_dict(state)
        self.requires_grad_(False)
        self.train(False)

    @property
    def width(self) -> int:
        """Of the features."""
        return int(self.visual.output_dim)

    def init_weights(self) -> None:
        """Keeps what was loaded."""

    def train(self, mode: bool = True) -> 'CLIPTeacher':
        return super().train(False)

    @torch.no_grad()
    def look(self, images: Tensor) -> Look:
        """One pass over whole images, (B, 3, H, W)."""
        side = self.patch_size * self.grid
        if tuple(images.shape[-2:]) != (side, side):
            raise UserError(
                f'CLIP has positions for images of {side} pixels, these are '
                f'{images.shape[-2]} x {images.shape[-1]}; train with '
                f'{side}, or give another checkpoint.')
        features, attention = self.visual(images)
        return Look(features, attention[:, 0, 1:].float())

    def attention(self,
                  images: Tensor,
                  grid: tuple[int, int],
                  block: int = -1,
                  queries: str = 'cls',
                  softmax: bool = True,
                  own_query: bool = True) -> Tensor:
        """What the class token attends to in the last block, (B, 1, L)."""
        check_question(block, queries, softmax)
        return self.look(images).attention[:, None]


def check_question(block: int, queries: str, softmax: bool) -> None:
    """Stop unless CLIP's class token is asked, in its last block."""
    if block != -1 or queries != 'cls' or not softmax:
        raise UserError(
            "CLIPTeacher knows its class token's attention in the last block "
            "alone; use masker=dict(type='sbam_mm.MILANMasker'), or a "
            'FrozenTeacher.')


def visual_weights(checkpoint: str) -> dict[str, Tensor]:
    """Weights of the image encoder, without their prefix, float32."""
    state = state_dict_of(read_checkpoint(checkpoint),
                          f'the checkpoint {checkpoint}')
    found = {key[len(PREFIX):]: value.float()
             for key, value in state.items() if key.startswith(PREFIX)}
    if not {'proj', 'conv1.weight', 'positional_embedding'} <= found.keys():
        raise UserError(
            f'{checkpoint} holds no CLIP with a ViT; give mmpretrain\'s '
            'clip_vit_base_16.pth.tar, named in its MILAN config.')
    return found
