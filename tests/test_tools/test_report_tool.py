# Copyright (c) OpenMMLab. All rights reserved.
"""tools/report.py on real, tiny trainings of grey images."""
import json
import re
import shutil

import numpy as np
import pytest
from mmengine.config import Config
from reading_pages import Page, browser
from small_runs import small_config, train, write_images
from started_tools import call_tool

from sbam_mm.engine.run_log import by_epoch, read_scalars, training_summary
from sbam_mm.registry import MODELS
from sbam_mm.visualization.curves import PANELS
from sbam_mm.visualization.pixels import GREY

pytestmark = pytest.mark.integration

# Folders are named by others.
HOSTILE = '<img src=x onerror=alert(1)>'
GREY_IMAGES = dict(
    model__data_preprocessor__type='sbam_mm.SelfSupDataPreprocessor',
    model__data_preprocessor__mean=[120.],
    model__data_preprocessor__std=[60.],
    model__backbone__in_channels=1, model__neck__in_channels=1,
    train_dataloader__dataset__channels=1, train_cfg__max_epochs=2)


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """Images, and the finished trainings <script>alert(2) and random."""
    place = tmp_path_factory.mktemp('report')
    images = write_images(place / 'images', classes=(HOSTILE, 'a&b "c"'))
    for base, name in (('sbam_small', '<script>alert(2)'),
                       ('mae_small', 'random')):
        config = small_config(place / 'config.py', images, base,
                              **GREY_IMAGES)
        cfg = Config.fromfile(config)
        folder = dict(type='sbam_mm.ImageFolder', data_root=str(images),
                      pipeline=[dict(type='Resize', scale=(32, 32)),
                                dict(type='PackInputs')])
        cfg.custom_hooks.append(dict(
            type='sbam_mm.KNNHook', bank=dict(folder, data_prefix='train'),
            query=dict(folder, data_prefix='test'), k=3, at_start=True))
        cfg.dump(config)
        ended = train(config, place / name)
        assert ended.code == 0, ended.err
    return place


@pytest.fixture(scope='module')
def both(place):
    """The page of both trainings."""
    out = place / 'out' / 'both.html'
    ended = call_tool('report', place / '<script>alert(2)', place / 'random',
                      '--out', out)
    assert ended.code == 0, ended.err
    assert ended.out == f'Report: {out}\n'
    return out


def test_numbers_are_those_of_the_logs(place, both):
    page = Page(both)
    for name in ('<script>alert(2)', 'random'):
        records = read_scalars(place / name)
        summary = training_summary(records, 4)
        row, = (row for row in page.rows if row[0] == name)
        assert row == [name, f'{summary["knn_top1"]:.1f}',
                       f'{summary["visible_tokens"]:.1f}',
                       f'{summary["images_per_second"]:.0f}']
        epochs = by_epoch(records, [panel.key for panel in PANELS])
        assert list(epochs) == [0, 1, 2]
        for epoch, numbers in epochs.items():
            wanted = [str(epoch)] + [
                format(numbers[key], form) if key in numbers else '–'
                for key, form in (('loss', '.4f'), ('knn_top1', '.1f'),
                                  ('mask_ratio', '.1%'),
                                  ('visible_tokens', '.1f'), ('lr', '.2e'))]
            assert wanted in [row[:6] for row in page.rows], wanted
    titles = [panel.title for panel in PANELS]
    shown = [attrs['aria-label'] for tag, attrs in page.tags
             if tag == 'figure' and 'aria-label' in attrs]
    assert shown == titles


def test_pictures_are_grey_and_of_every_checkpoint(place, both):
    page = Page(both)
    by_heading = {}
    for picture in page.pictures:
        assert picture.pixels.shape == (32, 32, 3)
        by_heading.setdefault(picture.alt.rpartition(': ')[2], []).append(
            picture)
    # Six test images of two runs; untrained and two epochs.
    assert len(by_heading['Image']) == 12
    assert {p.at for p in by_heading['Image']} == {None}
    assert len(by_heading['Reconstruction']) == 36
    assert {p.at for p in by_heading['Reconstruction']} == {'0', '1', '2'}
    # SBAM's salience is of the weights; random masks are the same draws.
    assert len(by_heading['Salience']) == 18
    assert 12 <= len(by_heading['Masked']) <= 24
    for heading in ('Image', 'Masked', 'Reconstruction'):
        for picture in by_heading[heading]:
            assert (np.ptp(picture.pixels, axis=2) == 0).all(), heading
    for picture in by_heading['Masked'][:12]:
        hidden = (picture.pixels == GREY[0]).all(2)[::4, ::4].mean()
        # Noise hardly ever has the grey of hidden patches all over a patch.
        assert f'{hidden:.0%} hidden' in picture.below


def test_what_others_have_named_stays_text(both):
    page, source = Page(both), both.read_text(encoding='utf-8')
    assert HOSTILE in page.text and 'a&b "c"' in page.text
    assert '<script>alert(2)' in page.text
    assert HOSTILE not in source and '<script>alert' not in source
    assert [tag for tag, _ in page.tags].count('script') == 1
    assert not [a for _, a in page.tags if 'onerror' in a]
    assert not re.search(r'(src|href)="(?!data:|#)', source)
    assert "default-src 'none'" in source


def test_the_page_in_a_browser(both):
    driver, chromium = browser()
    try:
        for width, scheme in ((1280, 'light'), (400, 'dark')):
            page = chromium.new_page(
                viewport=dict(width=width, height=800), color_scheme=scheme)
            said, asked = [], []
            page.on('console', lambda message, said=said: said.append(
                message.text))
            page.on('pageerror', lambda error, said=said: said.append(
                str(error)))
            page.on('dialog', lambda box, said=said: said.append(box.message))
            page.on('request', lambda request, asked=asked: asked.append(
                request.url))
            page.goto(both.as_uri())
            check_page(page)
            assert said == []
            assert {url.partition(':')[0] for url in asked} <= {'file',
                                                                'data'}
            page.close()
    finally:
        chromium.close()
        driver.stop()


def check_page(page):
    """Nothing sticks out; slider, keys and enlarging do what they should."""
    page.eval_on_selector_all('details', 'all => all.forEach(d => d.open = 1)')
    assert page.evaluate('document.documentElement.scrollWidth <= innerWidth')
    # What is cut off could be scrolled to nowhere.
    assert page.evaluate("""[...document.querySelectorAll('main *')].filter(
        e => !e.closest('.scroll, pre, svg') &&
        e.getBoundingClientRect().right > innerWidth + 1).length""") == 0
    shown = page.locator('.run').first.locator('.row').first.locator(
        'figure').last.locator('img:visible')
    slider = page.locator('.times input').first
    assert page.locator('.times output').first.inner_text() == '2'
    trained = shown.get_attribute('src')
    slider.focus()
    page.keyboard.press('Home')
    assert page.locator('.times output').first.inner_text() == 'untrained'
    untrained = shown.get_attribute('src')
    assert untrained != trained and shown.count() == 1
    page.keyboard.press('End')
    assert shown.get_attribute('src') == trained
    small = shown.bounding_box()
    page.locator('.run .row').first.click()
    large = page.locator('dialog .row img:visible').last
    assert large.get_attribute('src') == trained
    assert large.bounding_box()['width'] > 1.5 * small['width']
    page.locator('dialog input').focus()
    page.keyboard.press('Home')
    assert large.get_attribute('src') == untrained
    assert shown.get_attribute('src') == untrained
    name = page.locator('dialog .name').inner_text()
    page.locator('dialog .step').last.click()
    assert page.locator('dialog .name').inner_text() != name
    page.keyboard.press('Escape')
    assert not page.locator('dialog').is_visible()


@pytest.fixture
def copied(place, tmp_path):
    """A training of its own, to be damaged."""
    return shutil.copytree(place / 'random', tmp_path / 'run')


def read(folder, *args):
    """The page of a training, which is written into it by default."""
    ended = call_tool('report', folder, *args)
    assert ended.code == 0, ended.err
    return Page(folder / 'report.html')


def test_half_a_line_and_what_other_projects_log(copied):
    path, = copied.glob('*/vis_data/scalars.json')
    lines = path.read_text()
    path.write_text(
        lines + json.dumps(dict(note='text', table=[1], loss='high', step=8))
        + '\n{"loss": 0.1, "st')
    page = read(copied)
    assert '0.1000' not in [cell for row in page.rows for cell in row]
    assert len(page.pictures) > 0


def test_another_project(copied):
    path, = copied.glob('*/vis_data/config.py')
    path.write_text("model = dict(type='OtherMIM', backbone=dict())\n"
                    'raise SystemExit(print("run"))\n')
    page = read(copied)
    assert 'No pictures of run: ' in page.text and 'OtherMIM' in page.text
    assert page.pictures == [] and len(page.rows) > 3


def test_without_checkpoints(copied):
    for path in copied.glob('*.pth'):
        path.unlink()
    page = read(copied)
    assert 'has no checkpoint' in page.text and page.pictures == []


def test_only_the_last_checkpoint_and_a_damaged_one(copied):
    (copied / 'epoch_1.pth').write_bytes(b'half')
    page = read(copied)
    assert 'epoch_1.pth' in page.text
    assert 'has kept one checkpoint' in page.text
    assert {p.at for p in page.pictures if 'Recon' in p.alt} == {'0', '1'}


def test_without_the_images_of_the_run(copied):
    path, = copied.glob('*/vis_data/config.py')
    path.write_text(re.sub(r"data_root='[^']*'", "data_root='gone'",
                           path.read_text()))
    page = read(copied)
    assert 'photographs of scikit-image' in page.text
    pictures = [p for p in page.pictures if p.alt.endswith(': Image')]
    assert [p.alt for p in pictures] == [
        f'{name}: Image' for name in ('astronaut', 'cat', 'coffee', 'rocket')]
    assert all((np.ptp(p.pixels, axis=2) == 0).all() for p in pictures)


def test_images_of_the_user(copied, place):
    path = place / 'images' / 'test' / HOSTILE / '1.png'
    page = read(copied, '--images', path)
    assert {p.alt for p in page.pictures} == {
        f'1.png: {name}' for name in ('Image', 'Masked', 'Reconstruction')}


def test_a_masker_of_ones_own(copied, monkeypatch, tmp_path):
    path, = copied.glob('*/vis_data/config.py')
    text = path.read_text()
    path.write_text(text.replace('sbam_mm.RandomMasker', 'sbam_mm.AllButRow'))
    assert path.read_text() != text
    (tmp_path / 'all_but_row.py').write_text("""
import torch
from sbam_mm.masking import RandomMasker, TokenMask
from sbam_mm.registry import MODELS

@MODELS.register_module()
class AllButRow(RandomMasker):
    def forward(self, context):
        masked = torch.ones(context.tokens.shape[:2], dtype=torch.bool)
        masked[:, :8] = False
        return TokenMask(masked)
""")
    monkeypatch.syspath_prepend(tmp_path)
    known = dict(MODELS.module_dict)
    assert 'No pictures of run: ' in read(copied).text
    try:
        page = read(copied, '--import', 'all_but_row')
    finally:
        MODELS.module_dict.clear()
        MODELS.module_dict.update(known)
    masked = [p for p in page.pictures if p.alt.endswith(': Masked')]
    assert len(masked) == 6  # the same at every checkpoint
    for picture in masked:
        assert (picture.pixels[4:] == GREY[0]).all()
        assert '88% hidden' in picture.below


@pytest.mark.parametrize('args, words', [
    (['nowhere'], 'nowhere has no log of a training'),
    (['.'], 'has no log of a training'),
    (['run', '--out', 'a.pdf'], '--out a.pdf must end in .html'),
    (['run', 'run/.'], 'is given twice'),
    (['run', '--images', 'no.png'], 'the image no.png does not exist'),
    (['list'], 'is no log of a training'),
    (['run', '--import', 'no_such_masker'],
     "--import no_such_masker: Python does not find 'no_such_masker'"),
])
def test_bad_input_gets_a_sentence(copied, monkeypatch, args, words):
    monkeypatch.chdir(copied.parent)
    log = copied.parent / 'list' / '1' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('[1, 2]\n')
    ended = call_tool('report', *args)
    assert ended.code == 2
    assert words in ended.err and 'Traceback' not in ended.err
    assert not list(copied.parent.rglob('*.html'))
