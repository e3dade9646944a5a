# Copyright (c) OpenMMLab. All rights reserved.
"""A run goes on as the one it was, or says how it differs."""
import shutil

import pytest
import torch
from small_runs import small_config, train, write_images

import sbam_mm.evaluation  # noqa: F401  defines them
from sbam_mm.engine.hooks.same_run import _leaves
from sbam_mm.evaluation.epoch_hook import EpochHook

pytestmark = pytest.mark.integration


@pytest.fixture(scope='module')
def stopped(tmp_path_factory):
    """A run after one of its two epochs: images, config, work_dir."""
    folder = tmp_path_factory.mktemp('same')
    images = write_images(folder / 'images')
    config = small_config(
        folder / 'config.py', images, train_cfg__max_epochs=2)
    assert train(config, folder / 'work').code == 0
    (folder / 'work' / 'epoch_2.pth').unlink()
    return folder


@pytest.fixture
def run(stopped, tmp_path):
    """The stopped run's folder, copied."""
    shutil.copytree(stopped, tmp_path / 'run')
    return tmp_path / 'run'


def resume(run, *options, images=None):
    root = run / 'images' if images is None else images
    return train(run / 'config.py', run / 'work', '--resume', '--cfg-options',
                 f'train_dataloader.dataset.data_root={root}', *options)


def test_evaluations_amid_a_training_may_come_and_go():
    """Each of these hooks leaves the training as it is without."""
    kinds = [kind.__name__ for kind in EpochHook.__subclasses__()]
    assert len(kinds) >= 2
    hooks = [dict(type=f'sbam_mm.{name}', interval=3) for name in kinds]
    assert not dict(_leaves(dict(custom_hooks=hooks)))


def test_in_another_place_it_is_the_same(run):
    shutil.move(run / 'images', run / 'elsewhere')
    ended = resume(run, 'log_level=WARNING', 'default_hooks.logger.interval=9',
                   'default_hooks.checkpoint.max_keep_ckpts=7',
                   images=run / 'elsewhere')
    assert ended.code == 0, ended.err
    assert (run / 'work' / 'epoch_2.pth').exists()


@pytest.mark.parametrize('options, words', [
    (['model.masker.ratio=0.6'], 'model.masker.ratio was 0.75 and is 0.6'),
    (['model.head.norm_pix=False'], 'norm_pix was True and is False'),
    (['randomness.seed=1'], 'the seed was 0 and is 1'),
    (['train_dataloader.batch_size=2'],
     'an optimizer step took 4 x 1 x 1 images and takes 2 x 1 x 1'),
    (['optim_wrapper.accumulative_counts=2'], 'takes 4 x 1 x 2'),
    (['optim_wrapper.optimizer.lr=0.1'], 'optimizer.lr was 0.002 and is 0.1'),
    (['train_dataloader.num_workers=1'], 'num_workers was 0 and is 1'),
])
def test_a_difference_is_a_sentence(run, options, words):
    before = (run / 'work' / 'epoch_1.pth').read_bytes()
    ended = resume(run, *options)
    assert ended.code == 2 and words in ended.err
    assert (run / 'work' / 'epoch_1.pth').read_bytes() == before
    assert not (run / 'work' / 'epoch_2.pth').exists()


@pytest.mark.parametrize('change, words', [
    (lambda folder: (folder / '0.png').unlink(),
     'the training set had 16 images and has 15'),
    (lambda folder: (folder / '0.png').rename(folder / '9.png'),
     'the training set has as many images but others'),
    (lambda folder: folder.rename(folder.with_name('lion')),
     'the training set has as many images but others'),
])
def test_other_images_are_a_sentence(run, change, words):
    change(run / 'images' / 'train' / 'cat')
    ended = resume(run)
    assert ended.code == 2 and words in ended.err


def test_it_can_be_meant(run):
    ended = resume(run, 'model.masker.ratio=0.6', '--resume-anyway')
    assert ended.code == 0, ended.err
    logs = ''.join(path.read_text() for path in run.glob('work/*/*.log'))
    assert 'Resumed although this run differs: model.masker.ratio' in logs


def test_a_checkpoint_without_optimizer_is_refused(run):
    path = run / 'work' / 'epoch_1.pth'
    checkpoint = torch.load(path, weights_only=False)
    del checkpoint['optimizer']
    torch.save(checkpoint, run / 'best_top1.pth')
    ended = train(run / 'config.py', run / 'work', '--resume',
                  run / 'best_top1.pth')
    assert ended.code == 2
    assert 'has no optimizer, as the "best" ones of mmengine' in ended.err


def test_where_there_is_nothing_to_resume_the_run_begins_and_says_so(run):
    ended = train(run / 'config.py', run / 'new', '--resume')
    assert ended.code == 0
    log, = (run / 'new').glob('*/*.log')
    assert 'No checkpoint to resume from' in log.read_text()
    assert (run / 'new' / 'epoch_2.pth').exists()


def test_a_folder_has_one_run(run):
    from sbam_mm.engine.run_lock import RunLock
    with RunLock(run / 'work' / 'in_use.lock'):
        ended = resume(run)
    assert ended.code == 2 and 'is working on it in' in ended.err
