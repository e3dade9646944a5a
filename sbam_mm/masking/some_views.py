# Copyright (c) OpenMMLab. All rights reserved.
"""Masks on some images only: for methods that also learn from whole ones."""
import torch
from torch import Tensor, nn

from .maskers import Masker
from .parts import AsksContext, build_part
from .salience import NoSalience
from .selection import check_probability, images_to_mask
from .shapes import BlockSelection
from .types import MaskingContext, TokenMask
from .varied_ratio import RandomRatio


class MaskSomeViews(AsksContext):
    """Any masker, but every image is left whole with some probability.

    Source: iBOT (Zhou et al., ICLR 2022) and AttMask (Kakogeorgiou et al.,
    ECCV 2022), in which a view without mask trains the class token only: the
    representation meets images as it will see them later.

    Args:
        masker (dict or nn.Module): Masks the other images.
        probability (float): Of an image (of iBOT: every global view) to be
            masked, in (0, 1].

    Example:
        >>> masker = MaskSomeViews(dict(type='sbam_mm.SBAM', ratio=0.3))
        >>> context = MaskingContext(torch.randn(2, 16, 8), grid=(4, 4))
        >>> mask = masker(context, image_draws=torch.tensor([0.2, 0.7]))
        >>> mask.masked.any(dim=1).tolist()
        [True, False]
    """

    def __init__(self, masker: dict | nn.Module, probability: float = 0.5):
        super().__init__()
        check_probability(probability)
        self.masker = build_part(masker)
        self.probability = probability

    @property
    def needs(self) -> frozenset[str]:
        return self.masker.needs

    @property
    def uniform(self) -> bool:
        return self.probability == 1 and self.masker.uniform

    @property
    def selection(self) -> nn.Module:
        """The inner masker's: what a model asks whether tokens are thrown."""
        return self.masker.selection

    @torch.no_grad()
    def forward(self,
                context: MaskingContext,
                noise: Tensor | None = None,
                image_draws: Tensor | None = None) -> TokenMask:
        """Mask a batch; whole images have the ratio 0.

        Args:
            noise (Tensor, optional): For the inner masker.
            image_draws (Tensor, optional): Draws from U[0, 1), (B,); images
                above ``probability`` are left whole.
        """
        mask: TokenMask = self.masker(context, noise)
        if self.probability == 1:
            return mask
        chosen = images_to_mask(self.probability, context.batch_size,
                                mask.masked.device, image_draws)
        rows = chosen[:, None]
        return TokenMask(
            mask.masked & rows,
            None if mask.thrown is None else mask.thrown & rows,
            None if mask.ratio is None else mask.ratio * chosen,
            mask.scores,
            mask.salient,
            targets=None if mask.targets is None else
            mask.targets & rows[:, None])


class IBOTMasker(MaskSomeViews):
    """iBOT's own masking: rectangles, on half of the views.

    A masked view draws its ratio, then rectangles until ten in a row do not
    fit any more, so it may end below that ratio (about one mask in ten ends
    more than a token short).

    Source: Zhou et al., *iBOT: Image BERT Pre-Training with Online
    Tokenizer*, ICLR 2022, appendix; the official options ``pred_ratio 0 0.3,
    pred_ratio_var 0 0.2, pred_shape block``. There the wanted number of
    tokens is a real number, here it is rounded down; the search is bit-equal
    for the same target and draws.

    Args:
        ratio (tuple[float, float]): Bounds of the ratio.
        probability (float): Of a view to be masked.
    """

    def __init__(self,
                 ratio: tuple[float, float] = (0.1, 0.5),
                 probability: float = 0.5):
        super().__init__(
            Masker(NoSalience(), RandomRatio(*ratio, rounding='ceil'),
                   BlockSelection(min_area=None, complete=False)),
            probability)
