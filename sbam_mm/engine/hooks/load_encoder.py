# Copyright (c) OpenMMLab. All rights reserved.
"""A pre-trained encoder for fine-tuning, loaded completely or not at all."""
import re
from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner

from sbam_mm.engine.fsdp import unwrapped
from sbam_mm.models.pretrained_encoder import load_encoder
from sbam_mm.registry import HOOKS


@HOOKS.register_module()
class LoadEncoderHook(Hook):
    """Load every parameter of ``model.backbone`` before training starts.

    mmengine's ``init_cfg=dict(type='Pretrained')`` loads what fits and says
    nothing about the rest, so a wrong file fine-tunes random weights. Here
    any parameter without weights in the file stops the run. Files are ours,
    mmpretrain's, or official ones of MAE, DINO, iBOT, timm and Hugging Face.
    A resumed run has its own weights and is left alone.

    Args:
        branch (str): "teacher" or "student", where a file has both.
        new (Sequence[str]): Beginnings of the backbone's keys that start
            afresh. Defaults to ("ln2.", ), the norm after average pooling.

    Raises:
        UserError: At the start of the training, if anything is missing.
    """

    def __init__(self,
                 checkpoint: str,
                 branch: str = 'teacher',
                 new: Sequence[str] = ('ln2.', )):
        self.checkpoint = checkpoint
        self.branch = branch
        self.new = tuple(new)

    def before_train(self, runner: Runner) -> None:
        if runner.iter > 0:
            return
        report = load_encoder(
            unwrapped(runner.model).backbone, self.checkpoint,
            [f'^{re.escape(beginning)}' for beginning in self.new],
            self.branch)
        runner.logger.info(
            f'Encoder from {self.checkpoint}: {len(report.matched)} '
            f'parameters loaded, new: {", ".join(report.missing) or "none"}.')
