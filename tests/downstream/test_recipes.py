# Copyright (c) OpenMMLab. All rights reserved.
"""Every recipe trains and evaluates, from files in the data set's layout."""
import math
from pathlib import Path

import dense_configs
import pytest
from miniatures import mini_ade20k, mini_coco, mini_lvis
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from sbam_mm.downstream import load_encoder

CONFIGS = Path(__file__).parents[2] / 'configs'
NAMES = [
    path.relative_to(CONFIGS).as_posix() for folder in ('mmseg', 'mmdet')
    for path in sorted((CONFIGS / folder).glob('*.py'))
]
PIXELS = dict(mmseg=512, mmdet=1024)
pytestmark = pytest.mark.integration


def mini_data(name, folder):
    """The recipe's data set, and the metric that judges it."""
    if 'ade20k' in name:
        return mini_ade20k(folder), 'mIoU'
    from mmdet.datasets import CocoDataset, LVISV1Dataset
    if 'lvis' in name:
        pytest.importorskip(
            'lvis.boundary_utils', reason='the package lvis is not '
            'installed (docs/transfer.md says how)', exc_type=ImportError)
        return (mini_lvis(folder, LVISV1Dataset.METAINFO['classes']),
                'lvis/segm_AP')
    return (mini_coco(folder, CocoDataset.METAINFO['classes']),
            'coco/segm_mAP')


def shrink_pipeline(dataset, factor):
    """The recipe's transforms, with fewer pixels."""
    for step in dataset.get('dataset', dataset).pipeline:
        for key in ('scale', 'crop_size', 'size'):
            if key in step:
                step[key] = tuple(pixels // factor for pixels in step[key])


def tiny(cfg, encoder):
    """The recipe with a small model and small images, for two batches."""
    scope = cfg.default_scope
    if scope == 'mmseg':
        dense_configs.shrink_segmentor(cfg.model, encoder)
    else:
        dense_configs.shrink_detector(cfg.model, encoder)
        # Without training no score is high: everything is a detection.
        cfg.model.test_cfg.rcnn.update(score_thr=0., max_per_img=5)
        cfg.model.test_cfg.rpn.max_per_img = 20
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        shrink_pipeline(loader.dataset, PIXELS[scope] // dense_configs.SIDE)
    cfg.train_dataloader.batch_size = 2
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    return cfg


@pytest.fixture(autouse=True)
def unformatted(monkeypatch):
    """Layout of the logged config takes four times as long as the rest."""
    monkeypatch.setattr('yapf.yapflib.yapf_api.FormatCode',
                        lambda text, **_: (text, True))


@pytest.mark.parametrize('name', NAMES)
def test_trains_and_evaluates(name, tmp_path, monkeypatch):
    dense_configs.require(name.split('/')[0])
    root, metric = mini_data(name, tmp_path / 'data')
    monkeypatch.setenv('DATA_ROOT', str(root))
    cfg = Config.fromfile(CONFIGS / name)
    encoder = dense_configs.encoder_file(tmp_path)
    dense_configs.on_one_process(tiny(cfg, encoder), tmp_path)
    cfg.experiment_name = name
    init_default_scope(cfg.default_scope)
    runner = Runner.from_cfg(cfg)
    assert len(runner.train_dataloader.dataset) >= 2
    runner.train()
    loss = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(loss) == 2 and all(map(math.isfinite, loss))
    assert 0 <= runner.message_hub.get_scalar(f'val/{metric}').current()
    # The encoder's weights were the start, and moved.
    backbone = runner.model.backbone
    trained = backbone.patch_embed.projection.weight.clone()
    load_encoder(backbone, encoder, backbone.begins_anew)
    start = backbone.patch_embed.projection.weight
    assert 0 < (trained - start).abs().max() < 1e-3
