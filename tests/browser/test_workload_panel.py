"""The workload panel as its users meet it: real JupyterLab, real browser, real solver."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import REQUIRED
from tests.browser.jupyterlab import LabPage

pytestmark = pytest.mark.browser

OpenLab = Callable[..., LabPage]
AXE = Path(__file__).parents[2] / "hydra_nb/widgets/frontend/node_modules/axe-core/axe.min.js"
LAB = """
import threading
import hydra_nb as hy
from hydra_nb.solver import Constraints

class Steady:
    gate = threading.Event()
    gate.set()

    def predict(self, texts, turns=None):
        self.gate.wait(30)
        return hy.Requirements([[0.4, 0.3, 0.2, 0.1]] * len(texts))

lab = hy.lab(predictor=Steady())
lab
"""


def region(lab: LabPage) -> Locator:
    return lab.page.locator(".hy-workload")


def button(lab: LabPage, name: str) -> Locator:
    return region(lab).get_by_role("button", name=name, exact=True)


def proof(lab: LabPage) -> Locator:
    return region(lab).locator(".hy-proof")


def opened(open_lab: OpenLab, **context: object) -> LabPage:
    """Return a lab with the bundled workload, planned."""
    lab = open_lab(LAB, **context)
    button(lab, "Load the bundled workload").click()
    expect(proof(lab)).to_contain_text("proven optimal")
    return lab


def add_limit(lab: LabPage, label: str) -> Locator:
    """Add a limit and return its row."""
    region(lab).get_by_label("Add a limit").select_option(label=label)
    row = region(lab).get_by_role("list", name="Limits").get_by_role("listitem").last
    expect(row).to_contain_text(label)
    return row


def fill(row: Locator, name: str, text: str) -> None:
    field = row.get_by_label(name)
    field.fill(text)
    field.press("Enter")


def test_without_a_workload_there_is_one_line_to_load_one(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    expect(region(lab).get_by_text("No workload yet:")).to_be_visible()
    expect(region(lab).locator(".hy-loaded")).to_be_hidden()


def test_the_bundled_workload_shows_cost_shares_and_proof(open_lab: OpenLab) -> None:
    lab = opened(open_lab)
    expect(region(lab).get_by_text("400 prompts")).to_be_visible()
    expect(region(lab).get_by_text("Cost a month")).to_be_visible()
    shares = region(lab).get_by_role("list", name="Requests per model")
    expect(shares.get_by_role("listitem").first).to_contain_text("%")


def test_a_price_edit_moves_requests_and_names_them(open_lab: OpenLab) -> None:
    lab = opened(open_lab)
    lab.execute("lab._store.edit_cell('gpt-5.4-mini', 'usd_per_mtok_input', '9')")
    headline = region(lab).locator(".hy-headline")
    expect(headline).to_have_text(re.compile(r"^[\d,]+ of 234,900 requests move$"))
    flows = region(lab).get_by_role("list", name="Flows between models")
    expect(flows.get_by_role("listitem").first).to_contain_text("gpt-5.4-mini → ")
    expect(region(lab).locator(".hy-flows svg path")).not_to_have_count(0)


def test_a_limit_is_typed_refused_corrected_and_undone(open_lab: OpenLab) -> None:
    lab = opened(open_lab)
    row = add_limit(lab, "Most requests of a model")
    expect(row).to_contain_text("not in force until it is filled in")
    row.get_by_role("combobox").select_option("gpt-5.4-mini")
    fill(row, "at most", "many")
    expect(row).to_contain_text("must be a whole number")
    expect(row.get_by_label("at most")).to_have_attribute("aria-invalid", "true")
    fill(row, "at most", "1000")
    expect(
        region(lab).get_by_text("In force: gpt-5.4-mini: at most 1,000 requests")
    ).to_be_visible()
    expect(row).to_contain_text("at its limit")
    expect(region(lab).get_by_role("list", name="Shadow prices")).to_contain_text("would save")
    region(lab).get_by_role("button", name="Undo").click()
    expect(row.get_by_label("at most")).to_have_value("many")


def test_an_impossible_budget_is_explained_and_relaxed_by_a_click(open_lab: OpenLab) -> None:
    lab = opened(open_lab)
    row = add_limit(lab, "Budget")
    fill(row, "at most", "5")
    expect(proof(lab)).to_contain_text("proven impossible")
    expect(region(lab).get_by_text("No plan satisfies these limits.")).to_be_visible()
    region(lab).get_by_role("button", name="Apply: raise the budget").click()
    expect(proof(lab)).to_contain_text("proven optimal")


def test_pasted_prompts_are_scored_with_progress_and_can_be_cancelled(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    button(lab, "Paste prompts …").click()
    area = region(lab).get_by_label("Prompts to paste")
    area.fill("\n".join(f"prompt {n}" for n in range(40)))
    lab.execute("Steady.gate.clear()")
    button(lab, "Score these prompts").click()
    expect(region(lab).get_by_role("progressbar")).to_have_attribute("aria-valuenow", "0")
    expect(region(lab).get_by_text("0 of 40 prompts scored")).to_be_visible()
    button(lab, "Cancel").click()
    expect(region(lab).get_by_role("progressbar")).to_be_hidden()
    lab.execute("Steady.gate.set()")
    expect(region(lab).get_by_text("No workload yet:")).to_be_visible()
    button(lab, "Paste prompts …").click()
    button(lab, "Score these prompts").click()
    expect(region(lab).get_by_text("40 prompts · 40 requests a month")).to_be_visible()


def test_a_file_is_read_and_a_bad_one_refused_with_its_row(
    open_lab: OpenLab, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    # More than a part, so that it travels in several.
    good.write_text("text,arrivals\n" + "".join(f"{'word ' * 400}{n},2\n" for n in range(700)))
    bad.write_text("text,arrivals\nhello,2\nyou,none\n")
    lab = open_lab(LAB)
    picker = region(lab).locator("input[type=file]")
    picker.set_input_files(str(good))
    expect(region(lab).get_by_text("good.csv · 700 prompts · 1,400 requests")).to_be_visible()
    picker.set_input_files(str(bad))
    expect(region(lab).get_by_text("bad.csv, row 3, arrivals")).to_be_visible()
    expect(region(lab).get_by_text("good.csv · 700 prompts")).to_be_visible()


def test_the_fleet_is_proven_for_every_k(open_lab: OpenLab) -> None:
    lab = opened(open_lab)
    region(lab).locator("summary").filter(has_text="Fleet").click()
    expect(region(lab).get_by_text("5 of 5 proven")).to_be_visible()
    table = region(lab).get_by_role("table", name="Fleets of at most K models")
    expect(table.get_by_role("row").nth(1)).to_contain_text("impossible")
    expect(region(lab).locator(".hy-fleet svg circle")).to_have_count(4)


def test_the_state_outlives_a_reload_of_the_page(open_lab: OpenLab) -> None:
    lab = opened(open_lab)
    row = add_limit(lab, "Budget")
    fill(row, "at most", "lots")
    expect(row).to_contain_text("must be a number")
    button(lab, "Paste prompts …").click()
    region(lab).get_by_label("Prompts to paste").fill("half a prompt")
    lab.command("docmanager:save")
    lab.page.reload()
    lab.wait_for_kernel()
    expect(region(lab).get_by_label("Budget: at most")).to_have_value("lots")
    expect(region(lab).get_by_label("Prompts to paste")).to_have_value("half a prompt")
    expect(proof(lab)).to_contain_text("proven optimal")


def test_the_kernel_stays_responsive_while_a_plan_is_made(open_lab: OpenLab) -> None:
    lab = opened(open_lab)
    lab.execute(
        "import hydra_nb.widgets.workload_answers as answers\n"
        "real, gate = answers.plan, threading.Event()\n"
        "def slow(*rest, stop, **options):\n"
        "    while not (gate.is_set() or stop()): gate.wait(0.05)\n"
        "    return real(*rest, stop=stop, **options)\n"
        "answers.plan = slow"
    )
    row = add_limit(lab, "Most requests of a model")
    row.get_by_role("combobox").select_option("gpt-5.4-mini")
    fill(row, "at most", "1000")
    expect(proof(lab)).to_contain_text("planning …; at least $")
    assert lab.execute("print(6 * 7)").strip() == "42"
    lab.execute("gate.set()")
    expect(proof(lab)).to_contain_text("proven optimal")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("state", ["empty", "compared", "refused", "infeasible"])
def test_axe_finds_no_violation(open_lab: OpenLab, dark: bool, state: str) -> None:
    if not AXE.exists() and not os.environ.get(REQUIRED):
        pytest.skip("no axe-core; run `npm ci` in hydra_nb/widgets/frontend for this")
    lab = open_lab(LAB) if state == "empty" else opened(open_lab)
    lab.set_theme(dark=dark)
    if state == "compared":
        lab.execute("lab._store.edit_cell('gpt-5.4-mini', 'usd_per_mtok_input', '9')")
        expect(region(lab).locator(".hy-headline")).to_contain_text("move")
        for title in ("fall short", "Fleet"):
            region(lab).locator("summary").filter(has_text=title).click()
        expect(region(lab).get_by_text("5 of 5 proven")).to_be_visible()
    elif state == "refused":
        button(lab, "Paste prompts …").click()
        row = add_limit(lab, "Monthly fee of a model")
        row.get_by_role("combobox").select_option("gpt-5.4-mini")
        fill(row, "Monthly fee of a model: fee", "abc")
        expect(row).to_contain_text("must be a number")
    elif state == "infeasible":
        fill(add_limit(lab, "Budget"), "at most", "5")
        expect(proof(lab)).to_contain_text("proven impossible")
    lab.page.wait_for_timeout(400)  # colours fade in; contrast is measured on what is there
    lab.page.add_script_tag(path=str(AXE))
    violations = lab.page.evaluate(
        """async () => (await axe.run('.hy-workload')).violations.map(
            v => v.id + ': ' + v.nodes.map(n => n.html + ' ' + n.failureSummary).join(' | '))"""
    )
    assert violations == []
    lab.set_theme(dark=False)
