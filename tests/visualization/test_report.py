# Copyright (c) OpenMMLab. All rights reserved.
"""The report says what the numbers say, and needs no other file."""
import base64
import io
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from reading_pages import Page

from sbam_mm.visualization import (
    Album,
    Albums,
    Diagrams,
    Grid,
    RunResult,
    build_report,
    note_on_pixels,
    summarise,
    write_page,
)
from sbam_mm.visualization.curves import training_diagrams

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


def test_a_note_where_pixels_are_ahead(runs):
    pixels = [RunResult('pixels', 'Raw pixels', {KNN: 80.12})]
    start = RunResult('untrained', 'Random-init features', {KNN: 41.5})
    note = note_on_pixels(runs, pixels, start, KNN)
    assert 'pixel by pixel is ahead (80.1 %)' in note
    assert note.endswith('against random-init features (41.5 %): random '
                         'masking −0.5 points and SBAM +0.4 points.')
    short = RunResult('untrained', 'Random-init features', {KNN: 50.})
    assert note_on_pixels(runs, pixels, short, KNN).endswith(
        'so it was too short to help.')
    pixels[0].metrics[KNN] = 40.
    assert note_on_pixels(runs, pixels, start, KNN) == ''


def picture(value):
    return np.full((4, 6, 3), value, np.uint8)


def test_a_cell_has_one_picture_per_stretch_of_equal_moments(tmp_path):
    moments = {
        time: Grid(['Image', *(['Salience'] if time else []), 'Masked'], {
            '<b>': [(picture(9), 'x'), *([(picture(7), '')] if time else []),
                    (picture(masked), f'{masked} hidden')]})
        for time, masked in ((0, 1), (2, 1), (5, 3))}
    write_page(tmp_path / 'a.html', 'A', figures=[
        ('Time', '', Albums([Album('run', moments, 5)], ['A & B.']))])
    page = Page(tmp_path / 'a.html')
    assert [(p.alt, p.at, int(p.pixels[0, 0, 0])) for p in page.pictures] == [
        ('<b>: Image', None, 9),
        # During a warm-up there is no salience.
        ('<b>: Salience', '1 2', 7),
        ('<b>: Masked', '0 1', 1), ('<b>: Masked', '2', 3)]
    assert all(p.pixels.shape == (4, 6, 3) for p in page.pictures)
    range_, = (a for tag, a in page.tags if tag == 'input')
    assert range_['data-times'] == '0 2 5'
    assert range_['data-names'] == 'untrained 2 5'
    assert 'A & B.' in page.text and '3 hidden' in page.text


def test_large_pictures_keep_their_size_and_grey(tmp_path):
    image = np.random.default_rng(0).integers(
        0, 256, (120, 200, 1), dtype=np.uint8).repeat(3, axis=2)
    write_page(tmp_path / 'a.html', 'A',
               figures=[('G', '', Grid(['Image'], {'a': [(image, '')]}))])
    picture, = Page(tmp_path / 'a.html').pictures
    assert picture.pixels.shape == (120, 200, 3)
    assert (np.ptp(picture.pixels, axis=2) == 0).all()


def test_diagrams_take_the_colours_of_the_page(tmp_path):
    log = [dict(loss=1. / step, mask_ratio=.7, mask_ratio_min=.6,
                mask_ratio_max=.8, step=step, epoch=1) for step in (1, 2, 3)]
    runs = {'a<b>': log, 'c': log}
    write_page(tmp_path / 'a.html', 'A', figures=[
        ('C', '', Diagrams(training_diagrams(runs), list(runs), runs))])
    source = (tmp_path / 'a.html').read_text(encoding='utf-8')
    page = Page(tmp_path / 'a.html')
    assert source.count('<svg') == 2 and '<b>' not in source.split('<h2>')[1]
    for wanted in ('var(--ink)', 'var(--c0)', 'var(--c1)', 'a&lt;b&gt;',
                   'Masking ratio: mean, lowest, highest'):
        assert wanted in source
    for colour in ('#1f2933', '#4477aa', '#000000'):
        assert colour not in source.split('<h2>')[1]
    assert ['1', '0.6111', '70.0%'] in page.rows
