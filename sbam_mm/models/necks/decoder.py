# Copyright (c) OpenMMLab. All rights reserved.
"""What a decoder is."""
from abc import abstractmethod
from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor

from sbam_mm.errors import UserError
from sbam_mm.layers import PackedLayout
from sbam_mm.masking import TokenMask
from sbam_mm.models.backbones.masked_encoder import Latent, check_tiles


class Decoder(BaseModule):
    """From what the encoder makes of an image to a prediction per patch.

    A decoder has :meth:`forward`; the other methods are for more.

    Attributes:
        looks_at (Sequence[int or str]): Blocks of the encoder, from 0, whose
            output it wants in ``latent.blocks``; "input" is what enters the
            first.
        reads_output (bool): Whether it looks at what the encoder returns;
            else a model freezes the encoder's final norm, which has no part
            in its training.
        arranges (bool): Whether it has :meth:`arrange`, so that a second
            decoder can share its entrance.
        independent (bool): Whether the prediction of a patch depends on the
            visible tokens alone, whatever else is predicted; the encoder has
            to drop masked ones.
        prediction (float): Share of an image's masked patches that
            :meth:`predict_masked` predicts in training, in (0, 1].
    """
    looks_at: Sequence[int | str] = ()
    reads_output: bool = True
    arranges: bool = False
    independent: bool = False
    prediction: float = 1.

    @abstractmethod
    def forward(self, latent: Latent, token_mask: TokenMask) -> Tensor:
        """Predict every patch: (B, L, P).

        Thrown tokens take no part; their prediction means nothing.
        """

    def predict_masked(self, latent: Latent, token_mask: TokenMask) -> Latent:
        """Predict masked patches only, as many as a loss on them needs.

        Returns:
            Latent: (T, P), what :meth:`forward` gives at masked patches, and
            where they stand in (B, L).
        """
        layout = masked_layout(latent, token_mask)
        return Latent(layout.pack(self(latent, token_mask)), layout)

    def arrange(self, latent: Latent) -> Tensor:
        """What enters the blocks: all tokens in their places, with positions.

        Returns:
            Tensor: (B, E + L, D), the class token first where there is one
            (E = 1); the mask token stands where a patch was not encoded.
        """
        raise UserError(
            f'{type(self).__name__} has no entrance that another decoder '
            "could share; set neck.type='sbam_mm.MAEDecoder'.")


def masked_layout(latent: Latent, token_mask: TokenMask) -> PackedLayout:
    """Where the masked patches stand, of an encoder that drops them.

    The device is asked how many they are only where tokens are thrown, too.
    """
    if token_mask.thrown is None:
        return latent.layout.rest(token_mask.masked)
    return latent.layout.beside(token_mask.masked)


def patch_grid(img_size: int | tuple[int, int], patch_size: int, width: int,
               heads: int) -> tuple[int, int]:
    """Patches per column and per row of a decoder of this width."""
    grid = check_tiles(
        img_size, patch_size,
        'give decoder and backbone the same img_size and patch_size')
    if width % heads:
        raise UserError(
            f'{heads} decoder heads do not divide the width {width}; change '
            'decoder_num_heads.')
    return grid
