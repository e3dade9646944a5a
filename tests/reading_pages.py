# Copyright (c) OpenMMLab. All rights reserved.
"""Pages of results, read as a browser reads them."""
import base64
import io
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

CHROMIUM = Path('/usr/bin/chromium')


class Picture(NamedTuple):
    """An embedded picture.

    Attributes:
        pixels (np.ndarray): uint8, (H, W, 3).
        alt (str): "image: heading".
        at (str or None): Places of the slider at which it is shown.
        below (str): The line below it.
    """
    pixels: np.ndarray
    alt: str
    at: str | None
    below: str


class Page(HTMLParser):
    """Elements, text and pictures of a page."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.rows, self.pictures = [], [], []
        self.text, self._at, self._cell = '', None, None
        self.feed(Path(path).read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag == 'tr':
            self.rows.append([])
        if tag in ('td', 'th'):
            self.rows[-1].append('')
            self._cell = True
        if tag == 'div':
            self._at = attrs.get('data-at')
        if tag == 'img':
            content = base64.b64decode(attrs['src'].partition('base64,')[2])
            with Image.open(io.BytesIO(content)) as image:
                pixels = np.asarray(image.convert('RGB'))
            assert pixels.shape[:2] == (int(attrs['height']),
                                        int(attrs['width']))
            self.pictures.append(
                Picture(pixels, attrs['alt'], self._at, ''))

    def handle_endtag(self, tag):
        if tag in ('td', 'th'):
            self._cell = None

    def handle_data(self, data):
        self.text += data
        if self._cell:
            self.rows[-1][-1] += data
        if self.pictures:
            last = self.pictures[-1]
            self.pictures[-1] = last._replace(below=last.below + data)


def browser():
    """A started Chromium, or the test is skipped."""
    api = pytest.importorskip('playwright.sync_api')
    if not CHROMIUM.exists():
        pytest.skip('needs Chromium')
    driver = api.sync_playwright().start()
    chromium = driver.chromium.launch(
        executable_path=str(CHROMIUM), args=['--no-sandbox'])
    return driver, chromium
