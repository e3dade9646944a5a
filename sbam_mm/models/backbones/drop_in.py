# Copyright (c) OpenMMLab. All rights reserved.
"""Any masker in mmpretrain's own MAE, MFF and EVA configs, by one line."""

from mmengine.logging import MessageHub
from mmpretrain.models import selfsup
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.masking import MaskingContext, RandomMasker, check_needs
from sbam_mm.models.progress import training_progress
from sbam_mm.registry import MODELS, build_part


@MODELS.register_module()
class MAEViT(selfsup.MAEViT):
    """mmpretrain's ``MAEViT`` (MAE, EVA) with any masker of equal counts.

    Args:
        masker (dict or nn.Module, optional): A masker with one ratio per
            batch. Defaults to None: random masking at ``mask_ratio``.
        mask_ratio (float): For the default masker.
        ``*args``, ``**kwargs``: Options of mmpretrain's ``MAEViT``.

    Raises:
        UserError: If the masker gives every image its own ratio.

    Example::

        _base_ = 'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-800e_in1k.py'
        model = dict(backbone=dict(
            type='sbam_mm.MAEViT',
            masker=dict(type='sbam_mm.SBAM', scope='batch')))
    """  # noqa: E501

    def __init__(self,
                 *args,
                 masker: dict | nn.Module | None = None,
                 mask_ratio: float = 0.75,
                 **kwargs):
        super().__init__(*args, mask_ratio=mask_ratio, **kwargs)
        self.masker = build_part(masker or RandomMasker(mask_ratio))
        if not self.masker.uniform:
            raise UserError(
                f'{type(self.masker).__name__} gives every image its own '
                "ratio, but mmpretrain's decoder wants equally many tokens "
                "per image; use type='sbam_mm.MAE' with backbone "
                "type='sbam_mm.MaskedViT' and neck type='sbam_mm.MAEDecoder' "
                "for per-image ratios, or set masker.scope='batch'.")
        check_needs(self.masker, frozenset({'position'}),
                    type(self).__name__)

    def random_masking(self,
                       x: Tensor,
                       mask_ratio: float = 0.75
                       ) -> tuple[Tensor, Tensor, Tensor]:
        """mmpretrain's hook for masking, answered by the masker.

        Visible tokens (B, K, D), mask (B, L) with 1 = masked, and ids_restore
        (B, L), of patch tokens with positions, (B, L, D).
        """
        progress, epoch = training_progress()
        token_mask = self.masker(
            MaskingContext(
                x,
                grid=tuple(self.patch_resolution),
                progress=progress,
                epoch=epoch,
                providers=dict(position=lambda: self.pos_embed[:, 1:])))
        if token_mask.thrown is not None:
            raise UserError(
                f'{type(self.masker).__name__} throws tokens away, which '
                "mmpretrain's decoder would predict all the same; use "
                "type='sbam_mm.MAE', or set selection.throw=0.")
        for name, value in token_mask.statistics().items():
            # mmpretrain's algorithms return nothing but the loss, so the
            # statistics reach the log lines through the message hub.
            MessageHub.get_current_instance().update_scalar(
                f'train/{name}', value)
        index = token_mask.ids_keep[..., None].expand(-1, -1, x.shape[-1])
        visible = x.gather(1, index)
        return visible, token_mask.masked.to(x.dtype), token_mask.ids_restore

    def forward(self, x: Tensor, mask: bool | None = True):
        """As mmpretrain's, but ``mask=False`` does switch masking off.

        Raises:
            UserError: If images to be masked are not of ``img_size``, to
                which mmpretrain's positions are not fitted then.
        """
        if mask and tuple(x.shape[-2:]) != tuple(self.img_size):
            raise UserError(
                f'images of {x.shape[-2]} x {x.shape[-1]} pixels came to '
                f'positions made for {self.img_size[0]} x {self.img_size[1]}; '
                'set model.backbone.img_size to the size of the images.')
        return super().forward(x, mask or None)


@MODELS.register_module()
class MFFViT(MAEViT, selfsup.MFFViT):
    """mmpretrain's ``MFFViT`` with any masker, as :class:`MAEViT`."""
