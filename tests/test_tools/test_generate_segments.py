# Copyright (c) OpenMMLab. All rights reserved.
"""The tool that cuts a data set into segments: whole, shared, interrupted."""
import importlib.util
import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sbam_mm.datasets import ImageFolder
from sbam_mm.segments import LoadSegments
from sbam_mm.segments.maps import (
    BACKENDS,
    SAM,
    Felzenszwalb,
    SegmentWriter,
)
from sbam_mm.segments.maps.segment_maps import SegmentMaps, checksum

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
# Images of 24 pixels, made for speed.
QUICK = ('--size', '8', '--option', 'scale=20', 'sigma=0')
spec = importlib.util.spec_from_file_location(
    'generate_segments', ROOT / 'tools' / 'generate_segments.py')
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """Seven images of coloured blocks in two classes."""
    folder = tmp_path_factory.mktemp('images')
    rng = np.random.default_rng(0)
    for number in range(7):
        blocks = rng.integers(0, 256, (2, 3, 3), dtype=np.uint8)
        pixels = blocks.repeat(12, axis=0).repeat(8, axis=1)
        path = folder / f'n0{number % 2}' / f'{number}.png'
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


@pytest.fixture
def one_thread():
    """Layers this small only wait for a second one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def start(monkeypatch, capsys):
    """Calls the tool as the command line does; its words and exit code."""

    def call(*args):
        monkeypatch.setattr(sys, 'argv', ['tool', *map(str, args)])
        code = 0
        try:
            tool.main()
        except SystemExit as error:
            code = error.code
        words = capsys.readouterr()
        return code, words.out + words.err

    return call


@pytest.fixture
def whole(images, tmp_path, start):
    path = tmp_path / 'whole.npy'
    code, words = start(images, '--out', path, *QUICK)
    assert code == 0, words
    return path


def same(one, other):
    np.testing.assert_array_equal(np.load(one), np.load(other))
    assert one.with_suffix('.json').read_text() == other.with_suffix(
        '.json').read_text()
    np.testing.assert_array_equal(
        SegmentMaps(one).checksums, SegmentMaps(other).checksums)


def test_maps_are_the_blocks(images, whole):
    maps = SegmentMaps(whole)
    dataset = ImageFolder(str(images))
    for index, ids in enumerate(maps.maps):
        path = Path(dataset.get_data_info(index)['img_path'])
        assert maps.checksums[index] == checksum(path.read_bytes())
        colours = np.asarray(Image.open(path))[1::3, 1::3].reshape(-1, 3)
        # Five of six blocks: each id has one colour, each colour one id.
        pairs = {(number, *colour) for number, colour in zip(
            ids.ravel().tolist(), colours.tolist(), strict=True)}
        assert len(pairs) == 6 and ids.max() == 5
    assert sorted(p.name for p in whole.parent.iterdir()) == [
        'whole.checksums.npy', 'whole.json', 'whole.npy']
    details = json.loads(whole.with_suffix('.json').read_text())['details']
    assert details['backend'] == 'felzenszwalb'
    assert details['settings']['scale'] == 20
    LoadSegments(str(whole), 4)


def test_three_shares_make_the_whole(images, whole, tmp_path, start):
    path = tmp_path / 'shared.npy'
    for share in ('1/3', '0/3', '2/3'):
        assert not path.exists()
        code, words = start(images, '--out', path, '--shard', share, *QUICK)
        assert code == 0, words
    same(path, whole)


def test_interrupted_and_resumed(images, whole, tmp_path, start, monkeypatch):
    path = tmp_path / 'resumed.npy'
    seen = []

    class Interrupted(Felzenszwalb):

        def __call__(self, image):
            if len(seen) == 4:
                raise KeyboardInterrupt
            seen.append(image)
            return super().__call__(image)

    with monkeypatch.context() as patch:
        patch.setitem(BACKENDS, 'felzenszwalb', Interrupted)
        assert start(images, '--out', path, *QUICK)[0] == 130
    assert not path.exists()
    code, words = start(images, '--out', path, '--size', 8)
    assert code == 2 and (
        'begun with the settings scale=20 instead of 300.0, '
        'sigma=0 instead of 0.8') in words
    code, words = start(images, '--out', path, *QUICK)
    assert code == 0 and words.count('3 images,') == 1, words
    same(path, whole)
    # Nothing is made twice.
    before = path.stat().st_mtime_ns
    code, words = start(images, '--out', path, *QUICK)
    assert code == 0 and 'complete already' in words
    assert path.stat().st_mtime_ns == before


def test_an_unreadable_image_has_no_masks(images, tmp_path, start):
    folder = tmp_path / 'images'
    folder.mkdir()
    for number, path in enumerate(sorted(images.glob('*/*'))):
        content = path.read_bytes()
        (folder / path.name).write_bytes(
            content[:60] if number == 2 else content)
    path = tmp_path / 'some.npy'
    code, words = start(folder, '--out', path, *QUICK)
    assert code == 0 and '1 unreadable' in words
    empty = ~np.load(path).any(axis=(1, 2))
    assert empty.sum() == 1


def test_verify_and_preview(images, whole, tmp_path, start):
    picture = tmp_path / 'preview.png'
    code, words = start(images, '--out', whole, '--verify', '--preview',
                        picture)
    assert code == 0 and '7 of 7 images' in words
    drawn = np.asarray(Image.open(picture).convert('RGB'))
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 30
    copy = tmp_path / 'images'
    for number, path in enumerate(sorted(images.glob('*/*'))):
        target = copy / path.relative_to(images)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes() + b' ' * (number == 5))
    code, words = start(copy, '--out', whole, '--verify')
    assert code == 2 and 'another image' in words


def test_images_that_changed(images, whole, tmp_path, start):
    """What the message says to do helps, and the old maps stay till then."""
    copy = tmp_path / 'images'
    shutil.copytree(images, copy)
    changed = copy / 'n00' / '2.png'
    Image.new('RGB', (24, 24)).save(changed)
    before = whole.read_bytes()
    index = sorted(copy.glob('*/*')).index(changed)
    with pytest.raises(ValueError, match='generate_segments.py --force'):
        SegmentMaps(whole).verify(index, changed)
    code, words = start(copy, '--out', whole, *QUICK)
    assert code == 0 and 'already; --force makes it again' in words
    for share in ('0/2', '1/2'):
        assert whole.read_bytes() == before
        code, words = start(copy, '--out', whole, '--force', '--shard', share,
                            *QUICK)
        assert code == 0, words
    assert SegmentMaps(whole).verify(index, changed)
    old = np.lib.format.read_array(io.BytesIO(before))
    new = np.load(whole)
    assert [i for i in range(7) if (old[i] != new[i]).any()] == [index]
    assert len(list(whole.parent.glob('whole.*'))) == 3
    # Other settings, too; the same command without --force goes on.
    code, words = start(copy, '--out', whole, '--force', '--shard', '0/2',
                        '--max-masks', 1, *QUICK)
    code, words = start(copy, '--out', whole, '--max-masks', 1, *QUICK)
    assert code == 0 and words.count('3 images,') == 1, words
    assert np.load(whole).max() == 1


def test_only_some_classes(images, tmp_path, start):
    listed = tmp_path / 'classes.txt'
    listed.write_text('n01\n')
    path = tmp_path / 'some.npy'
    code, words = start(images, '--out', path, '--classes', listed, *QUICK)
    assert code == 0 and len(np.load(path)) == 3, words
    code, words = start(images, '--out', path, *QUICK)
    assert code == 2 and '3 images, not these 7' in words
    listed.write_text('n01\nn07\n')
    code, words = start(images, '--out', path, '--classes', listed, *QUICK)
    assert code == 2 and "1 of the 2 classes, such as 'n07'" in words


def test_imagenet100_are_a_hundred_folders(tmp_path):
    from sbam_mm.datasets.class_lists import CLASS_LISTS
    names = CLASS_LISTS['imagenet100']
    assert len(set(names)) == 100 and list(names) == sorted(names)
    for name in (*names, 'n00000000'):
        (tmp_path / name).mkdir()
        Image.new('RGB', (2, 2)).save(tmp_path / name / 'a.png')
    dataset = ImageFolder(str(tmp_path), classes='imagenet100')
    assert [Path(dataset.get_data_info(i)['img_path']).parent.name
            for i in range(len(dataset))] == list(names)
    assert dataset.get_gt_labels().tolist() == list(range(100))


@pytest.mark.parametrize('args, words', [
    (['--shard', '4/4'], 'no shard 4/4'),
    (['--shard', 'one'], '--shard one is no share'),
    (['--option', 'colour=1'], 'has no such option'),
    (['--max-masks', '300'], '1 to 255 masks'),
    (['--size', '1', '2', '3'], 'rows and columns'),
    (['--option', 'scale=-3'], 'scale=-3 cannot be; give a number of at lea'),
    (['--option', 'side=0'], 'of at least 1.'),
    (['--option', 'sigma=a'], "sigma='a' cannot be"),
    (['--option', 'min_share=7'], 'at least 0 and at most 1'),
    (['--backend', 'sam', '--option', 'points=0'], 'points=0 cannot be'),
    (['--option', 'scale'], '--option scale sets nothing; write KEY=VALUE'),
    (['--out', 'a.png'], 'a name that ends on .npy'),
    (['--classes', 'imagenet100'], '2 folders and none of the 100 classes'),
])
def test_bad_options(images, tmp_path, start, args, words):
    code, said = start(images, '--out', tmp_path / 'a.npy', *args)
    *usage, last = said.strip().splitlines()
    assert code == 2 and words in last and 'Traceback' not in said
    assert not usage or usage[0].startswith('usage:')
    if args[0] != '--shard':
        # A begun file is one that later calls would have to agree with.
        assert not list(tmp_path.iterdir())


FOLDER = "dict(type='sbam_mm.ImageFolder', data_root='{}', pipeline=[])"


@pytest.mark.parametrize('dataset, words', [
    ("dict(type='CustomDataset', data_root='{}')", 'trains on CustomDataset'),
    (f"dict(type='ConcatDataset', datasets=[{FOLDER}])",
     'trains on ConcatDataset'),
    ("dict(type='Photographs')", 'trains on Photographs'),
    ('', 'trains on nothing'),
])
def test_configs_without_a_folder(images, tmp_path, start, dataset, words):
    config = tmp_path / 'config.py'
    loader = dataset and f'train_dataloader = dict(dataset={dataset})'
    config.write_text(loader.format(images))
    code, said = start(config, '--out', tmp_path / 'a.npy')
    last = said.strip().splitlines()[-1]
    assert code == 2 and words in last and 'Traceback' not in said
    assert 'give that folder' in last


def test_a_config_whose_folder_is_repeated(images, whole, tmp_path, start):
    config, path = tmp_path / 'config.py', tmp_path / 'a.npy'
    config.write_text(
        "train_dataloader = dict(dataset=dict(type='RepeatDataset', times=2, "
        f'dataset={FOLDER.format(images)}))')
    code, words = start(config, '--out', path, *QUICK)
    assert code == 0, words
    same(path, whole)


def test_a_shard_that_finds_the_file_begun(images, tmp_path):
    """Both write to one file; neither makes it anew."""
    dataset = ImageFolder(str(images))
    first, second = (
        SegmentWriter(tmp_path / 'a.npy', dataset, (2, 2), dict(backend='b'))
        for _ in range(2))
    ones = np.ones((2, 2), np.uint8)
    for index in first.todo((0, 2)):
        first.write(index, ones, index + 1)
    assert first.todo((0, 2)) == [] and not first.publish()
    third = SegmentWriter(
        tmp_path / 'a.npy', dataset, (2, 2), dict(backend='b'))
    assert third.todo() == second.todo((1, 2)) == [4, 5, 6]
    for index in second.todo((1, 2)):
        second.write(index, ones * 2, index + 1)
    assert second.publish() and third.publish()
    np.testing.assert_array_equal(
        SegmentMaps(tmp_path / 'a.npy').maps[:, 0, 0], [1] * 4 + [2] * 3)


@pytest.mark.parametrize('name, left', [
    ('a.npy.tmp', None), ('a.npy.tmp', 150), ('a.checksums.npy.tmp', None),
    ('a.checksums.npy.tmp', 0), ('a.json.tmp', None)])
def test_a_part_is_lost_halfway(images, tmp_path, start, name, left):
    """Finished images would have no masks, or those of other settings."""
    path = tmp_path / 'a.npy'
    code, words = start(images, '--out', path, '--shard', '0/2', *QUICK)
    assert code == 0, words
    part = tmp_path / name
    part.unlink() if left is None else os.truncate(part, left)
    code, words = start(images, '--out', path, '--shard', '1/2', *QUICK)
    assert code == 2 and f"'{name}' of the maps that were begun" in words
    assert not path.exists()
    for other in tmp_path.iterdir():
        assert repr(other.name) in words
        other.unlink()
    code, words = start(images, '--out', path, *QUICK)
    assert code == 0 and '7 images,' in words


def with_contrast(model):
    """Weights so large that the masks differ from point to point."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(std=.3)
    return model


def sam(folder, transformers):
    """A small SAM with random weights, as its publishers save one."""
    size = dict(hidden_size=16, image_size=64, patch_size=8)
    model = transformers.SamModel(transformers.SamConfig(
        vision_config=dict(
            output_channels=16, num_pos_feats=8, num_hidden_layers=2,
            num_attention_heads=2, mlp_dim=32, window_size=4,
            global_attn_indexes=[1], **size),
        prompt_encoder_config=dict(mask_input_channels=4, **size),
        mask_decoder_config=dict(
            hidden_size=16, mlp_dim=32, num_attention_heads=2,
            iou_head_hidden_dim=16)))
    with_contrast(model).save_pretrained(folder)
    transformers.SamImageProcessor(
        size=dict(longest_edge=64),
        pad_size=dict(height=64, width=64)).save_pretrained(folder)


def sam2(folder, transformers):
    """A small SAM 2 with random weights."""
    model = transformers.Sam2Model(transformers.Sam2Config(
        vision_config=dict(
            backbone_config=dict(
                model_type='sam2_hiera_det_model', hidden_size=8,
                num_attention_heads=1, image_size=[64, 64],
                blocks_per_stage=[1, 1, 2, 1],
                embed_dim_per_stage=[8, 16, 32, 64],
                num_attention_heads_per_stage=[1, 1, 2, 4],
                window_size_per_stage=[8, 8, 8, 8],
                global_attention_blocks=[3],
                window_positional_embedding_background_size=[4, 4]),
            backbone_channel_list=[64, 32, 16, 8],
            backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
            fpn_hidden_size=16),
        prompt_encoder_config=dict(
            hidden_size=16, image_size=64, patch_size=16,
            mask_input_channels=4),
        mask_decoder_config=dict(
            hidden_size=16, mlp_dim=32, num_attention_heads=2,
            iou_head_hidden_dim=16)))
    with_contrast(model).save_pretrained(folder)
    transformers.Sam2ImageProcessor(
        size=dict(height=64, width=64),
        mask_size=dict(height=16, width=16)).save_pretrained(folder)


@pytest.mark.parametrize('make', [sam, sam2])
def test_sam_with_random_weights(
        make, images, tmp_path, start, one_thread):
    transformers = pytest.importorskip('transformers')
    make(tmp_path / 'sam', transformers)
    few = images / 'n01'
    option = ['--backend', 'sam', '--size', 8, '--option',
              f'checkpoint={tmp_path / "sam"}', 'points=4', 'device=cpu']
    # Untrained masks are neither good nor stable: take them all ...
    path = tmp_path / 'all.npy'
    code, words = start(few, '--out', path, *option, 'quality=-9',
                        'stability=-1')
    assert code == 0, words
    made = np.load(path)
    assert made.any() and made.max() <= 5
    # ... or none; where there is none, the map says so.
    code, words = start(few, '--out', tmp_path / 'none.npy', *option,
                        'quality=2')
    assert code == 0 and not np.load(tmp_path / 'none.npy').any(), words
    code, words = start(images, '--out', tmp_path / 'no.npy', '--backend',
                        'sam', '--option', f'checkpoint={tmp_path}')
    assert code == 2 and 'no SAM checkpoint' in words


def vit(folder, transformers):
    """A model with an image processor, but of another kind."""
    transformers.ViTModel(transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, image_size=32,
        patch_size=8)).save_pretrained(folder)
    transformers.ViTImageProcessor().save_pretrained(folder)


@pytest.mark.parametrize('make, damaged, options, words', [
    (None, '', dict(checkpoint=5), 'checkpoint=5 is no name; name a folder'),
    (None, '', dict(device='gpu'), "device='gpu' cannot be used here .*cuda"),
    (None, '', dict(device='cuda:99'), "device='cuda:99' cannot be used"),
    (None, '', dict(points=2.5), 'points=2.5 cannot be; give a whole number'),
    (vit, '', dict(), 'holds a ViTModel, which is no SAM; name a folder'),
    (sam, 'model.safetensors', dict(), 'that can be loaded .SafetensorError'),
    (sam, 'config.json', dict(), 'that can be loaded .*; name a folder'),
])
def test_sams_that_cannot_be_loaded(tmp_path, make, damaged, options, words):
    transformers = pytest.importorskip('transformers')
    folder = tmp_path / 'model'
    if make:
        make(folder, transformers)
    if damaged:
        (folder / damaged).write_bytes(b'abc')
    with pytest.raises(ValueError, match=words) as error:
        SAM(**{'checkpoint': str(folder), 'device': 'cpu', **options})
    assert '\n' not in str(error.value)


def test_sam_without_transformers(images, tmp_path, start):
    if importlib.util.find_spec('transformers'):
        pytest.skip('transformers is installed')
    code, words = start(images, '--out', tmp_path / 'a.npy', '--backend',
                        'sam')
    assert code == 2 and "pip install 'sbam_mm[sam]'" in words
