# Copyright (c) OpenMMLab. All rights reserved.
"""Pictures of the page, as docs/explorer.md has them."""
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sbam_mm.errors import UserError

# Names of files: width in pixels, and the colours the reader prefers.
VIEWS = {
    f'explorer_{name}_{colours}.png': (width, colours)
    for name, width in (('wide', 1280), ('narrow', 400))
    for colours in ('light', 'dark')
}
BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')


def find_browser() -> str | None:
    """Chromium of the system, unless SBAM_MM_BROWSER names another."""
    named = os.environ.get('SBAM_MM_BROWSER')
    return named or next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def browser() -> Iterator[Any]:
    """Playwright's browser, without a window.

    Raises:
        UserError: If Playwright or Chromium is not installed.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError as error:
        raise UserError('screenshots need playwright, which is not installed;'
                        ' run `pip install playwright`.') from error
    path = find_browser()
    if path is None:
        raise UserError('screenshots need Chromium, which is not installed; '
                        'install it (Debian: apt-get install chromium).')
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=path, args=['--no-sandbox'])
        try:
            yield opened
        finally:
            opened.close()


def wait_until_drawn(tab: Any, seconds: float = 60.) -> None:
    """Wait until every masker that is on the page has its numbers."""
    tab.wait_for_function(
        "() => {const all = [...document.querySelectorAll('.maskers "
        ".masker')].filter(x => x.offsetParent); return all.length > 0 && "
        "document.querySelectorAll('.maskers .numbers').length >= all.length"
        '}', timeout=1000 * seconds)


def take_screenshots(url: str, folder: str | Path) -> list[Path]:
    """Write all :data:`VIEWS` of a page into a folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as opened:
        for name, (width, colours) in VIEWS.items():
            tab = opened.new_page(
                viewport=dict(width=width, height=900),
                color_scheme=colours)
            tab.goto(url)
            wait_until_drawn(tab)
            tab.wait_for_timeout(1500)  # fonts and sliders settle
            tab.screenshot(path=folder / name, full_page=True)
            tab.close()
    return [folder / name for name in VIEWS]
