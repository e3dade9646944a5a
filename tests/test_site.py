# Copyright (c) OpenMMLab. All rights reserved.
"""`make docs` builds a site without warnings, whose links lead somewhere."""
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from extend_pages import blocks
from sphinx.util.inventory import InventoryFile

from sbam_mm import masking, registry
from sbam_mm.masking.parts import AsksContext

pytestmark = pytest.mark.integration
pytest.importorskip('myst_nb')
ROOT = Path(__file__).parents[1]


def load(file):
    """A module of docs/, which is no package."""
    path = ROOT / 'docs' / file
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where its dataclasses look
    spec.loader.exec_module(module)
    return module


REMOTE = re.compile(r'url\(["\']?(?:https?:)?//|@import|'
                    r'(?:import|fetch|src=)[ (]*["\'](?:https?:)?//')


class Page(HTMLParser):
    """What a page refers to, and what can be referred to in it."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], set()
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.anchors |= {known[key] for key in ('id', 'name') if key in known}
        if tag == 'a' and known.get('href'):
            self.links.append(known['href'])
        if tag in ('script', 'img', 'source', 'iframe') and known.get('src'):
            self.loaded.append(known['src'])
        if tag == 'link' and known.get('rel') not in ('next', 'prev'):
            self.loaded.append(known['href'])


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """Folder of the built site."""
    folder = tmp_path_factory.mktemp('site')
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'sphinx', '-b', 'html', '-q',
         '-W', '--keep-going', '-E', '-d', folder / 'doctrees', 'docs',
         folder / 'html'],
        cwd=ROOT, capture_output=True, text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)))
    assert done.returncode == 0, done.stderr
    return folder / 'html'


@pytest.fixture(scope='module')
def pages(site):
    """All pages, by path."""
    return {path: Page(path) for path in site.rglob('*.html')}


def test_links_and_anchors_lead_somewhere(pages):
    assert len(pages) > 40
    wrong = []
    for path, page in pages.items():
        for link in page.links + page.loaded:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve(
            ) if parts.path else path
            if not target.is_file() or parts.fragment and (
                    target in pages and
                    unquote(parts.fragment) not in pages[target].anchors):
                wrong.append((path.name, link))
    assert not wrong


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for path, page in pages.items():
        assert not [link for link in page.loaded
                    if urlsplit(link).netloc], path
    for path in [*site.rglob('*.css'), *site.rglob('*.js')]:
        assert not REMOTE.search(path.read_text(encoding='utf-8')), path


def registered():
    """Types of the maskers that a config can name."""
    registry.MODELS.import_from_location()
    return {
        name for name, kind in registry.MODELS.module_dict.items()
        if inspect.isclass(kind) and issubclass(kind, AsksContext)
        and kind.__module__.startswith('sbam_mm.')
    } - {'Masker'}


def test_every_masker_is_in_the_gallery(site):
    text = (site / 'gallery.html').read_text(encoding='utf-8')
    sections = dict(re.findall(
        r'<section id="([\w-]+)">\n<h3>.*?</h3>(.*?)</section>', text, re.S))
    for name in registered():
        section = sections[name.lower()]
        picture = re.search(r'src="(_images/[^"]+)"', section)[1]
        assert (site / picture).stat().st_size > 2000, name
        source = re.search(r'Source</strong>: (.*?)</p>', section, re.S)
        assert source and len(source[1]) > 20, name
        assert f'sbam_mm.{name}' in section
        assert 'Cost</strong>' in section
    # Two maskers are mixtures of parts with names of their own.
    assert {'automae', 'centre'} <= sections.keys()


@pytest.mark.parametrize('package', [
    'attention', 'datasets', 'downstream', 'engine.hooks', 'engine.optim',
    'evaluation', 'hub', 'masking', 'models', 'packed', 'segments', 'studies',
    'visualization'])
def test_every_public_name_is_in_the_api(site, package):
    with (site / 'objects.inv').open('rb') as file:
        inventory = InventoryFile.load(file, '', lambda _, path: path)
    known = {name.rpartition('.')[2] for kind in (
        'py:class', 'py:function', 'py:exception')
        for name in inventory[kind]}
    module = importlib.import_module(f'sbam_mm.{package}')
    public = {name for name in module.__all__ if inspect.isclass(
        getattr(module, name)) or inspect.isfunction(getattr(module, name))}
    assert public <= known


def test_a_masker_of_the_user_comes_into_the_gallery(monkeypatch):
    gallery = load('_ext/gallery.py')

    class Mine(masking.SBM):
        """Mine.

        Source: nowhere.
        """

    monkeypatch.setitem(registry.MODELS.module_dict, 'Mine', Mine)
    config = dict(type='sbam_mm.Mine')
    assert gallery.gallery_configs()['Mine'] == {'mine': config}
    drawn = gallery.Artist().draw('mine', config)
    assert drawn.picture.size == (4 * (gallery.TILE + gallery.GAP)
                                  - gallery.GAP, gallery.TILE)
    assert gallery.source_of(drawn.masker) == 'nowhere.'


def test_figures_of_the_concepts_are_up_to_date(tmp_path):
    make = load('images/make.py')
    make.draw(tmp_path)
    for name in ('parts.svg', 'packed.svg'):
        texts = [re.findall('<text [^>]*>(.*?)</text>',
                            (folder / name).read_text(encoding='utf-8'), re.S)
                 for folder in (tmp_path, make.FOLDER)]
        assert texts[0] == texts[1] and len(texts[0]) > 10, (
            f'run python docs/images/make.py: {name} is old')


def test_flowcharts_are_drawn_as_they_are_read():
    flowchart = load('_ext/flowchart.py')
    text = 'flowchart BT\n a & b --> c["C, too"] & d\n d --> e\n a --> e'
    labels, arrows = flowchart.read(text)
    assert labels == {'a': 'a', 'b': 'b', 'c': 'C, too', 'd': 'd', 'e': 'e'}
    assert set(arrows) == {('a', 'c'), ('a', 'd'), ('b', 'c'), ('b', 'd'),
                           ('d', 'e'), ('a', 'e')}
    drawn = flowchart.svg(text)
    assert re.findall('<text [^>]*>(.*?)</text>', drawn) == [*labels.values()]
    assert drawn.count('marker-end') == len(arrows)
    # An arrow never goes down, and boxes of a row do not overlap.
    places, _ = flowchart.layout(labels, arrows)
    assert all(places[start][1] < places[end][1] for start, end in arrows)
    (a, row), (b, other) = places['a'], places['b']
    assert row == other and abs(a - b) > 2 * flowchart.PAD


def test_read_the_docs_builds_what_is_here():
    text = (ROOT / '.readthedocs.yaml').read_text(encoding='utf-8')
    config = yaml.safe_load(text)
    assert (ROOT / config['sphinx']['configuration']).is_file()
    assert config['sphinx']['fail_on_warning']
    extras = re.search(r'-e \.\[([\w,]+)\]', text)[1].split(',')
    setup = (ROOT / 'setup.py').read_text(encoding='utf-8')
    assert {'docs', 'report', 'onedl'} <= set(extras)
    assert all(f"'{extra}':" in setup for extra in extras)


def test_the_tour_calls_a_masker():
    found = {}
    for code in blocks('start.md', 'python'):
        exec(code, found)
    assert found['mask'].masked.shape == (8, 196)
    assert found['mask'].visible_counts.shape == (8, )
