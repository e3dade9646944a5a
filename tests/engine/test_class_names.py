# Copyright (c) OpenMMLab. All rights reserved.
"""Classes are compared by name: online kNN, validation, test."""
import numpy as np
import pytest
from mmengine.runner import Runner
from PIL import Image

from sbam_mm.datasets import ImageFolder
from sbam_mm.datasets.class_names import check_same_numbers, numbers_in
from sbam_mm.evaluation import KNNHook

PACK = [dict(type='PackInputs')]


def tree(root, train='ab', test='ab', images=12):
    """Class 'a' is dark, 'b' bright, 'c' in between."""
    rng = np.random.default_rng(0)
    for half, names in (('train', train), ('test', test)):
        for name in names:
            folder = root / half / name
            folder.mkdir(parents=True)
            low = dict(a=0, b=150, c=75)[name]
            for index in range(images):
                Image.fromarray(
                    rng.integers(low, low + 60, (16, 16, 3),
                                 dtype=np.uint8)).save(folder / f'{index}.png')
    return str(root)


def folder(root, half, **options):
    return dict(
        type='sbam_mm.ImageFolder', data_root=root, data_prefix=half,
        pipeline=PACK, **options)


def runner(work_dir, root, **hook):
    size = dict(img_size=16, patch_size=4)
    return Runner(
        model=dict(
            type='sbam_mm.MAE',
            # Of the level alone: features follow the brightness.
            data_preprocessor=dict(mean=[100.] * 3, std=[60.] * 3),
            backbone=dict(
                type='sbam_mm.MaskedViT',
                arch=dict(embed_dims=24, num_layers=1, num_heads=2,
                          feedforward_channels=48), **size),
            neck=dict(
                type='sbam_mm.MAEDecoder', embed_dim=24,
                decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2,
                **size),
            head=dict(type='sbam_mm.PixelHead', patch_size=4)),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=8, num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
            dataset=folder(root, 'train')),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-4)),
        custom_hooks=[
            dict(
                dict(
                    type='sbam_mm.KNNHook',
                    bank=folder(root, 'train'),
                    query=folder(root, 'test'),
                    k=5), **hook)
        ],
        default_scope='mmpretrain',
        randomness=dict(seed=0),
        experiment_name=work_dir.name)


@pytest.mark.integration
@pytest.mark.parametrize('test', ['b', 'ab', 'a'])
def test_queries_of_fewer_classes_are_found_by_name(tmp_path, test):
    root = tree(tmp_path / 'images', test=test)
    made = runner(tmp_path / f'knn-{test}', root)
    made.train()
    assert made.message_hub.get_scalar('knn_top1').current() == 100


@pytest.mark.integration
def test_a_class_that_the_bank_lacks_is_named(tmp_path):
    root = tree(tmp_path / 'images', train='bc')
    with pytest.raises(ValueError, match="such as 'a', are not among"):
        runner(tmp_path / 'knn-lacks', root).train()


@pytest.mark.integration
def test_without_labels_the_hook_says_so_and_training_goes_on(
        tmp_path, monkeypatch):
    root = tmp_path / 'images'
    (root / 'train').mkdir(parents=True)
    for index in range(8):
        Image.fromarray(np.full((16, 16, 3), 9 * index, np.uint8)).save(
            root / 'train' / f'{index}.png')
    made = runner(tmp_path / 'knn-none', str(root))
    said = []
    monkeypatch.setattr(made.logger, 'warning', said.append)
    made.train()
    assert made.iter == 1
    assert any('KNNHook stays off' in text and 'have no labels' in text
               for text in said)
    assert 'knn_top1' not in ''.join(made.message_hub.log_scalars)


@pytest.mark.integration
def test_queries_without_labels_are_refused(tmp_path):
    root = tree(tmp_path / 'images')
    with pytest.raises(ValueError, match='query images of KNNHook have no'):
        runner(tmp_path / 'knn-query', root,
               query=folder(root, 'test', with_label=False)).train()


@pytest.mark.unit
def test_bank_and_query_are_decoded_like_the_training(tmp_path):
    root = tree(tmp_path)
    train = ImageFolder(root, data_prefix='train', channels=1)
    from sbam_mm.evaluation.knn_hook import dataset_decoding
    assert dataset_decoding(train) == dict(channels=1)
    assert dataset_decoding(ImageFolder(root, data_prefix='train')) == {}
    assert KNNHook(folder(root, 'train'), folder(root, 'test'))._off is False


@pytest.mark.unit
def test_numbers_and_what_is_refused(tmp_path):
    root = tree(tmp_path, train='abc', test='bc')
    train = ImageFolder(root, data_prefix='train')
    test = ImageFolder(root, data_prefix='test')
    assert numbers_in(train, test) == [1, 2]
    with pytest.raises(ValueError, match="'a'"):
        numbers_in(test, train)
    with pytest.raises(ValueError, match="of which 'a' may be empty"):
        check_same_numbers(train.metainfo['classes'], test, 'validation')
    # An empty folder keeps the number.
    (tmp_path / 'test' / 'a').mkdir()
    test = ImageFolder(root, data_prefix='test')
    check_same_numbers(train.metainfo['classes'], test, 'validation')
    # One more at the end changes no number, and has no image.
    (tmp_path / 'test' / 'd').mkdir()
    test = ImageFolder(root, data_prefix='test')
    check_same_numbers(train.metainfo['classes'], test, 'validation')
    assert numbers_in(train, test) == [0, 1, 2, -1]
    # Without names there is nothing to compare.
    check_same_numbers(None, test, 'validation')


def classifier(work_dir, root, **train):
    return Runner(
        model=dict(
            type='ImageClassifier',
            backbone=dict(
                type='VisionTransformer', img_size=16, patch_size=4,
                arch=dict(embed_dims=24, num_layers=1, num_heads=2,
                          feedforward_channels=48),
                out_type='avg_featmap'),
            head=dict(type='LinearClsHead', num_classes=3, in_channels=24)),
        data_preprocessor=dict(mean=[100.] * 3, std=[60.] * 3),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=8, num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
            dataset=folder(root, 'train', **train)),
        val_dataloader=dict(
            batch_size=8, num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
            dataset=folder(root, 'test')),
        val_cfg=dict(),
        val_evaluator=dict(type='Accuracy'),
        test_dataloader=dict(
            batch_size=8, num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
            dataset=folder(root, 'test')),
        test_cfg=dict(),
        test_evaluator=dict(type='Accuracy'),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-4)),
        custom_hooks=[dict(type='sbam_mm.ClassNamesHook')],
        default_scope='mmpretrain',
        experiment_name=work_dir.name)


@pytest.mark.integration
def test_a_classifier_is_not_judged_by_other_numbers(tmp_path):
    root = tree(tmp_path / 'images', train='abc', test='abc')
    classifier(tmp_path / 'same', root).train()
    other = tree(tmp_path / 'other', train='abc', test='bc')
    with pytest.raises(ValueError, match="b, c instead of a, b, c"):
        classifier(tmp_path / 'other-run', other).train()
    # The checkpoint says what was learnt.
    made = classifier(tmp_path / 'test', other)
    made._load_from = str(tmp_path / 'same' / 'epoch_1.pth')
    with pytest.raises(ValueError, match='the test images number'):
        made.test()


@pytest.mark.integration
def test_a_classifier_needs_labels(tmp_path):
    root = tree(tmp_path / 'images')
    with pytest.raises(ValueError, match='training images have no labels'):
        classifier(tmp_path / 'none', root, with_label=False).train()
