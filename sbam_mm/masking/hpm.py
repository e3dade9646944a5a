# Copyright (c) OpenMMLab. All rights reserved.
"""HPM's masker: hide the patches that are predicted to be hard."""
from .maskers import Masker
from .ratio import FixedRatio
from .salience import PredictedLoss
from .schedule import EasyToHard


class HPMMasker(Masker):
    """Random masks that turn into masks of the hardest patches.

    Source: Wang et al., *Hard Patches Mining for Masked Image Modeling*,
    CVPR 2023. The model ``sbam_mm.HPM`` predicts the losses.

    Args:
        start, end (float): Share of the masked patches chosen by their
            predicted loss at progress 0 and 1.
    """

    def __init__(self,
                 ratio: float = 0.75,
                 start: float = 0.,
                 end: float = 0.5,
                 rounding: str = 'floor'):
        super().__init__(PredictedLoss(), FixedRatio(ratio, rounding),
                         EasyToHard(start, end))
