# Copyright (c) OpenMMLab. All rights reserved.
"""Mask metrics and attention selection, started as a user starts them."""
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from started_tools import call_tool

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
SMALL = ROOT / 'configs' / 'small' / 'sbam_small.py'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photos(tmp_path):
    """Three pictures with a bright object, its mask and its box."""
    rng = np.random.default_rng(0)
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'masks').mkdir()
    boxes = {}
    for i, (x, y) in enumerate([(4, 8), (20, 4), (8, 16)]):
        pixels = rng.integers(0, 60, (40, 40, 3), np.uint8)
        mask = np.zeros((40, 40), np.uint8)
        pixels[y:y + 16, x:x + 16] += 180
        mask[y:y + 16, x:x + 16] = 1
        Image.fromarray(pixels).save(tmp_path / 'photos' / f'{i}.png')
        Image.fromarray(mask).save(tmp_path / 'masks' / f'{i}.png')
        boxes[f'{i}.png'] = [[x, y, 16, 16]]
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    return tmp_path


def test_metrics_of_png_and_boxes_agree(photos):
    tables = []
    for annotations in ('masks', 'boxes.json'):
        stem = photos / 'out' / annotations.removesuffix('.json')
        result = call_tool(
            'mask_metrics', '--config', SMALL, '--images', 'photos',
            '--annotations', annotations, '--compare', 'sbam,gpa', '--seeds',
            2, '--batch-size', 2, '--out', stem)
        assert result.code == 0, result.err
        tables.append(json.loads(stem.with_suffix('.json').read_text()))
        page = stem.with_suffix('.md').read_text()
        assert page in result.out
        for words in ('| SBAM, r = 0.75 ± 0.15 |', '| Random, r = 0.75',
                      'seeds 0, 1;', "GPA: own attention in place of a "
                      "teacher's; block 3 in place of 9", '100% of the train'):
            assert words in page
    assert tables[0]['maskers'] == tables[1]['maskers']
    assert len(tables[0]['images']) == 3 and tables[0]['left_out'] == 0
    for one in tables[0]['maskers'].values():
        hidden, per_image = one['hidden'], one['hidden']['per_image']
        assert hidden['mean'] == pytest.approx(np.mean(per_image), abs=1e-5)
        assert hidden['error'] == pytest.approx(
            np.std(per_image, ddof=1) / 3**.5, abs=1e-5)
    random = tables[0]['maskers']['Random, r = 0.75']
    assert random['hidden']['mean'] == .75
    assert random['boundary_salient'] == dict(
        mean=None, error=None, images=0, per_image=[None] * 3)


def test_selection(photos):
    result = call_tool(
        'select_attention', '--config', SMALL, '--images', 'photos',
        '--annotations', 'boxes.json', '--out', 'sel.png')
    assert result.code == 0, result.err
    found = json.loads((photos / 'sel.json').read_text())
    assert [one['recall'] for one in found['heads']] == sorted(
        (one['recall'] for one in found['heads']), reverse=True)
    assert len(found['heads']) == 4 * (3 + 1)
    best = found['heads'][0]
    for text in (result.out, (photos / 'sel.md').read_text()):
        assert f"type='sbam_mm.GPA', block={best['block']}" in text
        assert 'random weights' in text
    with Image.open(photos / 'sel.png') as image:
        image.load()
        assert image.width > 600
    assert found['chance'] == pytest.approx(
        sum(found['annotated']) / (3 * 64))


@pytest.mark.parametrize('tool', ['mask_metrics', 'select_attention'])
@pytest.mark.parametrize('case, words', [
    ('missing', 'no annotation for photos/3.png'),
    ('size', 'has 40 x 40 pixels, but its objects in'),
    ('empty', None),
])
def test_bad_annotations_get_a_sentence(photos, tool, case, words):
    masks = photos / 'masks'
    if case == 'missing':
        Image.new('RGB', (40, 40)).save(photos / 'photos' / '3.png')
    elif case == 'size':
        Image.new('L', (40, 30), 1).save(masks / '2.png')
    else:
        for path in masks.iterdir():
            Image.new('L', (40, 40)).save(path)
        words = {'mask_metrics': 'none of the 3 images has an object',
                 'select_attention': 'annotation of 0.png is empty'}[tool]
    result = call_tool(
        tool, '--config', SMALL, '--images', 'photos', '--annotations',
        'masks', '--out', 'out/x')
    assert result.code == 2
    assert words in result.err and 'Traceback' not in result.err
    assert result.err.count('\n') == 1
    assert not (photos / 'out').exists()


def test_a_masker_that_asks_for_too_much(photos):
    result = call_tool(
        'mask_metrics', '--config', SMALL, '--images', 'photos',
        '--annotations', 'masks', '--compare', 'sbam,hpm')
    assert result.code == 2
    assert "HPM cannot be drawn: HPMMasker needs 'predicted_loss'" in (
        result.err)
