# Copyright (c) OpenMMLab. All rights reserved.
"""Masks are measured over a training, which goes on as without it."""
import json

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from small_runs import small_config, train
from started_tools import call_tool

from sbam_mm.config_files import read_config
from sbam_mm.engine.replace_masker import replace_masker
from sbam_mm.engine.run_log import read_scalars, series
from sbam_mm.evaluation import MaskMetricsHook
from sbam_mm.masking import CentreSalience, MaskingContext
from sbam_mm.masking.named_maskers import masker_config
from sbam_mm.models import FrozenTeacher
from sbam_mm.registry import DATASETS, MODELS

pytestmark = pytest.mark.integration


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """A bright object in the middle of 32 x 32 pixels, and where it is."""
    folder = tmp_path_factory.mktemp('objects')
    cells = np.zeros((8, 8), bool)
    cells[2:6, 3:6] = True
    rng = np.random.default_rng(0)
    names = []
    for half, count in (('train', 6), ('test', 4)):
        for kind in ('cat', 'dog'):
            for index in range(count):
                pixels = rng.integers(0, 90, (32, 32, 3), dtype=np.uint8)
                pixels[cells.repeat(4, 0).repeat(4, 1)] += 150
                names.append(f'{half}/{kind}/{index}')
                path = folder / f'images/{names[-1]}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    np.savez(
        folder / 'masks.npz', names=np.array(names), shape=(8, 8),
        masks=np.packbits(np.stack([cells.ravel()] * len(names)), axis=1))
    return folder


def run(images, place, hooks, masker=None):
    """Log and weights of two epochs."""
    place.mkdir(exist_ok=True)
    path = small_config(place / 'config.py', images / 'images',
                        train_cfg__max_epochs=2)
    cfg = read_config(path)
    if masker:
        cfg.model.masker = masker
    cfg.custom_hooks = [
        hook for hook in cfg.custom_hooks if hook.type != 'sbam_mm.KNNHook'
    ] + hooks
    cfg.dump(path)
    assert train(path, place / 'work').code == 0
    state = torch.load(place / 'work/epoch_2.pth', weights_only=False)
    return read_scalars(place / 'work'), state['state_dict']


def hook(images, **options):
    return dict(
        type='sbam_mm.MaskMetricsHook',
        images=dict(
            type='sbam_mm.ImageFolder', data_root=str(images / 'images'),
            data_prefix='test',
            pipeline=[dict(type='Resize', scale=(32, 32)),
                      dict(type='PackInputs')]),
        annotations=str(images / 'masks.npz'),
        maskers=dict(centre=masker_config('centre')), **options)


def test_logs_every_epoch_and_changes_nothing(images, tmp_path):
    sbam = dict(type='sbam_mm.SBAM')
    plain, weights = run(images, tmp_path / 'plain', [], sbam)
    seen, watched = run(images, tmp_path / 'watched',
                        [hook(images, at_start=True)], sbam)
    assert all(torch.equal(weights[key], watched[key]) for key in weights)
    assert series(plain, 'loss') == series(seen, 'loss')
    for key in ('object_hidden', 'background_hidden', 'boundary_hidden',
                'auroc', 'centre/object_hidden', 'centre/auroc'):
        epochs, values = series(seen, key, 'epoch')
        assert epochs == [0, 1, 2], key
        assert all(0 <= value <= 1 for value in values)
    # The object is in the middle, and the baseline knows.
    assert min(series(seen, 'centre/auroc')[1]) > .9
    # Without images and weights the same at all times.
    assert len(set(series(seen, 'centre/auroc')[1])) == 1


def test_the_numbers_of_the_tool(images, tmp_path):
    """tools/mask_metrics.py reads the same file of masks."""
    run(images, tmp_path, [hook(images)], dict(type='sbam_mm.SBM'))
    found = series(read_scalars(tmp_path / 'work'), 'auroc', 'epoch')[1][-1]
    ended = call_tool(
        'mask_metrics', '--images', images / 'images/test/cat',
        images / 'images/test/dog', '--annotations', images / 'masks.npz',
        '--config', tmp_path / 'config.py', '--checkpoint',
        tmp_path / 'work/epoch_2.pth', '--out', tmp_path / 'out.json')
    assert ended.code == 0, ended.err
    results = json.loads((tmp_path / 'out.json').read_text())['maskers']
    # Salience needs no draw, so that seeds do not count.
    sbm, = (value for name, value in results.items() if 'SBM' in name)
    assert sbm['auroc']['mean'] == pytest.approx(found, abs=1e-5)


def test_stored_maps_are_made_for_its_images(images, tmp_path):
    """As the hook makes them, with its head; and without it none."""
    path = small_config(tmp_path / 'config.py', images / 'images',
                        train_cfg__max_epochs=2)
    cfg = read_config(path)
    replace_masker(cfg, 'amt')
    cfg.custom_hooks[0].update(interval=1, head=1, batch_size=8)
    cfg.custom_hooks = [
        h for h in cfg.custom_hooks if h.type != 'sbam_mm.KNNHook'
    ] + [hook(images)]
    cfg.dump(path)
    assert train(path, tmp_path / 'work').code == 0
    found = series(read_scalars(tmp_path / 'work'), 'auroc', 'epoch')[1][-1]
    model = MODELS.build(cfg.model)
    model.load_state_dict(torch.load(
        tmp_path / 'work/epoch_2.pth', weights_only=False)['state_dict'])
    model.eval()
    data = DATASETS.build(dict(hook(images)['images'], test_mode=True))
    pixels = torch.stack([data[i]['inputs'] for i in range(len(data))])
    seen = model.data_preprocessor(dict(inputs=pixels, data_samples=None))
    with torch.no_grad():
        scores = model.backbone.attention(
            model.backbone.embed(seen['inputs']), -1)[:, 1]
    cells = torch.zeros(8, 8, dtype=torch.bool)
    cells[2:6, 3:6] = True
    expected = [roc_auc_score(cells.ravel(), image) for image in scores]
    assert found == pytest.approx(np.mean(expected), abs=1e-5)
    cfg.custom_hooks = cfg.custom_hooks[1:]
    cfg.train_dataloader.dataset.pipeline[-2].folder = str(
        tmp_path / 'work/attention_maps')
    cfg.dump(path)
    ended = train(path, tmp_path / 'without')
    assert ended.code == 2 and 'AMT masks by maps that these' in ended.err


def test_a_teacher_is_asked_once_about_its_images(
        images, tmp_path, monkeypatch):
    _, weights = run(images, tmp_path / 'first', [])
    torch.save(weights, tmp_path / 'teacher.pth')
    asked, attention = [], FrozenTeacher.attention

    def counted(self, pictures, *question, **options):
        asked.append(len(pictures))
        return attention(self, pictures, *question, **options)

    monkeypatch.setattr(FrozenTeacher, 'attention', counted)
    path = small_config(tmp_path / 'config.py', images / 'images',
                        train_cfg__max_epochs=2)
    cfg = read_config(path)
    replace_masker(cfg, 'amt')
    cfg.custom_hooks[0].teacher = dict(
        type='sbam_mm.FrozenTeacher', backbone=cfg.model.backbone,
        checkpoint=str(tmp_path / 'teacher.pth'))
    cfg.custom_hooks = [
        h for h in cfg.custom_hooks if h.type != 'sbam_mm.KNNHook'
    ] + [hook(images, at_start=True)]
    cfg.dump(path)
    assert train(path, tmp_path / 'work').code == 0
    # To check it, about the 12 training images, and about the 8 of the hook.
    assert sorted(asked) == [1, 8, 12]
    epochs, values = series(read_scalars(tmp_path / 'work'), 'auroc', 'epoch')
    assert epochs == [0, 1, 2] and len(set(values)) == 1


def test_what_it_cannot_measure_is_a_sentence(images, tmp_path):
    with pytest.raises(ValueError, match='MaskMetricsHook.interval=0'):
        MaskMetricsHook({}, '', interval=0)
    path = small_config(tmp_path / 'config.py', images / 'images')
    cfg = read_config(path)
    for change, words in (
            (dict(annotations='none.npz'), 'do not exist'),
            (dict(maskers=dict(a=masker_config('gpa'))),
             "GPA needs 'teacher_attention'")):
        cfg.custom_hooks = [hook(images) | change]
        cfg.dump(path)
        ended = train(path, tmp_path / 'work')
        assert ended.code == 2 and words in ended.err


def test_the_centre_is_the_most_salient():
    context = MaskingContext(torch.randn(2, 35, 4), grid=(5, 7))
    scores = CentreSalience()(context).view(2, 5, 7)
    assert (scores[:, 2, 3] == 1).all() and (scores[:, ::4, ::6] == 0).all()
    assert torch.equal(scores, scores.flip(1, 2))
