# Copyright (c) OpenMMLab. All rights reserved.
"""The report says what the numbers say, and needs no other file."""
import base64
import io
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from sbam_mm.visualization import RunResult, build_report, summarise

pytestmark = pytest.mark.unit

KNN, LINEAR = 'kNN top-1', 'linear top-1'


@pytest.fixture
def runs():
    return [
        RunResult('random', 'Random masking', {KNN: 41.04, LINEAR: 45.2},
                  images_per_second=812.3, visible_tokens=16.,
                  config='model = dict(a=1)\n# <script>\n', seconds=300.2),
        RunResult('sbam', 'SBAM', {KNN: 41.93, LINEAR: 44.9},
                  images_per_second=760.1, visible_tokens=18.34)
    ]


@pytest.fixture
def floors():
    return [RunResult('pixels', 'Raw pixels', {KNN: 33.9, LINEAR: None})]


def figure():
    out = Figure(figsize=(2, 1))
    out.subplots().imshow(np.zeros((4, 4)))
    return out


def test_summary_names_the_winner_of_each_metric(runs, floors):
    text = summarise(runs, floors)
    assert ('On kNN top-1, SBAM is best with 41.9 %, 0.9 points above random '
            'masking (41.0 %). Both are above raw pixels (33.9 %).') in text
    assert ('On linear top-1, random masking is best with 45.2 %, 0.3 points '
            'above SBAM (44.9 %).') in text
    assert 'one seed' in text and 'no evidence' in text
    assert '16.0 patches' in text and '760 images/s' in text


def test_summary_admits_what_is_below_a_floor(runs):
    floors = [RunResult('p', 'Raw pixels', {KNN: 41.5}),
              RunResult('q', 'Random-init features', {KNN: 30.})]
    text = summarise(runs, floors)
    assert 'random masking is not above raw pixels' in text
    assert 'SBAM is not above' not in text and 'Both are' not in text


def test_summary_of_equal_and_of_missing_numbers():
    a, b = RunResult('a', 'A', {KNN: 40.}), RunResult('b', 'B', {KNN: 40.01})
    assert 'B and A are equal at 40.0 %' in summarise([a, b], [])
    assert summarise([RunResult('a', 'A', {KNN: None})], []) == ''
    assert summarise([a], []) == 'On kNN top-1, A reaches 40.0 %.'


def test_report_is_complete(tmp_path, runs, floors):
    path = tmp_path / 'deep' / 'report.html'
    build_report(
        path, runs, floors,
        [('Curves', 'A <b>caption</b>.', figure()), ('Masks', '', figure())],
        dict(data='CIFAR-10', seed=0, command='make quickstart'))
    page = path.read_text(encoding='utf-8')
    for text in ('41.0', '41.9', '45.2', '44.9', '33.9', '812', '760', '16.0',
                 '18.3', '300 s', 'Raw pixels', 'CIFAR-10', 'Seed', 'Curves',
                 'make quickstart', 'mmengine', 'mmpretrain', 'torch',
                 'Python', 'cores', 'model = dict(a=1)', '<details>'):
        assert text in page, text
    # What is given is shown, not executed.
    assert '<script>' not in page and '<b>caption' not in page
    # Nothing is fetched from elsewhere.
    assert not re.search(r'(src|href)="(?!data:)', page)
    pictures = re.findall(r'base64,([A-Za-z0-9+/=]+)', page)
    assert len(pictures) == 2
    for picture in pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            image.load()
            assert image.size == (300, 150)
    # Bold is the best of the runs, per metric, and never a floor.
    bold = re.findall(r'<td class="best">([^<]*)</td>', page)
    assert bold == ['45.2', '41.9']


def test_config_from_a_file(tmp_path):
    (tmp_path / 'c.py').write_text('seed = 7')
    assert RunResult('a', 'A', config=tmp_path / 'c.py').config_text() == (
        'seed = 7')
    assert RunResult('a', 'A').config_text() is None
