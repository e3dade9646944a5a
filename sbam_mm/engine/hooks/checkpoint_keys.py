# Copyright (c) OpenMMLab. All rights reserved.
"""A checkpoint that does not fit stops the run."""
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from sbam_mm.models.checkpoint import check_keys, state_dict_of
from sbam_mm.registry import HOOKS


@HOOKS.register_module()
class CheckpointKeysHook(Hook):
    """Refuse checkpoints whose keys do not match the model.

    mmengine loads with ``strict=False``: a file of another model is
    "loaded" without a word and the run goes on from random weights. This
    hook looks at the keys before they are loaded.

    Args:
        min_share (float): Share of the model's keys that a checkpoint given
            as ``load_from`` must have, in (0, 1]. Defaults to 0.5. A resumed
            run wants all of them.

    Raises:
        ValueError: When a checkpoint does not fit, with both lists of keys.

    Example::

        custom_hooks = [dict(type='sbam_mm.CheckpointKeysHook')]
    """

    # Before EMAHook, which moves keys of the checkpoint.
    priority = 'VERY_HIGH'

    def __init__(self, min_share: float = 0.5):
        if not 0 < min_share <= 1:
            raise ValueError('min_share is a share of the keys in (0, 1], got '
                             f'{min_share}; 0.5 accepts an encoder alone.')
        self.min_share = min_share

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check before mmengine loads.

        Args:
            runner (Runner): Has the model.
            checkpoint (dict): As read from the file.
        """
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        resumed = getattr(runner, '_resume', False)
        # None when the last checkpoint of work_dir is taken.
        path = getattr(runner, '_load_from', None)
        name = f'the checkpoint {path}' if path else 'the last checkpoint'
        report = check_keys(model, state_dict_of(checkpoint, name),
                            1. if resumed else self.min_share, name)
        runner.logger.info(f'Checkpoint: {report}.')
