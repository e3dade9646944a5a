# Copyright (c) OpenMMLab. All rights reserved.
"""DINO: crops -> teacher and student -> class tokens agree across views.

Source: Caron et al., *Emerging Properties in Self-Supervised Vision
Transformers*, ICCV 2021.
"""

from torch import Tensor, nn

from sbam_mm.masking import RandomMasker
from sbam_mm.registry import MODELS

from .self_distillation import SelfDistillation


@MODELS.register_module()
class DINO(SelfDistillation):
    """Self-distillation with no labels, and with any masker.

    As published nothing is masked. A masker *drops* patches of the student's
    global crops, as MAE's encoder does: the visible ones alone have to give
    the class token that the teacher makes of another, whole view. The loss
    stays DINO's, for there is no mask token to predict anything; to replace
    patches instead and to predict them is iBOT.

    Args:
        masker (dict, optional): Defaults to None: nothing is masked.
        **kwargs: Of :class:`SelfDistillation`.
    """

    def __init__(self,
                 backbone: dict | nn.Module,
                 head: dict | nn.Module,
                 masker: dict | nn.Module | None = None,
                 **kwargs):
        super().__init__(backbone, head, masker or RandomMasker(ratio=0.),
                         **kwargs)

    def loss(self,
             inputs: list[Tensor],
             data_samples: list | None = None) -> dict[str, Tensor]:
        """``loss_cls``, and the entropies of :func:`target_entropy`."""
        self.follow_student()
        views, local = self.split(inputs)
        teaching = self.teach(views, data_samples)
        latent, token_mask = self.study(views, teaching, data_samples)
        return dict(
            **self.learn_cls(latent, local, teaching, data_samples),
            **token_mask.statistics())
