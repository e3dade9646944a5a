# Copyright (c) OpenMMLab. All rights reserved.
"""MILAN: masks by CLIP's attention, and CLIP's features as the target.

Source: Hou et al., *MILAN: Masked Image Pretraining on Language Assisted
Representation*, 2022.
"""
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from sbam_mm.errors import UserError
from sbam_mm.masking import MILANMasker
from sbam_mm.models.necks.prompt_decoder import PromptDecoder
from sbam_mm.models.providers import Batch, Provider
from sbam_mm.models.teachers.clip_teacher import CLIPTeacher, check_question
from sbam_mm.registry import MODELS

from .base import MaskedImageModel, throws


@MODELS.register_module()
class MILAN(MaskedImageModel):
    """MILAN with any masker.

    The loss is the squared distance of normalised features, 2 - 2 cos, over
    all tokens, the class token and the visible ones included, as mmpretrain
    has it. Masker and target share CLIP's one pass.

    Args:
        backbone (dict): ``MaskedViT`` with CLIP's patch size.
        masker (dict, optional): One that asks for the last block's class
            token, or nobody. Defaults to None: ``MILANMasker``.
        neck (dict): ``PromptDecoder``.
        teacher (dict): ``CLIPTeacher``.
        **kwargs: Options of :class:`MaskedImageModel`; there is no head.
    """

    follows_guides = True

    def __init__(self,
                 backbone: dict | nn.Module,
                 masker: dict | nn.Module | None = None,
                 neck: dict | nn.Module | None = None,
                 teacher: dict | nn.Module | None = None,
                 **kwargs):
        super().__init__(
            backbone, masker or MILANMasker(), neck, teacher=teacher, **kwargs)
        if not isinstance(self.teacher, CLIPTeacher):
            raise UserError(
                'MILAN predicts the features of CLIP; set model.teacher='
                "dict(type='sbam_mm.CLIPTeacher', checkpoint=...).")
        if not isinstance(self.neck, PromptDecoder):
            raise UserError("MILAN decodes with prompts; set neck.type="
                            "'sbam_mm.PromptDecoder'.")
        made = self.neck.decoder_pred.out_features
        if made != self.teacher.width:
            raise UserError(
                f'neck.feature_dim={made} is not the width of CLIP\'s '
                f'features; set neck.feature_dim={self.teacher.width}.')
        if throws(self.masker):
            raise UserError(
                f'{type(self.masker).__name__} throws tokens away, and MILAN '
                'predicts all; set throw=0, or choose another masker.')

    def loss(self,
             inputs: Tensor,
             data_samples: list | None = None) -> dict[str, Tensor]:
        assert isinstance(self.teacher, CLIPTeacher)
        with self.guided(inputs, data_samples):
            tokens = self.embed(inputs)
            look = self.teacher.look(inputs)
            token_mask = self.mask(tokens, inputs, data_samples, teaching=look)
            latent = self.encode(tokens, token_mask, inputs)
            prediction = self.neck(latent, token_mask)
        cosine = cosine_similarity(prediction.float(), look.features.float(),
                                   dim=-1)
        return dict(loss=(2 - 2 * cosine).mean(), **token_mask.statistics())

    def providers(self) -> dict[str, Provider]:
        """CLIP's attention comes from the pass that is made anyway."""
        return {**super().providers(), 'teacher_attention': ask_clip}


def ask_clip(model: Any, batch: Batch, *question) -> Tensor:
    """Attention of CLIP's class token, (B, 1, L)."""
    check_question(*question[:3])
    look = batch.teaching or model.teacher.look(batch.images)
    return look.attention[:, None]
