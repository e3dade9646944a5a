# Copyright (c) OpenMMLab. All rights reserved.
"""AMT in a real training: maps are collected, read, kept and resumed."""
import json
import shutil
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from PIL import Image
from small_runs import small

from sbam_mm.datasets import ImageFolder, MapVersions, StoredMaps
from sbam_mm.datasets.transforms.crop_maps import WHOLE, area_crop
from sbam_mm.engine.hooks.attention_map_hook import WholeImages
from sbam_mm.masking import functional as F
from sbam_mm.registry import MODELS

IMAGES, GRID = 24, (4, 4)
# mmengine takes a second run of the same name for the first.
NUMBER = count()
pytestmark = pytest.mark.integration


class Watch(Hook):
    """Notes what comes in and out, and may end the training early."""
    priority = 'VERY_LOW'

    def __init__(self, stop_epoch=None):
        self.stop_epoch = stop_epoch
        self.batches, self.logs = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.batches.append([
            (sample.sample_idx, sample.get('attention_map'))
            for sample in data_batch['data_samples']])

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        self.logs.append({k: float(v) for k, v in outputs.items()})
        if runner.epoch == self.stop_epoch and batch_idx == 1:
            raise KeyboardInterrupt


def write_images(folder):
    generator = np.random.default_rng(0)
    (folder / 'train/cat').mkdir(parents=True)
    for i in range(IMAGES):
        pixels = generator.integers(0, 256, (20, 18, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'train/cat/{i:02d}.png')
    return folder


@pytest.fixture
def images(tmp_path):
    return write_images(tmp_path / 'data')


def config(images, work_dir, workers=0, resume=False, **options):
    cfg = small('mae_small amt')
    cfg.custom_hooks = cfg.custom_hooks[:2]  # without the kNN
    cfg.train_dataloader.dataset.data_root = str(images)
    size = dict(img_size=16, patch_size=4)
    cfg.model.backbone.update(size)
    cfg.model.backbone.arch.update(
        embed_dims=24, num_layers=2, feedforward_channels=48)
    cfg.model.neck.update(embed_dim=24, decoder_embed_dim=24, **size)
    pipeline = cfg.train_dataloader.dataset.pipeline
    pipeline[0].scale, pipeline[2].grid = 16, GRID
    cfg.merge_from_dict({
        'train_dataloader.dataset.cache': False,
        'train_dataloader.batch_size': 8,
        'train_dataloader.num_workers': workers,
        'train_cfg.max_epochs': 3,
        'work_dir': str(work_dir),
        'resume': resume,
        'experiment_name': f'maps-{next(NUMBER)}',
        'log_level': 'ERROR',
        **options,
    })
    return cfg


def run(cfg, *hooks):
    runner = Runner.from_cfg(cfg)
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return runner


def weights(runner):
    return {k: v.clone() for k, v in runner.model.state_dict().items()}


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A run to its end: its data, its folder, what came by, its weights."""
    folder = tmp_path_factory.mktemp('finished')
    data = write_images(folder / 'data')
    watch = Watch()
    runner = run(config(data, folder / 'run'), watch)
    return SimpleNamespace(
        data=data, folder=folder / 'run', watch=watch, log_dir=runner.log_dir,
        weights=weights(runner))


@pytest.fixture
def again(finished, tmp_path):
    """Its folder as it was left, to run in once more."""
    return shutil.copytree(finished.folder, tmp_path / 'again')


def attention_of(model, dataset, index, size=16):
    """Of the class token to one image's patches, (1, heads, L)."""
    path = dataset.get_data_info(index)['img_path']
    rgb = Image.open(path).resize((size, size), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(rgb)[..., ::-1].copy())
    batch = default_collate([
        dict(inputs=pixels.permute(2, 0, 1), data_samples=DataSample())])
    with torch.no_grad():
        inputs = model.data_preprocessor(batch, False)['inputs']
        tokens = model.backbone.embed(inputs)
        return model.backbone.attention(tokens, -1)


def test_random_at_first_then_thrown(finished):
    first, later = finished.watch.logs[:3], finished.watch.logs[3:]
    assert all(log['mask_ratio'] == .75 and log['visible_tokens'] == 4
               and 'thrown_tokens' not in log for log in first)
    # 7.2, 6.4 and 2.4 of 16 tokens, in whole ones.
    assert all(log['mask_ratio'] == 7 / 16
               and log['visible_tokens'] == 3 and log['thrown_tokens'] == 6
               for log in later)
    shapes = [batch[0][1].shape for batch in finished.watch.batches]
    assert shapes == 3 * [(0, 0)] + 6 * [GRID]
    scalars = Path(finished.log_dir) / 'vis_data/scalars.json'
    assert 'thrown_tokens' in scalars.read_text()
    # The last epoch makes no maps: nobody would read them.
    maps = finished.folder / 'attention_maps'
    assert MapVersions(maps).epochs() == [1, 2]
    assert json.loads((maps / 'current.json').read_text()) == dict(
        epoch=2, file='epoch_0002.npy')


@pytest.mark.parametrize('normalize', ['mean', 'head'])
def test_maps_are_the_attention_image_by_image(images, tmp_path, normalize):
    (images / 'train/cat/05.png').write_bytes(b'no image')
    cfg = config(images, tmp_path / 'run', **{'train_cfg.max_epochs': 2})
    cfg.custom_hooks[0].update(
        normalize=normalize, batch_size=7, num_workers=2)
    model = run(cfg).model
    saved = torch.load(tmp_path / 'run/epoch_1.pth', weights_only=False)
    model.load_state_dict(saved['state_dict'])
    model.eval()
    dataset = ImageFolder(str(images), 'train')
    stored = StoredMaps(tmp_path / 'run/attention_maps/epoch_0001.npy')
    assert stored.info.epoch == 1 and stored.info.grid == GRID
    assert stored.maps.dtype == np.float16
    for index in range(IMAGES):
        found = stored.read(index)
        if index == 5:
            assert (found == 1).all()
            continue
        attention = attention_of(model, dataset, index)
        if normalize == 'head':
            expected = F.min_max(attention[0]).mean(dim=0)
        else:
            expected = F.min_max(attention.mean(dim=1))[0]
        np.testing.assert_allclose(
            found.ravel(), expected.numpy(), atol=1e-3)


@pytest.mark.parametrize('dataset, loaders', [
    ('sbam_mm.ImageFolder', ['LoadRandomResizedCrop']),
    ('CustomDataset', ['LoadRandomResizedCrop']),
    ('CustomDataset', ['LoadImageFromFile', 'RandomResizedCrop']),
])
def test_whoever_loads_the_images_gets_the_same_maps(
        finished, tmp_path, dataset, loaders):
    cfg = config(finished.data, tmp_path)
    data = cfg.train_dataloader.dataset
    crop, *others = data.pipeline
    *before, last = loaders
    data.pipeline = [
        *(dict(type=name) for name in before),
        dict(crop, type=f'sbam_mm.{last}'), *others]
    if dataset == 'CustomDataset':
        cfg.train_dataloader.dataset = dict(
            type=dataset, data_root=data.data_root, data_prefix='train',
            pipeline=data.pipeline)
    run(cfg)
    maps = 'attention_maps/epoch_0001.npy'
    assert np.array_equal(
        StoredMaps(tmp_path / maps).maps,
        StoredMaps(finished.folder / maps).maps)


@pytest.mark.parametrize('workers', [0, 2])
def test_resumed_equals_uninterrupted(finished, images, tmp_path, workers):
    through = finished.weights
    if workers:
        through = weights(run(config(images, tmp_path / 'through', workers)))
    with pytest.raises(KeyboardInterrupt):
        run(config(images, tmp_path / 'cut', workers), Watch(stop_epoch=1))
    watch = Watch()
    resumed = run(config(images, tmp_path / 'cut', workers, True), watch)
    assert len(watch.logs) == 6 and 'thrown_tokens' in watch.logs[0]
    assert same(weights(resumed), through)


@pytest.mark.parametrize('lost', [False, True])
def test_resumed_before_the_newest_maps(finished, again, lost):
    """From the first checkpoint of three, with maps of epochs 1 and 2."""
    (again / 'last_checkpoint').write_text(str(again / 'epoch_1.pth'))
    if lost:
        (again / 'attention_maps/epoch_0001.npy').unlink()
    resumed = run(config(finished.data, again, resume=True))
    assert same(weights(resumed), finished.weights)


def test_maps_of_another_epoch_are_not_taken(images, tmp_path, monkeypatch):
    """After epoch 3 of 4 those of epoch 2 are wanted, and are gone."""

    def prepared(resume):
        cfg = config(images, tmp_path / 'run', resume=resume, **{
            'train_cfg.max_epochs': 4})
        cfg.custom_hooks[0].interval = 2
        return cfg

    with pytest.raises(KeyboardInterrupt):
        run(prepared(False), Watch(stop_epoch=3))
    folder = tmp_path / 'run' / 'attention_maps'
    for ending in ('npy', 'json'):
        (folder / f'epoch_0002.{ending}').rename(
            folder / f'epoch_0001.{ending}')
    with pytest.raises(ValueError, match='after epoch 3 had attention maps of '
                       'epoch 2, .* resume from epoch 2'):
        run(prepared(True))
    # Refused before anything was deleted.
    assert (folder / 'epoch_0001.npy').exists()
    monkeypatch.setenv('SBAM_MM_RESUME_ANYWAY', '1')
    run(prepared(True))
    assert (folder / 'epoch_0003.npy').exists()


def test_a_fresh_run_does_not_take_old_maps(finished, again):
    watch = Watch()
    fresh = run(config(finished.data, again), watch)
    assert watch.batches[0][0][1].size == 0
    assert same(weights(fresh), finished.weights)


def test_persistent_workers_get_new_maps(images, tmp_path):
    cfg = config(images, tmp_path / 'run', workers=2, **{
        'train_dataloader.persistent_workers': True})
    del cfg.custom_hooks[1]  # EpochSeedHook wants fresh workers
    pipeline = cfg.train_dataloader.dataset.pipeline
    pipeline[:2] = [dict(type='Resize', scale=(16, 16))]
    watch = Watch()
    run(cfg, watch)
    versions = MapVersions(tmp_path / 'run/attention_maps')
    for epoch in (1, 2):
        stored = StoredMaps(versions.path(epoch))
        for batch in watch.batches[3 * epoch:3 * epoch + 3]:
            for index, found in batch:
                np.testing.assert_array_equal(
                    found, area_crop(stored.read(index), WHOLE, GRID))
    old, new = (np.load(versions.path(epoch)) for epoch in (1, 2))
    assert (old != new).any(axis=(1, 2)).all()


def test_the_hook_leaves_no_trace(images, tmp_path):
    """Nothing is seeded anew here, so a stolen draw would show."""
    results = []
    for name in ('without', 'with'):
        cfg = config(images, tmp_path / name)
        cfg.custom_hooks = cfg.custom_hooks[:1]
        cfg.model.masker = dict(type='sbam_mm.RandomMasker')
        cfg.model.backbone.drop_rate = .1
        if name == 'without':
            cfg.custom_hooks = []
            del cfg.train_dataloader.dataset.pipeline[2]
        results.append(weights(run(cfg)))
    assert same(*results)


@pytest.mark.parametrize('change, sentence', [
    (lambda c: c.train_dataloader.dataset.pipeline.pop(2),
     "add dict.type='sbam_mm.LoadAttentionMap', grid=.4, 4"),
    (lambda c: c.train_dataloader.dataset.pipeline[2].update(grid=8),
     r'set its grid=\(4, 4\)'),
    (lambda c: c.custom_hooks.pop(0),
     r"add dict\(type='sbam_mm.AttentionMapHook'\)"),
    (lambda c: c.custom_hooks[0].update(block=2), 'blocks 0 to 1'),
    (lambda c: c.custom_hooks[0].update(head=3), 'heads 0 to 2'),
    (lambda c: c.train_dataloader.dataset.pipeline[0].update(
        type='RandomResizedCrop'), 'sbam_mm.RandomResizedCrop'),
    (lambda c: c.merge_from_dict(dict(
        train_cfg=dict(_delete_=True, by_epoch=False, max_iters=4))),
     'by_epoch=True'),
    (lambda c: c.custom_hooks[0].update(interval=0), 'at least 1 epoch'),
    (lambda c: c.custom_hooks[0].update(normalize='max'), '"mean" or "head"'),
    (lambda c: c.custom_hooks[0].update(head='max'),
     'a number from 0, "last", "mean"'),
])
def test_bad_input_stops_with_a_sentence(images, tmp_path, change, sentence):
    cfg = config(images, tmp_path / 'run')
    change(cfg)
    with pytest.raises(ValueError, match=sentence):
        run(cfg)


def test_changed_data_stop_at_resume(finished, again, images):
    (images / 'train/cat/00.png').unlink()
    (again / 'last_checkpoint').write_text(str(again / 'epoch_2.pth'))
    with pytest.raises(ValueError, match='24 images then, 23 now'):
        run(config(images, again, resume=True))


def of_teacher(finished, images, folder, resume=False, **options):
    """GPA's question to the finished run, asked once for each image."""
    cfg = config(images, folder, resume=resume)
    cfg.custom_hooks[0].update(
        batch_size=7, queries='patches', softmax=False, own_query=False,
        block=1, head='sum', teacher=dict(
            type='sbam_mm.FrozenTeacher', backbone=cfg.model.backbone,
            checkpoint=str(finished.folder / 'epoch_3.pth')))
    cfg.custom_hooks[0].update(options)
    cfg.model.masker = dict(
        type='sbam_mm.Masker', salience=dict(type='sbam_mm.StoredSalience'),
        ratio=dict(type='sbam_mm.FixedRatio', ratio=.5),
        selection=dict(type='sbam_mm.NoisyTopK', noise=.5))
    return cfg


def test_a_teacher_is_asked_once(finished, images, tmp_path):
    watch = Watch()
    cfg = of_teacher(finished, images, tmp_path / 'run')
    runner = run(cfg, watch)
    folder = tmp_path / 'run/attention_maps'
    assert [path.name for path in folder.glob('*.npy')] == ['epoch_0000.npy']
    # From the first step on.
    assert all(attention.shape == GRID for batch in watch.batches
               for _, attention in batch)
    assert {log['visible_tokens'] for log in watch.logs} == {8}
    stored = StoredMaps(folder / 'epoch_0000.npy')
    assert 'epoch_3.pth' in stored.info.made_by
    teacher = MODELS.build(cfg.custom_hooks[0].teacher)
    dataset = ImageFolder(str(images), 'train')
    whole = WholeImages(dataset, range(IMAGES), (16, 16))
    pixels = default_collate([whole[i] for i in range(IMAGES)])
    seen = runner.model.data_preprocessor(pixels, False)['inputs']
    received = teacher.attention(seen, GRID, 1, 'patches', False, False)
    expected = F.min_max(received.sum(dim=1)).unflatten(1, GRID)
    np.testing.assert_allclose(stored.maps, expected.numpy(), atol=1e-3)
    # What it says does not depend on what is trained.
    assert torch.equal(
        torch.cat([p.flatten() for p in teacher.parameters()]),
        torch.cat([p.flatten() for p in MODELS.build(
            cfg.custom_hooks[0].teacher).parameters()]))


def test_resumed_with_a_teacher_equals_uninterrupted(
        finished, images, tmp_path):
    through = run(of_teacher(finished, images, tmp_path / 'through'))
    with pytest.raises(KeyboardInterrupt):
        run(of_teacher(finished, images, tmp_path / 'cut'), Watch(1))
    maps = tmp_path / 'cut/attention_maps/epoch_0000.npy'
    stamp = maps.stat().st_mtime_ns
    resumed = run(of_teacher(finished, images, tmp_path / 'cut', True))
    assert maps.stat().st_mtime_ns == stamp
    assert same(weights(resumed), weights(through))
    # Lost, they are made again: a frozen teacher says the same.
    for path in (tmp_path / 'cut').glob('epoch_[23].pth'):
        path.unlink()
    (tmp_path / 'cut/last_checkpoint').write_text(
        str(tmp_path / 'cut/epoch_1.pth'))
    maps.unlink()
    again = run(of_teacher(finished, images, tmp_path / 'cut', True))
    assert same(weights(again), weights(through))
    # Those of an earlier run are not taken: its teacher may be another one.
    stamp = maps.stat().st_mtime_ns
    run(of_teacher(finished, images, tmp_path / 'cut'))
    assert maps.stat().st_mtime_ns != stamp


def test_a_teacher_is_asked_once_for_all_trainings(
        finished, images, tmp_path):
    def train(name, **options):
        run(of_teacher(finished, images, tmp_path / name,
                       keep=str(tmp_path / 'kept'), **options))
        return np.load(tmp_path / name / 'attention_maps/epoch_0000.npy')

    plain = run(of_teacher(finished, images, tmp_path / 'plain'))
    first = train('first')
    (kept,) = (tmp_path / 'kept').glob('*.npy')
    assert same(
        weights(plain), torch.load(tmp_path / 'first/epoch_3.pth',
                                   weights_only=False)['state_dict'])
    # The next one takes them as they are there ...
    np.save(kept, first[::-1])
    np.testing.assert_array_equal(train('second'), first[::-1])
    # ... and another question is asked anew, in a file of its own.
    assert not np.array_equal(train('third', head=0), first)
    assert len(list((tmp_path / 'kept').glob('*.npy'))) == 2
    # Damaged, they are refused before the training.
    kept.write_bytes(b'half')
    with pytest.raises(ValueError, match='damaged; delete it'):
        train('fourth')
    with pytest.raises(ValueError, match='keeps what a teacher says'):
        train('fifth', teacher=None)


@pytest.mark.parametrize('option, sentence', [
    (dict(block=2), 'block'), (dict(head=7), 'head'),
    (dict(queries='everyone'), 'queries must be')])
def test_a_teacher_without_that_block_or_head(
        finished, images, tmp_path, option, sentence):
    with pytest.raises(ValueError, match=sentence):
        run(of_teacher(finished, images, tmp_path, **option))
