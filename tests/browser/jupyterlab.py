"""A real JupyterLab on 127.0.0.1 and a real Chromium on it, for tests, benchmarks, screenshots."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Browser, Page, sync_playwright

_SERVER = [
    "--no-browser",
    "--allow-root",
    "--ip=127.0.0.1",
    "--ServerApp.port_retries=0",
    "--IdentityProvider.token=",
    "--ServerApp.password=",
    "--ServerApp.disable_check_xsrf=True",
    "--LabApp.expose_app_in_browser=True",
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
]
_CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


def chromium() -> str | None:
    """Return the path of a Chromium on this machine, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


class JupyterServer:
    """A JupyterLab server over a folder, with its settings in a place of its own."""

    def __init__(self, notebooks: Path, state: Path) -> None:
        self.notebooks = notebooks
        self._state = state
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server in its own session and wait until it answers."""
        self._state.mkdir(parents=True, exist_ok=True)
        names = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "IPYTHONDIR": "ipython",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
        }
        # Without an answer on record, JupyterLab covers the corner with a question about news.
        answers = self._state / "settings" / "@jupyterlab" / "apputils-extension"
        answers.mkdir(parents=True, exist_ok=True)
        (answers / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
        environment = {**os.environ, **{k: str(self._state / v) for k, v in names.items()}}
        self._log = (self._state / "server.log").open("w")
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyterlab",
                *_SERVER,
                f"--port={self.port}",
                f"--notebook-dir={self.notebooks}",
            ],
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                self.api("status")
                return
            time.sleep(0.3)
        self.stop()
        raise RuntimeError(f"JupyterLab did not start:\n{(self._state / 'server.log').read_text()}")

    def stop(self) -> None:
        """End the server and its kernels."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._log.close()

    def api(self, path: str, method: str = "GET") -> Any:
        """Call the server's REST API."""
        request = urllib.request.Request(f"{self.url}/api/{path}", method=method)
        with urllib.request.urlopen(request, timeout=5) as response:
            body = response.read()
        return json.loads(body) if body else None

    def end_sessions(self) -> None:
        """End all kernels: JupyterLab would take up one of the same notebook path again."""
        for session in self.api("sessions"):
            with contextlib.suppress(urllib.error.HTTPError):
                self.api(f"sessions/{session['id']}", "DELETE")

    def write_notebook(self, name: str, *cells: str) -> None:
        """Write a notebook of code cells."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={
                "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
            },
        )
        nbformat.write(notebook, self.notebooks / name)


class LabPage:
    """One notebook open in the browser; collects page errors and every request."""

    def __init__(self, browser: Browser, server: JupyterServer, **context: Any) -> None:
        self.server = server
        self._context = browser.new_context(
            **{"viewport": {"width": 1400, "height": 1000}, **context}
        )
        self.page: Page = self._context.new_page()
        self.page_errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.page_errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("websocket", lambda websocket: self.requests.append(websocket.url))

    def open(self, notebook: str) -> None:
        """Open a notebook and wait for its kernel."""
        self.page.goto(f"{self.server.url}/lab/tree/{notebook}?reset")
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Wait until the current notebook has a connected kernel."""
        self.page.wait_for_function(
            """() => {
                const app = window.jupyterapp;
                const context = app?.shell?.currentWidget?.context;
                return context?.sessionContext?.session?.kernel?.connectionStatus === 'connected';
            }""",
            timeout=90_000,
        )

    def run_all(self, timeout: float = 120_000) -> None:
        """Run all cells and wait until each has run and the kernel is idle."""
        self.command("notebook:run-all-cells")
        self.page.wait_for_function(
            """() => {
                const panel = window.jupyterapp.shell.currentWidget;
                const cells = [...panel.content.model.cells];
                const code = cells.filter(c => c.type === 'code' && c.sharedModel.source.trim());
                const idle = panel.sessionContext.session.kernel.status === 'idle';
                return idle && code.every(c => c.executionCount);
            }""",
            timeout=timeout,
        )

    def command(self, name: str, **arguments: Any) -> None:
        """Run a JupyterLab command."""
        self.page.evaluate(
            "([name, args]) => window.jupyterapp.commands.execute(name, args)", [name, arguments]
        )

    def set_theme(self, *, dark: bool) -> None:
        """Change JupyterLab's theme and wait until it is on and all of it is seen."""
        theme = "JupyterLab Dark" if dark else "JupyterLab Light"
        self.command("apputils:change-theme", theme=theme)
        light = "false" if dark else "true"
        self.page.wait_for_selector(f'body[data-jp-theme-light="{light}"]', state="attached")
        # a veil lies over the page for a moment longer
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")

    def execute(self, code: str) -> str:
        """Run code in the notebook's kernel; return what it prints, or raise with its error."""
        result = self.page.evaluate(
            """async code => {
                const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
                const future = kernel.requestExecute({code});
                let text = '', error = null;
                future.onIOPub = message => {
                    if (message.header.msg_type === 'stream') text += message.content.text;
                    if (message.header.msg_type === 'error') error = message.content.evalue;
                };
                await future.done;
                return {text, error};
            }""",
            code,
        )
        if result["error"]:
            raise AssertionError(f"kernel: {result['error']}")
        return str(result["text"])

    @property
    def outside_requests(self) -> list[str]:
        """Return the requests that did not go to 127.0.0.1."""
        inside = (f"{self.server.url}/", f"ws://127.0.0.1:{self.server.port}/", "data:", "blob:")
        return [url for url in self.requests if not url.startswith(inside)]

    def close(self) -> None:
        """Close the page."""
        self._context.close()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[tuple[JupyterServer, Browser]]:
    """Run a server over `folder/notebooks` and a browser; both end with the block."""
    notebooks = folder / "notebooks"
    notebooks.mkdir(parents=True, exist_ok=True)
    server = JupyterServer(notebooks, folder / "state")
    server.start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium(), args=_CHROMIUM, timeout=120_000
            )
            try:
                yield server, browser
            finally:
                browser.close()
    finally:
        server.stop()
