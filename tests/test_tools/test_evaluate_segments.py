# Copyright (c) OpenMMLab. All rights reserved.
"""evaluate.py --segments: the first phase with the maps of its images."""
import json

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image
from started_tools import ROOT, call_tool

from sbam_mm.datasets import ImageFolder
from sbam_mm.datasets.transforms import nearest_crop
from sbam_mm.evaluation.encoders import encoder_recipe
from sbam_mm.evaluation.features import encode
from sbam_mm.models.backbones.vit_attention import encode_whole
from sbam_mm.models.guidance import attending
from sbam_mm.models.pretrained_encoder import load_encoder
from sbam_mm.registry import DATASETS
from sbam_mm.segments import relations_to
from sbam_mm.segments.maps.segment_maps import SegmentMaps

CONFIG = ROOT / 'configs/small/segment_bias_mae_small.py'
COMMON = ('--workers', 0, '--batch-size', 16, '--protocol', 'knn', '--set',
          'knn.k=3')

pytestmark = pytest.mark.integration


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """Squares on a ground, files of their segments, and a checkpoint."""
    folder = tmp_path_factory.mktemp('guided')
    rng = np.random.default_rng(0)
    for half, count in (('train', 20), ('val', 6)):
        for label, name in enumerate(['left', 'right']):
            (folder / 'data' / half / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 40, (36, 48, 3), dtype=np.uint8)
                x = rng.integers(0, 8) + 20 * label
                pixels[8:28, x:x + 20] += 150
                Image.fromarray(pixels).save(
                    folder / 'data' / half / name / f'{i}.png')
    for data, out in (('data', 'all'), ('data/train', 'train'),
                      ('data/val', 'val')):
        done = call_tool('generate_segments', folder / data, '--out',
                         folder / f'{out}.npy', '--size', 36, 48, '--option',
                         'min_share=0.02')
        assert done.code == 0, done.err
    torch.manual_seed(0)
    backbone = encoder_recipe(CONFIG, guided=True).build()
    for u in backbone.segment_bias.parameters():
        torch.nn.init.normal_(u, std=4.)
    torch.save(dict(state_dict={
        f'backbone.{k}': v for k, v in backbone.state_dict().items()
    }), folder / 'phase_one.pth')
    return folder


def evaluate(place, out, *args, config=CONFIG):
    return call_tool(
        'evaluate', place / 'phase_one.pth', '--config', config, '--data',
        place / 'data', '--out', place / out, *args)


def features(place, out):
    """Those of the test images that an evaluation has stored."""
    rows = []
    for name in ('cls', 'avg'):
        path, = (place / out / 'features').glob(f'test-*.{name}.npy')
        rows.append(torch.from_numpy(np.load(path)).float())
    return torch.stack(rows, 1)


def test_features_are_those_of_the_guided_encoder(place):
    """Images in the order of the list, each with its own map."""
    for out, files in (('one', ['all.npy']), ('two', ['val.npy', 'train.npy']),
                       ('none', [])):
        named = ['--segments', *(place / name for name in files)]
        done = evaluate(place, out, *COMMON, *(named if files else []))
        assert done.code == 0, done.err
    recipe = encoder_recipe(CONFIG, guided=True)
    vit = recipe.build()
    vit.eval()
    load_encoder(vit, str(place / 'phase_one.pth'))
    maps = SegmentMaps(place / 'val.npy')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        images = DATASETS.build(dict(
            type='sbam_mm.ImageFolder', data_root=str(place / 'data/val'),
            pipeline=[
                dict(type='Resize', scale=(32, 32), interpolation='bicubic'),
                dict(type='PackInputs')]))
    batch = torch.stack([images[i]['inputs'] for i in range(12)])
    inputs = recipe.preprocessor()(
        dict(inputs=batch, data_samples=None))['inputs']
    ids = torch.stack([
        torch.from_numpy(nearest_crop(maps.read(i), (0, 0, 1, 1), (8, 8)))
        for i in range(12)]).flatten(1)
    assert len(ids.unique()) > 1
    with torch.no_grad():
        with attending(vit, relations_to(vit, ids)):
            tokens = encode_whole(vit, inputs)
        expected = torch.stack([tokens[:, 0], tokens[:, 1:].mean(1)], 1)
        plain = encode_whole(vit, inputs)
        unguided = torch.stack([plain[:, 0], plain[:, 1:].mean(1)], 1)
    for out, wanted in (('one', expected), ('two', expected),
                        ('none', unguided)):
        torch.testing.assert_close(
            features(place, out), wanted, rtol=2e-3, atol=2e-3)
    assert (expected - unguided).abs().max() > .1
    found = json.loads((place / 'one/results.json').read_text())
    assert found['data']['segments'] == maps_mark(place, 'all')
    assert 'segments' not in json.loads(
        (place / 'none/results.json').read_text())['data']


def maps_mark(place, name):
    return SegmentMaps(place / f'{name}.npy').info.image_list.fingerprint


def test_class_tokens_of_four_blocks(place):
    vit = encoder_recipe(CONFIG, guided=True).build()
    vit.eval()
    images, ids = torch.randn(2, 3, 32, 32), torch.randint(0, 4, (2, 64))
    with torch.no_grad():
        four, one = (encode(vit, images, n, relations_to(vit, ids))
                     for n in (4, 1))
        assert len(four.cls) == 4 and len(one.cls) == 1
        torch.testing.assert_close(four.cls[-1], one.cls[0])
        torch.testing.assert_close(four.patches, one.patches)
        # Blocks 2 to 4 are those of an encoder that ends there.
        vit.layers = vit.layers[:3]
        torch.testing.assert_close(
            encode(vit, images, 1, relations_to(vit, ids)).cls[0],
            four.cls[2])
    with pytest.raises(ValueError, match='has 3 blocks'):
        encode(vit, images, 4, relations_to(vit, ids))


def test_probes_crop_the_maps_with_the_images(place):
    done = evaluate(
        place, 'probe', '--segments', place / 'all.npy', '--workers', 0,
        '--protocol', 'linear,linear-sweep,fewshot', '--set',
        'linear.epochs=1', 'linear.warm_up=0', 'linear-sweep.epochs=1',
        'linear-sweep.rates=(0.1,)', 'fewshot.shares=(0.2,)',
        'fewshot.finetune=False')
    assert done.code == 0, done.err
    found = json.loads((place / 'probe/results.json').read_text())
    assert set(found['protocols']) == {'linear', 'linear-sweep', 'fewshot'}


def test_large_images_are_cropped_in_the_middle(place):
    """The crop of ImageNet's evaluation; a map follows it."""
    from sbam_mm.datasets.transforms import CenterCrop
    from sbam_mm.segments import LoadSegments
    maps = SegmentMaps(place / 'val.npy')
    images = ImageFolder(str(place / 'data/val'), pipeline=[
        dict(type='mmpretrain.ResizeEdge', scale=36, edge='short'),
        CenterCrop(24), LoadSegments(str(place / 'val.npy'), (24, 24))])
    # Segments of 36 x 48 cells: a cell is a pixel.
    assert np.array_equal(images[3]['segment_map'],
                          maps.read(3)[6:30, 12:36])
    assert images[3]['img'].shape == (24, 24, 3)


@pytest.mark.parametrize('args, words', [
    (['--segments', 'train.npy'], '12 of the 12 test images have no'),
    (['--segments', 'other.npy'], "there are no segment maps"),
    (['--segments', 'all.npy', '--protocol', 'knn,finetune'],
     'leave finetune out'),
    (['--segments', 'all.npy', '--classes', 'one.txt'], 'names 1 classes'),
])
def test_bad_input_gets_a_sentence(place, args, words):
    (place / 'one.txt').write_text('left\n')
    args = [place / arg if arg.endswith(('.npy', '.txt')) else arg
            for arg in args]
    done = evaluate(place, 'bad', *COMMON, *args)
    assert done.code == 2 and words in done.err, done.err
    assert not (place / 'bad').exists()


def test_an_encoder_without_segment_bias(place):
    done = evaluate(place, 'bad', *COMMON, '--segments', place / 'all.npy',
                    config=ROOT / 'configs/small/mae_small.py')
    assert done.code == 2
    assert 'model.backbone is a MaskedViT with segment_bias' in done.err


def test_maps_of_other_images(place):
    (place / 'others/train/left').mkdir(parents=True)
    Image.new('RGB', (40, 40)).save(place / 'others/train/left/a.png')
    call_tool('generate_segments', place / 'others', '--out',
              place / 'others.npy')
    done = evaluate(place, 'bad', *COMMON, '--segments', place / 'others.npy')
    assert done.code == 2
    assert 'holds the segments of 1 images that are not those' in done.err
