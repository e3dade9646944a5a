# Copyright (c) OpenMMLab. All rights reserved.
"""Contrast of two views of an image with those of all others."""
import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank
from mmengine.model import BaseModule
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.registry import MODELS, build_part


@MODELS.register_module()
class InfoNCEHead(BaseModule):
    """Tell an image's own target from those of the global batch.

    ``2 tau CE(cos(q_i, t_j) / tau)``, the target of the same image being the
    right answer i = j. One direction only. The targets of all processes are
    gathered; every process must have equally many images. The mean over the
    processes, which is what DDP makes of the gradients, is the loss of one
    process with the global batch.

    Source: Huang et al., *Contrastive Masked Autoencoders are Stronger
    Vision Learners*, 2022, Eq. 5; the factor 2 tau is the official code's.

    Args:
        predictor (dict or nn.Module): mmpretrain's ``NonLinearNeck``, which
            turns an online projection into a query.
        temperature (float): tau.
    """

    def __init__(self,
                 predictor: dict | nn.Module,
                 temperature: float = 0.07):
        super().__init__()
        if temperature <= 0:
            raise UserError(f'temperature divides similarities and must be '
                            f'positive, got {temperature}; CMAE uses 0.07.')
        self.predictor = build_part(predictor)
        self.temperature = temperature

    def loss(self, projection: Tensor, target: Tensor) -> Tensor:
        """Contrast two views, (B, D) each; ``target`` gets no gradient."""
        query = F.normalize(self.predictor((projection, ))[0].float(), dim=1)
        keys = F.normalize(target.detach().float(), dim=1)
        with torch.autocast(query.device.type, enabled=False):
            similarity = query @ torch.cat(all_gather(keys)).t()
        own = torch.arange(len(query), device=query.device)
        own = own + get_rank() * len(query)
        return 2 * self.temperature * F.cross_entropy(
            similarity / self.temperature, own)
