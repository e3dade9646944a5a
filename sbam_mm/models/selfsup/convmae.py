# Copyright (c) OpenMMLab. All rights reserved.
"""ConvMAE: mask -> masked convolutions -> visible tokens -> decode -> loss.

Source: Gao et al., *MCMAE: Masked Convolution Meets Masked Autoencoders*,
NeurIPS 2022.
"""
import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.layers import evaluation_mode
from sbam_mm.masking import (
    AttentionSalience,
    NoSalience,
    PredictedLoss,
    StoredSalience,
    TokenMask,
)
from sbam_mm.models.backbones import Latent
from sbam_mm.models.providers import Batch, Provider
from sbam_mm.models.teachers import MomentumTeacher
from sbam_mm.registry import MODELS

from .mae import MAE

# These ask the model or nobody; any other salience looks at the tokens.
WITHOUT_TOKENS = (NoSalience, AttentionSalience, StoredSalience, PredictedLoss)


def looks_at_tokens(masker: nn.Module) -> bool:
    """Whether a masker's scores come from ``context.tokens``."""
    salience = getattr(masker, 'salience', None)
    # After a block (layer > 0) it asks for 'layer_tokens' instead.
    return not isinstance(salience, WITHOUT_TOKENS) and not getattr(
        salience, 'layer', 0)


@MODELS.register_module()
class ConvMAE(MAE):
    """Masked autoencoder with a convolutional start, with any masker.

    **Where the mask is.** Maskers decide on the last grid (14 x 14 for 224
    pixels); the encoder spreads their mask over the finer stages.

    **What SBAM looks at.** MAE's tokens are there before anything is hidden;
    here they come after two stages of convolutions that must not see what
    will be hidden. The papers leave this open. With
    ``backbone.look_at='stage3'`` the salience comes from the tokens that enter
    the transformer when nothing is hidden, positions included: the counterpart
    of MAE's, at the price of one pass without gradient through the convolution
    stages. With "stage1" it comes from the first strided convolution's output
    averaged over each patch, without positions: next to free, and each score
    knows its own patch alone. Maskers without token salience never pay for
    the pass.

    Attention that maskers ask for is the transformer's on whole images; it
    has no class token, so ``AttentionSalience`` wants ``queries='all'``.

    Args:
        backbone (dict): ``ConvViT``.
        neck (dict): ``MAEDecoder``.
        head (dict): ``PixelHead``.
        **kwargs: Options of :class:`MaskedImageModel`.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for part in self.masker.modules():
            if (isinstance(part, AttentionSalience) and part.queries == 'cls'
                    and (part.source == 'self'
                         or isinstance(self.teacher, MomentumTeacher))):
                raise UserError(
                    f'{type(self.masker).__name__} asks for the attention of '
                    'the class token, which ConvMAE does not have; give it '
                    "an AttentionSalience with queries='all', or a "
                    'FrozenTeacher with a ViT as model.teacher.')

    def embed(self, inputs: Tensor) -> Tensor:
        """What the masker looks at: (B, C, H, W) -> (B, L, D)."""
        if looks_at_tokens(self.masker):
            return self.backbone.embed(inputs)
        return self.backbone.patch_average(inputs)

    def encode(self, tokens: Tensor, token_mask: TokenMask,
               inputs: Tensor) -> Latent:
        """The encoder hides patches of the images themselves."""
        return self.backbone.encode(inputs, token_mask)

    def providers(self) -> dict[str, Provider]:
        """As for every method, of what enters the transformer."""
        table = {
            **super().providers(),
            'attention': own_attention,
            'layer_tokens': layer_tokens,
            'position': position,
        }
        if isinstance(self.teacher, MomentumTeacher):
            table['teacher_attention'] = momentum_attention
        return table

    @torch.no_grad()
    def entering(self, images: Tensor) -> Tensor:
        """What enters the transformer when nothing is hidden, (B, L, D)."""
        with evaluation_mode(self.backbone):
            return self.backbone.tokens(images)


def own_attention(model: ConvMAE, batch: Batch, *question) -> Tensor:
    return model.backbone.attention(model.entering(batch.images), *question)


@torch.no_grad()
def momentum_attention(model: ConvMAE, batch: Batch, *question) -> Tensor:
    """The same in the moving average of the encoder."""
    assert model.teacher is not None
    vit = model.teacher.vit
    return vit.attention(vit.tokens(batch.images), *question)


def layer_tokens(model: ConvMAE, batch: Batch, layer: int) -> Tensor:
    return model.backbone.layer_tokens(model.entering(batch.images), layer)


def position(model: ConvMAE, batch: Batch) -> Tensor:
    """The positions that are in what the masker looks at."""
    if model.backbone.look_at == 'stage1':
        return torch.zeros_like(batch.tokens)
    return model.backbone.position(batch.grid)
