# Copyright (c) OpenMMLab. All rights reserved.
"""The server of the page: on this machine alone, and with no other."""
import errno
import os
import socket
import webbrowser
from threading import Thread
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
import uvicorn
from fastapi import FastAPI
from starlette.middleware import Middleware

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


def listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens at the port, or the first free one from 7860.

    The server is given it as it is: nobody can take the port between here
    and there.

    Raises:
        UserError: If it is taken, or the host is none of this machine.
    """
    ports = [port] if port else range(FIRST_PORT, FIRST_PORT + PORTS)
    for one in ports:
        held = socket.socket(socket.AF_INET6 if ':' in host
                             else socket.AF_INET)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind((host, one))
            # Two may bind the same port; only one of them may listen.
            held.listen()
            return held
        except OSError as error:
            held.close()
            if isinstance(error, socket.gaierror):
                raise UserError(f'--host {host} is no address; 127.0.0.1 is '
                                'this machine alone.') from error
            if isinstance(error, PermissionError):
                raise UserError(f'port {one} is reserved for the system; '
                                'choose one above 1023.') from error
            if error.errno == errno.EADDRNOTAVAIL:
                raise UserError(
                    f'--host {host} is no address of this machine; 127.0.0.1 '
                    'is this machine alone, 0.0.0.0 lets others in.'
                ) from error
    if port:
        raise UserError(f'port {port} is taken; choose another --port, or '
                        'leave it out for the next free one.')
    raise UserError(f'ports {FIRST_PORT} to {FIRST_PORT + PORTS - 1} are all '
                    'taken; choose another --port.')


def theme() -> gr.themes.Base:
    """Quiet colours and the system's fonts."""
    return gr.themes.Default(
        primary_hue='blue', secondary_hue='blue', neutral_hue='slate',
        font=FONTS, font_mono=MONO, spacing_size='sm', radius_size='md').set(
            body_text_color_subdued='*neutral_500',
            body_text_color_subdued_dark='*neutral_400')


class Served:
    """A page that is open: its address, and how it ends.

    Gradio's own ``launch`` looks for a free port and takes it later, gives
    up on a server that needs more than five seconds to start, and closes
    every log file of the process.
    """

    def __init__(self, page: gr.Blocks, held: socket.socket):
        host, port = held.getsockname()[:2]
        host = 'localhost' if host in ('0.0.0.0', '::') else host
        shown = f'[{host}]' if ':' in host else host
        self.local_url = f'http://{shown}:{port}/'
        app = gr.mount_gradio_app(
            FastAPI(docs_url=None, redoc_url=None, openapi_url=None,
                    middleware=[Middleware(SaysPolicy)]),
            page, '/', server_name=host, server_port=port, show_error=False,
            max_file_size=MAX_BYTES, footer_links=[], run_history=False,
            ssr_mode=False, mcp_server=False, enable_monitoring=False,
            theme=theme(), css=CSS,
            app_kwargs=dict(docs_url=None, redoc_url=None, openapi_url=None))
        # Tabs that are still open do not keep it from ending.
        self.server = uvicorn.Server(uvicorn.Config(
            app, log_config=None, log_level='error',
            timeout_graceful_shutdown=1))
        self.held = held
        self.thread = Thread(target=self.server.run,
                             kwargs=dict(sockets=[held]), daemon=True)
        self.thread.start()
        while not self.server.started:
            self.thread.join(0.01)
            if not self.thread.is_alive():
                raise RuntimeError('the server of the page did not start')

    def wait(self) -> None:
        """Until Ctrl-C."""
        try:
            while self.thread.is_alive():
                self.thread.join(0.2)
        except KeyboardInterrupt:
            self.close()

    def close(self) -> None:
        """End the server; its port is free afterwards."""
        self.server.should_exit = True
        self.thread.join(5)
        self.held.close()


def serve(setup: Setup, host: str = '127.0.0.1', port: int | None = None,
          browser: bool = False) -> Served:
    """Open the page.

    Args:
        host (str): 127.0.0.1 is this machine alone.
        port (int, optional): Defaults to None, the first free one from 7860.
        browser (bool): Open it in the browser.
    """
    held = listen(host, port)
    page = build_page(setup)
    page.queue(default_concurrency_limit=2, max_size=64)
    served = Served(page, held)
    if browser:
        webbrowser.open(served.local_url)
    return served
