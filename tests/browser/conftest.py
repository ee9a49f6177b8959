from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.jupyterlab import LabPage, chromium, running

REQUIRED = "HYDRA_NB_REQUIRE_BROWSER"

PATIENCE_MS = 30_000
"""How long an expectation may take to come true: a busy machine is no failure."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if chromium() is None and not os.environ.get(REQUIRED):
        reason = "no Chromium found; install it (Debian: apt-get install chromium) to run this"
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE_MS)
    if chromium() is None:
        pytest.fail(f"{REQUIRED} is set, but there is no Chromium")
    with running(tmp_path_factory.mktemp("jupyter")) as server_and_browser:
        yield server_and_browser


@pytest.fixture
def open_lab(jupyter: Any) -> Iterator[Callable[..., LabPage]]:
    """Return a function that opens a notebook of the given cells and runs it.

    However a test ends, the page must have raised no error and asked nothing of another machine.
    """
    server, browser = jupyter
    pages: list[LabPage] = []

    def open_cells(*cells: str, **context: Any) -> LabPage:
        name = f"test_{len(pages)}.ipynb"
        server.write_notebook(name, *cells)
        page = LabPage(browser, server, **context)
        pages.append(page)
        page.open(name)
        page.run_all()
        return page

    yield open_cells
    for page in pages:
        page.close()
    server.end_sessions()
    assert [error for page in pages for error in page.page_errors] == []
    assert [url for page in pages for url in page.outside_requests] == []
