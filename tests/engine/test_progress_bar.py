# Copyright (c) OpenMMLab. All rights reserved.
"""What a person sees of a training."""
import io
from functools import partial

import pytest
from mmengine.config import Config
from mmengine.logging import MessageHub
from rich.console import Console
from small_runs import small_config, train, write_images

from sbam_mm.engine.hooks import progress_bar

pytestmark = pytest.mark.integration


@pytest.mark.parametrize('terminal', [True, False])
@pytest.mark.parametrize('pause', [0., 60.])
def test_steps_and_loss(terminal, pause, tmp_path, monkeypatch):
    """The loss, for which a device is waited for, is read now and then."""
    out, reads = io.StringIO(), []
    monkeypatch.setattr(progress_bar, 'Console', partial(
        Console, file=out, force_terminal=terminal, width=100))
    monkeypatch.setattr(progress_bar, 'REFRESH', pause)
    read = MessageHub.get_scalar

    def counted(hub, key):
        reads.append(key)
        return read(hub, key)

    monkeypatch.setattr(MessageHub, 'get_scalar', counted)
    path = small_config(
        tmp_path / 'config.py', write_images(tmp_path / 'images'),
        default_hooks__logger=None)
    cfg = Config.fromfile(path)
    cfg.train_cfg.max_epochs = 1
    cfg.custom_hooks = [
        dict(type='sbam_mm.ProgressBarHook', title='Bar', every=pause)]
    cfg.dump(path)
    assert train(path, tmp_path / 'run').code == 0
    assert reads.count('train/loss') == (4 if pause == 0 else 0)
    assert ('Bar' in out.getvalue()) == (terminal or pause == 0)
    assert ('4/4' in out.getvalue()) == (terminal or pause == 0)
