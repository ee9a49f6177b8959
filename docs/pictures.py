"""Takes the pictures of the README anew, from a real JupyterLab: python -m docs.pictures."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, expect

from tests.browser.jupyterlab import LabPage, running

FOLDER = Path(__file__).parent
PROMPT = "Why does this test hang only on CI? Find out and fix it. Please hurry!"
LAB = f"import hydra_nb as hy\nlab = hy.lab(text={PROMPT!r})\nlab"
PATIENCE_MS = 60_000


def together(page: Any, first: Locator, last: Locator, path: Path) -> None:
    """Take one picture from the top of `first` to the bottom of `last`."""
    top, bottom = first.bounding_box(), last.bounding_box()
    if top is None or bottom is None:
        raise SystemExit(f"{first} or {last} is not on screen")
    page.screenshot(
        path=path,
        clip={
            "x": top["x"] - 8,
            "y": top["y"] - 8,
            "width": top["width"] + 14,
            "height": bottom["y"] + bottom["height"] - top["y"] + 16,
        },
    )


def main() -> None:
    """Write the four pictures beside this file."""
    expect.set_options(timeout=PATIENCE_MS)
    with tempfile.TemporaryDirectory() as scratch, running(Path(scratch)) as (server, browser):
        server.write_notebook("lab.ipynb", LAB)
        lab = LabPage(browser, server, viewport={"width": 1400, "height": 3600})
        lab.open("lab.ipynb")
        lab.run_all()
        page = lab.page
        page.evaluate("window.jupyterapp.shell.collapseLeft()")
        page.set_viewport_size({"width": 1170, "height": 3600})
        prompt, solver = (
            page.get_by_role("region", name=name, exact=True) for name in ("Prompt", "Solver")
        )
        what_if, workload = page.locator(".hy-what-if"), page.locator(".hy-workload")
        expect(prompt).to_contain_text("ignored")
        expect(what_if).to_have_attribute("data-state", "ready")
        together(page, prompt, solver, FOLDER / "lab-light.png")
        what_if.screenshot(path=FOLDER / "what-if.png")
        workload.get_by_role("button", name="Load the bundled workload", exact=True).click()
        expect(workload.locator(".hy-proof")).to_contain_text("proven optimal")
        expect(workload.get_by_text("Who takes over")).to_be_visible()
        workload.screenshot(path=FOLDER / "workload.png")
        lab.set_theme(dark=True)
        together(page, solver, solver, FOLDER / "lab-dark.png")
        lab.close()


if __name__ == "__main__":
    main()
