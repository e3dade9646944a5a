# Copyright (c) OpenMMLab. All rights reserved.
"""The server of the page: on this machine alone, and with no other."""
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sbam_mm.errors import UserError
from sbam_mm.extra_libraries import extra_library

# Before Gradio is imported, which asks for them then.
os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
os.environ.setdefault('HF_HUB_OFFLINE', '1')

# The next lines need it.
extra_library('gradio', 'explore', 'the page')

# ruff: noqa: E402
import gradio as gr
from starlette.middleware import Middleware
from uvicorn.config import LOGGING_CONFIG

from .look import CSS
from .page import Setup, build_page
from .uploads import MAX_BYTES

FIRST_PORT, PORTS = 7860, 20
# The browser itself refuses what would go elsewhere.
POLICY = ("default-src 'self'; script-src 'self' 'unsafe-inline' "
          "'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; img-src "
          "'self' data: blob:; font-src 'self' data:; connect-src 'self' "
          "data: blob:; worker-src 'self' blob:; frame-ancestors 'self'; "
          "form-action 'self'; base-uri 'self'; object-src 'none'")
FONTS = ('system-ui', 'Segoe UI', 'Roboto', 'Helvetica', 'Arial',
         'sans-serif')
MONO = ('ui-monospace', 'SFMono-Regular', 'Menlo', 'Consolas', 'monospace')


class SaysPolicy:
    """ASGI middleware that adds the policy to every answer."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sends(message: dict) -> None:
            if message['type'] == 'http.response.start':
                message['headers'] = [
                    *message.get('headers', ()),
                    (b'content-security-policy', POLICY.encode()),
                    (b'x-content-type-options', b'nosniff'),
                    (b'referrer-policy', b'no-referrer')]
            await send(message)

        await self.app(scope, receive, sends)


def free_port(host: str, port: int | None) -> int:
    """The port asked for, or the first free one from 7860 on.

    Raises:
        UserError: If it is taken, or the host is none of this machine.
    """
    ports = [port] if port else range(FIRST_PORT, FIRST_PORT + PORTS)
    for one in ports:
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        with socket.socket(family) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind((host, one))
            except socket.gaierror as error:
                raise UserError(f'--host {host} is no address; 127.0.0.1 is '
                                'this machine alone.') from error
            except PermissionError as error:
                raise UserError(f'port {one} is reserved for the system; '
                                'choose one above 1023.') from error
            except OSError as error:
                if error.errno == 99:  # EADDRNOTAVAIL
                    raise UserError(
                        f'--host {host} is no address of this machine; '
                        '127.0.0.1 is this machine alone, 0.0.0.0 lets '
                        'others in.') from error
                continue
            return one
    if port:
        raise UserError(f'port {port} is taken; choose another --port, or '
                        'leave it out for the next free one.')
    raise UserError(f'ports {FIRST_PORT} to {FIRST_PORT + PORTS - 1} are all '
                    'taken; choose another --port.')


@contextmanager
def logs_left_open() -> Iterator[None]:
    """Let uvicorn set levels alone, which Gradio has no argument for.

    Its own handlers would take the place of all that there are: the log file
    of a training in this process would be closed, and mmengine could build
    no model any more.
    """
    before = LOGGING_CONFIG['handlers']
    LOGGING_CONFIG.update(incremental=True, handlers={})
    try:
        yield
    finally:
        LOGGING_CONFIG.update(incremental=False, handlers=before)


def theme() -> gr.themes.Base:
    """Quiet colours and the system's fonts."""
    return gr.themes.Default(
        primary_hue='blue', secondary_hue='blue', neutral_hue='slate',
        font=FONTS, font_mono=MONO, spacing_size='sm', radius_size='md').set(
            body_text_color_subdued='*neutral_500',
            body_text_color_subdued_dark='*neutral_400')


def serve(setup: Setup, host: str = '127.0.0.1', port: int | None = None,
          wait: bool = True, browser: bool = False) -> Any:
    """Open the page; it ends with Ctrl-C.

    Args:
        host (str): 127.0.0.1 is this machine alone.
        port (int, optional): Defaults to None, the first free one from 7860.
        wait (bool): Return only when it ends. False returns the page, with
            ``local_url`` and ``close()``.
        browser (bool): Open it in the browser.
    """
    port = free_port(host, port)
    page = build_page(setup)
    page.queue(default_concurrency_limit=2, max_size=64)
    with logs_left_open():
        page.launch(
            server_name=host, server_port=port, share=False, quiet=True,
            inbrowser=browser, prevent_thread_lock=True, show_error=False,
            max_file_size=MAX_BYTES, footer_links=[], run_history=False,
            ssr_mode=False, mcp_server=False, enable_monitoring=False,
            theme=theme(), css=CSS,
            app_kwargs=dict(middleware=[Middleware(SaysPolicy)],
                            docs_url=None, redoc_url=None, openapi_url=None))
    if wait:
        page.block_thread()
    return page
