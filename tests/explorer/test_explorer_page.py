# Copyright (c) OpenMMLab. All rights reserved.
"""The page in a real browser: what a visitor clicks, and what is refused."""
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from PIL import Image
from started_tools import ROOT, load_tool
from test_uploads import write_files

from sbam_mm.errors import UserError
from sbam_mm.explorer.panels import cells
from sbam_mm.explorer.screenshots import browser, find_browser
from sbam_mm.visualization import model_from_config

pytestmark = pytest.mark.integration
pytest.importorskip('gradio', reason='the page needs gradio')
pytest.importorskip('playwright', reason='a browser is driven by playwright')
if find_browser() is None:
    pytest.skip('no chromium is installed', allow_module_level=True)

SMALL = ROOT / 'configs/small/sbam_small.py'
# Milliseconds; a busy machine shall fail no test.
PATIENCE = 120_000


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory):
    """Of a training of which two checkpoints are left."""
    folder = tmp_path_factory.mktemp('work')
    for epoch in (1, 4):
        model, _ = model_from_config(SMALL, seed=epoch)
        torch.save(dict(state_dict=model.state_dict()),
                   folder / f'epoch_{epoch}.pth')
    return folder


@pytest.fixture(scope='module')
def setup(work_dir):
    """That training with two maskers."""
    return load_tool('explore').prepare(arguments(
        '--config', SMALL, '--work-dir', work_dir, '--compare',
        'sbam,random'))


@pytest.fixture(scope='module')
def page(setup):
    from sbam_mm.explorer.serve import serve
    opened = serve(setup)
    yield opened
    opened.close()


@pytest.fixture(scope='module')
def chromium():
    with browser() as opened:
        yield opened


@pytest.fixture(scope='module')
def window(chromium):
    """A browser's window, which keeps the scripts of the page."""
    opened = chromium.new_context(viewport=dict(width=1280, height=900))
    opened.set_default_timeout(PATIENCE)
    return opened


@pytest.fixture
def tab(window, page):
    """A fresh tab in which both maskers are drawn."""
    tab = window.new_page()
    tab.requests, tab.errors = [], []
    tab.on('request', lambda one: tab.requests.append(one.url))
    tab.on('pageerror', lambda one: tab.errors.append(str(one)))
    tab.goto(page.local_url)
    tab.wait_for_function(
        "document.querySelectorAll('.maskers .numbers').length == 2")
    tab.get_by_label('number input for delta_r').wait_for()
    yield tab
    assert not tab.errors
    tab.close()


def arguments(*words):
    tool = load_tool('explore')
    before, sys.argv = sys.argv, ['explore.py', *map(str, words)]
    try:
        return tool.parse_args()
    finally:
        sys.argv = before


def numbers(tab, place=0):
    return tab.locator('.maskers .numbers').nth(place).inner_text()


def wait_for(tab, text, place=0):
    tab.wait_for_function(
        '([text, place]) => document.querySelectorAll(".maskers .numbers")'
        '[place]?.innerText.includes(text)', arg=[text, place])


def set_number(tab, label, value):
    field = tab.get_by_label(f'number input for {label}').first
    field.fill(str(value))
    field.press('Enter')


def test_a_visit(tab, page):
    """Page loads take seconds, so one visitor does it all."""
    # Masks and reconstructions without a click.
    assert '16 of 64' in numbers(tab, 1)
    assert tab.locator('.maskers .frame').count() == 4
    assert tab.locator('.maskers img.layer').count() == 2
    # Everything comes from this machine.
    hosts = {url.split('/')[2] for url in tab.requests if '://' in url}
    assert hosts == {page.local_url.split('/')[2]}

    # A slider changes mask and config of one masker.
    set_number(tab, 'ratio', .5)
    tab.wait_for_function(
        "document.querySelectorAll('.maskers .numbers')[0].innerText"
        ".match(/Ratio asked for\\s+(3[5-9]|[45]\\d|6[0-5]) %/)")
    assert '16 of 64' in numbers(tab, 1)
    tab.get_by_text('Config', exact=True).first.click()
    lines = tab.locator('.maskers .cm-content').first
    lines.wait_for()
    assert 'ratio=0.5' in lines.inner_text()
    assert 'noise' not in lines.inner_text()

    # What cannot be is a sentence, and goes with its cause.
    tab.get_by_text('More options').first.click()
    field = tab.locator('.option', has_text='max_visible').locator(
        'input, textarea')
    field.press_sequentially('many')
    tab.get_by_text("max_visible is a number, or nothing, and not 'many'"
                    ).wait_for()
    for _ in 'many':
        field.press('Backspace')
    tab.wait_for_function(
        "document.querySelectorAll('.maskers .numbers').length == 2")

    # Another masker has its own options.
    tab.locator('.maskers .masker input').nth(1).click()
    tab.get_by_role('option', name='Grid', exact=True).click()
    tab.get_by_label('number input for stride').wait_for()
    for _ in range(20):  # a new field may not listen yet
        set_number(tab, 'stride', 4)
        tab.wait_for_timeout(1000)
        if re.search(r'\b4 of 64', numbers(tab, 1)):
            break
    assert re.search(r'\b4 of 64', numbers(tab, 1))

    # Images are chosen by a click.
    tab.locator('#row button').nth(1).click()
    tab.wait_for_function(
        "document.querySelectorAll('.maskers .frame').length == 8")
    assert tab.locator('#row button[aria-pressed=true]').count() == 2

    # More maskers, and a figure of them.
    tab.get_by_label('4', exact=True).check()
    tab.wait_for_function(
        "document.querySelectorAll('.maskers .numbers').length == 4")
    for kind, begin in (('PDF', b'%PDF'), ('SVG', b'<?xml')):
        tab.get_by_label(kind, exact=True).check()
        with tab.expect_download() as waited:
            tab.get_by_role('button', name='Save figure').click()
        assert waited.value.suggested_filename == f'masks.{kind.lower()}'
        content = Path(waited.value.path()).read_bytes()
        assert content.startswith(begin)
    # Two images; the four masks of each, and what is made of them.
    assert content.count(b'<image ') == 2 * (1 + 4 + 4)
    assert b'small.py, checkpoints of work' in content
    assert b'epoch 4 of' in content

    # Without a layer.
    assert tab.locator('.maskers .frame').count() == 16
    tab.get_by_label('Reconstruction').uncheck()
    tab.wait_for_function(
        "document.querySelectorAll('.maskers .frame').length == 8")


def test_checkpoints_and_attention(tab):
    def layers():
        return tab.locator('#attention .layer').get_attribute('src')

    tab.locator('#attention .layer').wait_for()
    last, made = layers(), tab.locator('.maskers img.layer').first
    before = made.get_attribute('src')
    tab.locator('#attention .frame').click(position=dict(x=1, y=1))
    tab.get_by_text('the patch in row 1, column 1').wait_for()
    assert layers() != last
    set_number(tab, 'Checkpoint', 1)
    tab.wait_for_function(
        'before => document.querySelector(".maskers img.layer").src != '
        'before', arg=before)
    tab.wait_for_function(
        "document.querySelector('[aria-label=\"number input for Progress\"]')"
        ".value != '1'")
    tab.locator('#moment').get_by_text('epoch 1 of').wait_for()


OWN = """import torch

from sbam_mm.masking import FixedRatio, Masker, NoisyTopK
from sbam_mm.registry import MODELS


class FromTheLeft(torch.nn.Module):
    def forward(self, context):
        rows, columns = context.grid
        scores = torch.linspace(1, 0, columns).repeat(rows)
        return scores.expand(len(context.tokens), -1)


@MODELS.register_module()
class LeftFirst(Masker):
    \"\"\"Hides from the left to the right.

    Args:
        ratio (float): Share that is hidden.
    \"\"\"

    def __init__(self, ratio=0.5):
        super().__init__(FromTheLeft(), FixedRatio(ratio), NoisyTopK(0.))
"""


def test_objects_a_teacher_and_a_masker_of_ones_own(window, tmp_path):
    """The tool as it is started in a shell."""
    (tmp_path / 'my_left.py').write_text(OWN)
    (tmp_path / 'my_config.py').write_text(
        f"_base_ = '{SMALL}'\ncustom_imports = dict(imports=['my_left'], "
        "allow_failed_imports=False)\nmodel = dict(masker=dict("
        "_delete_=True, type='sbam_mm.LeftFirst'))\n")
    teacher, _ = model_from_config(SMALL, seed=9)
    torch.save(dict(state_dict=teacher.state_dict()), tmp_path / 'teacher.pth')
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'noise.png')
    left = np.zeros((64, 64), np.uint8)
    left[:, :32] = 1
    (tmp_path / 'objects').mkdir()
    Image.fromarray(left).save(tmp_path / 'objects' / 'noise.png')
    words = [tmp_path / 'noise.png', '--teacher', tmp_path / 'teacher.pth',
             '--annotations', tmp_path / 'objects']

    # What AttMask hides by that teacher, which is not the model itself.
    setup, alone = (load_tool('explore').prepare(arguments(
        *some, '--config', SMALL)) for some in (words, words[:1]))
    attmask = setup.maskers['AttMask-high']
    wanted, other = (cells(one.session.mask(attmask, one.keys).hidden[0])
                     for one in (setup, alone))
    assert wanted != other

    with subprocess.Popen(
            [sys.executable, ROOT / 'tools/explore.py', *words, '--config',
             tmp_path / 'my_config.py', '--compare',
             'left-first,attmask-high'],
            env={**os.environ, 'PYTHONPATH': f'{ROOT}:{tmp_path}'},
            stdout=subprocess.PIPE, text=True) as started:
        tab = window.new_page()
        try:
            found = map(re.compile(r'http://[\d.:]+').search, started.stdout)
            tab.goto(next(filter(None, found))[0])
            wait_for(tab, 'Of background hidden', 1)
            shares = re.findall(r'(\w+) hidden\s+(\d+ %)', numbers(tab))
            assert shares == [('objects', '100 %'), ('background', '0 %')]
            drawn = tab.locator('.maskers .frame path')
            assert drawn.nth(0).get_attribute('d') == ''.join(
                f'M0 {row}h4v1h-4z' for row in range(8))
            assert drawn.nth(2).get_attribute('d') == wanted
            set_number(tab, 'ratio', .75)
            wait_for(tab, '50 %')
        finally:
            tab.close()
            started.terminate()


def test_dropped_files(tab, tmp_path):
    """Good ones are shown, hostile ones named, and the server goes on."""
    wrong = write_files(tmp_path)
    files = sorted(tmp_path.iterdir())
    Image.fromarray(np.full((700, 40, 3), 200, np.uint8)).save(
        tmp_path / '<b>tall.png')
    tab.locator('#drop input[type=file]').set_input_files(
        [*files, tmp_path / '<b>tall.png'])
    tab.locator('#said .sentence').first.wait_for()
    said = tab.locator('#said').inner_text()
    for name in wrong:
        assert name in said
    assert 'Traceback' not in said and str(tmp_path) not in said
    assert 'moves.gif has several frames' in said
    shown = len(files) - len(wrong) + 1
    tab.wait_for_function(
        'count => document.querySelectorAll("#row [aria-pressed=true]")'
        '.length == count', arg=shown)
    wait_for(tab, 'of 64')


@pytest.mark.parametrize('path', [
    'gradio_api/file=/etc/passwd', f'gradio_api/file={ROOT}/setup.py',
    'gradio_api/file=setup.py', 'file=/etc/passwd',
    'gradio_api/file=../../../../etc/passwd',
    'gradio_api/proxy=http://127.0.0.1/x', 'docs', 'openapi.json'])
def test_no_file_of_the_machine_is_served(page, path):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f'{page.local_url}{path}')
    assert refused.value.code in (400, 403, 404, 405)


def test_nothing_of_the_page_is_an_interface_for_programs(page):
    info = json.load(urllib.request.urlopen(
        f'{page.local_url}gradio_api/info'))
    assert not info['named_endpoints']
    answer = urllib.request.urlopen(page.local_url)
    assert "connect-src 'self'" in answer.headers['content-security-policy']


def test_narrow_pages_do_not_overflow(chromium, page):
    tab = chromium.new_page(viewport=dict(width=400, height=800),
                            color_scheme='dark')
    tab.set_default_timeout(PATIENCE)
    tab.goto(page.local_url)
    tab.wait_for_function(
        "document.querySelectorAll('.maskers .numbers').length == 2")
    assert tab.evaluate('document.documentElement.scrollWidth') == 400
    assert tab.evaluate("document.body.classList.contains('dark')")
    tab.close()


def test_log_files_stay_open(setup, tiny_mae, tmp_path):
    """mmengine writes into them whenever it builds a model."""
    from sbam_mm.explorer.serve import serve
    log = tmp_path / 'training.log'
    logger = MMLogger.get_instance('trained', log_file=str(log))
    try:
        serve(setup).close()
        tiny_mae()
        logger.warning('still here')
    finally:
        del MMLogger._instance_dict['trained']
    text = log.read_text()
    assert 'Initialization information' in text and 'still here' in text


def test_ports():
    from sbam_mm.explorer.serve import listen
    with listen('127.0.0.1', None) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f'port {port} is taken'):
            listen('127.0.0.1', port)
    with listen('127.0.0.1', port) as again:
        assert again.getsockname()[1] == port
    with pytest.raises(UserError, match='no address'):
        listen('300.1.1.1', None)
    with pytest.raises(UserError, match='of this machine'):
        listen('192.0.2.1', None)


def test_pages_that_open_at_once_take_different_ports():
    from sbam_mm.explorer.serve import listen
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(lambda _: listen('127.0.0.1', None), range(8)))
    ports = {one.getsockname()[1] for one in held}
    for one in held:
        one.close()
    assert len(ports) == 8


def test_a_closed_page_frees_its_port(setup):
    from sbam_mm.explorer.serve import listen, serve
    served = serve(setup)
    port = int(served.local_url.rstrip('/').rpartition(':')[2])
    with pytest.raises(UserError, match='is taken'):
        listen('127.0.0.1', port)
    served.close()
    listen('127.0.0.1', port).close()
