# Copyright (c) OpenMMLab. All rights reserved.
"""What a decoder is."""
from collections.abc import Sequence

from mmengine.model import BaseModule
from mmpretrain.models.utils import to_2tuple
from torch import Tensor

from sbam_mm.errors import UserError
from sbam_mm.masking import TokenMask
from sbam_mm.models.backbones.hides_patches import Latent


class Decoder(BaseModule):
    """From what the encoder makes of an image to a prediction per patch.

    A decoder has :meth:`forward`; the other methods are for more.

    Attributes:
        looks_at (Sequence[int or str]): Blocks of the encoder, from 0, whose
            output it wants in ``latent.blocks``; "input" is what enters the
            first. Defaults to none.
        reads_output (bool): Whether it looks at what the encoder returns;
            else a model freezes the encoder's final norm, which has no part
            in its training. Defaults to True.
        arranges (bool): Whether it has :meth:`arrange`, so that a second
            decoder can share its entrance. Defaults to False.
        independent (bool): Whether the prediction of a patch depends on the
            visible tokens alone, whatever else is predicted; the encoder has
            to drop masked ones. Defaults to False.
        prediction (float): Share of an image's masked patches that
            :meth:`predict_masked` predicts in training, in (0, 1].
            Defaults to 1.
    """
    looks_at: Sequence[int | str] = ()
    reads_output: bool = True
    arranges: bool = False
    independent: bool = False
    prediction: float = 1.

    def forward(self, latent: Latent, token_mask: TokenMask) -> Tensor:
        """Predict every patch.

        Args:
            latent (Latent): From the encoder.
            token_mask (TokenMask): The mask it was encoded with; thrown
                tokens take no part in the decoder either.

        Returns:
            Tensor: (B, L, P). The prediction of a thrown token means
            nothing.
        """
        raise NotImplementedError

    def predict_masked(self, latent: Latent, token_mask: TokenMask) -> Latent:
        """Predict masked patches only, as many as a loss on them needs.

        Args:
            latent (Latent): From the encoder.
            token_mask (TokenMask): The mask it was encoded with.

        Returns:
            Latent: (T, P), what :meth:`forward` gives at masked patches, and
            where they stand in (B, L).
        """
        layout = latent.layout.beside(token_mask.masked)
        return Latent(layout.pack(self(latent, token_mask)), layout)

    def arrange(self, latent: Latent) -> Tensor:
        """What enters the blocks: all tokens in their places.

        Args:
            latent (Latent): From the encoder.

        Returns:
            Tensor: (B, E + L, D), the class token first where there is one
            (E = 1), with positions; the mask token stands where a patch was
            not encoded.
        """
        raise UserError(
            f'{type(self).__name__} has no entrance that another decoder '
            "could share; set neck.type='sbam_mm.MAEDecoder'.")


def patch_grid(img_size: int | tuple[int, int], patch_size: int, width: int,
               heads: int) -> tuple[int, int]:
    """The patches that a decoder predicts, per column and per row.

    Raises:
        UserError: If the image is not tiled by patches, or heads do not
            divide the decoder's width.
    """
    rows, columns = to_2tuple(img_size)
    if rows % patch_size or columns % patch_size:
        raise UserError(
            f'patches of {patch_size} pixels do not tile an image of '
            f'{rows} x {columns}; give decoder and backbone the same '
            'img_size and patch_size.')
    if width % heads:
        raise UserError(
            f'{heads} decoder heads do not divide the width {width}; change '
            'decoder_num_heads.')
    return rows // patch_size, columns // patch_size
