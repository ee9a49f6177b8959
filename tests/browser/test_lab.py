"""The lab as its users meet it: real JupyterLab, real browser, real encoder, real solver."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from hydra_nb import DIMENSIONS
from tests.browser.conftest import REQUIRED
from tests.browser.jupyterlab import LabPage

pytestmark = pytest.mark.browser

OpenLab = Callable[..., LabPage]
LABELS = ("Reasoning", "Code generation", "Debugging", "Tool use")
LAB = "import hydra_nb as hy\nlab = hy.lab()\nlab"
PROOF = "Prove that every planar graph is 5-colourable."
LEAK = (
    "Our Go service leaks about 2 MB per minute, but only under TLS with HTTP/2 keep-alives. "
    "The heap profile points at bufio. Find the cause and fix it."
)
OWN = """
import re
from types import SimpleNamespace
import hydra_nb as hy

class Own:
    max_tokens = 512

    def predict(self, texts, turns=None):
        return hy.Requirements([[0.62, 0.08, 0.71, 0.97]] * len(texts))

    def read(self, text, turn=1):
        requirements = hy.Requirements(
            self.predict([text]).values,
            spread=[0.11, 0.12, 0.06, 0.2],
            out_of_domain=["qq" in text],
        )
        ignored = re.findall("use the best model|thanks!", text)
        return SimpleNamespace(requirements=requirements, ignored=ignored, tokens=9, signals=())

    def explain(self, text, turn=1):
        spans = [match.span() for match in re.finditer(r"\\S+", text)]
        debugging = [0.3, 0.2, 0.1, 0.0, -0.05] + [0.0] * len(spans)
        values = [[0.0, 0.0, debugging[index], 0.02] for index in range(len(spans))]
        return SimpleNamespace(text=text, spans=spans, contributions=values)

lab = hy.lab(predictor=Own())
lab
"""
AXE = Path(__file__).parents[2] / "hydra_nb/widgets/frontend/node_modules/axe-core/axe.min.js"


def textarea(lab: LabPage) -> Locator:
    return lab.page.get_by_role("textbox", name="Prompt text")


def meter(lab: LabPage, name: str) -> float:
    value = lab.page.get_by_role("meter", name=name).get_attribute("aria-valuenow")
    return float(value or "nan")


def write(lab: LabPage, text: str) -> None:
    """Put a prompt in and wait until it is scored."""
    textarea(lab).fill(text)
    expect(lab.page.locator(".hy-scores")).to_have_attribute("data-state", "scored")
    expect(lab.page.locator(".hy-stale")).to_have_count(0)


def whisker(lab: LabPage, name: str) -> tuple[float, float]:
    """Return where the whisker of a meter begins and ends, as shares of the meter's inside."""
    low, high = lab.page.get_by_role("meter", name=name).evaluate(
        """async meter => {
            const whisker = meter.querySelector('.hy-whisker');
            await Promise.all(whisker.getAnimations().map(animation => animation.finished));
            const inside = meter.getBoundingClientRect().left + meter.clientLeft;
            const { left, right } = whisker.getBoundingClientRect();
            return [left, right].map(edge => (edge - inside) / meter.clientWidth);
        }"""
    )
    return low, high


def why(lab: LabPage) -> Locator:
    """Return the words under "Why", opened and explained."""
    button = lab.page.get_by_role("button", name="Why", exact=True)
    if button.get_attribute("aria-expanded") == "false":
        button.click()
    region = lab.page.locator(".hy-reasons")
    expect(region).to_have_attribute("data-state", "ready", timeout=30_000)
    return region


def cell(lab: LabPage, model: str, field: str) -> Locator:
    row = lab.page.get_by_role("row").filter(has=lab.page.get_by_text(model, exact=True))
    return row.locator(f'[data-field="{field}"]')


def verdict(lab: LabPage) -> Locator:
    return lab.page.locator(".hy-chosen")


def edit(lab: LabPage, model: str, field: str, typed: str) -> Locator:
    """Double-click a cell, replace what it holds, press Enter; return the editor."""
    cell(lab, model, field).dblclick()
    editor = lab.page.locator(".hy-editor")
    editor.fill(typed)
    editor.press("Enter")
    return editor


def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until something holds that no locator shows."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come to hold in time"
        time.sleep(0.1)


def test_typing_moves_the_bars_and_shows_a_verdict(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    expect(lab.page.locator(".hy-scores")).to_have_attribute("data-state", "empty")
    write(lab, "thanks, that worked!")
    before = {name: meter(lab, name) for name in ("Reasoning", "Debugging")}
    textarea(lab).fill("")
    textarea(lab).press_sequentially(LEAK[:60], delay=15)
    write(lab, LEAK)
    assert meter(lab, "Debugging") > before["Debugging"] + 0.2
    assert meter(lab, "Reasoning") > before["Reasoning"] + 0.2
    expect(lab.page.locator(".hy-aside").first).to_contain_text("live")
    expect(verdict(lab)).to_have_text(re.compile("^[✓!] "))


def test_scores_on_screen_are_those_of_the_python_object(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    write(lab, PROOF)
    printed = lab.execute("print(*lab.requirements.values[0].tolist(), lab.decision.chosen.name)")
    *values, name = printed.split()
    for label, value in zip(LABELS, values, strict=True):
        assert meter(lab, label) == pytest.approx(float(value), abs=6e-4)
    expect(verdict(lab)).to_contain_text(name)


def test_whiskers_reach_from_value_minus_to_value_plus_spread(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    write(lab, PROOF)
    printed = lab.execute(
        "print(*lab.requirements.values[0].tolist(), *lab.requirements.spread[0].tolist())"
    )
    numbers = [float(number) for number in printed.split()]
    for label, value, spread in zip(LABELS, numbers[:4], numbers[4:], strict=True):
        low, high = max(0.0, value - spread), min(1.0, value + spread)
        assert whisker(lab, label) == pytest.approx((low, high), abs=0.005)
        shown = lab.page.get_by_role("meter", name=label)
        expect(shown).to_have_attribute("aria-valuetext", f"{value:.2f}, give or take {spread:.2f}")


def test_a_predictor_that_only_predicts_has_no_whiskers_and_no_why(open_lab: OpenLab) -> None:
    bare = "del Own.read, Own.explain\nlab = hy.lab(predictor=Own())\nlab"
    lab = open_lab(OWN.replace("lab = hy.lab(predictor=Own())\nlab", bare))
    write(lab, PROOF)
    expect(lab.page.get_by_role("meter", name="Debugging")).to_have_attribute(
        "aria-valuetext", "0.71"
    )
    expect(lab.page.locator(".hy-whisker:visible")).to_have_count(0)
    expect(lab.page.get_by_role("button", name="Why", exact=True)).to_have_count(0)


def test_ignored_phrases_are_struck_through_and_a_strange_prompt_is_said(open_lab: OpenLab) -> None:
    lab = open_lab(OWN)
    write(lab, "Fix the loop, use the best model, thanks!")
    chips = lab.page.locator(".hy-ignored s")
    expect(chips).to_have_text(["use the best model", "thanks!"])
    expect(chips.first).to_have_attribute("title", re.compile("do not change what a prompt"))
    expect(lab.page.locator(".hy-unfamiliar")).to_have_text("")
    write(lab, "qqqq zzzz")
    expect(chips).to_have_count(0)
    expect(lab.page.get_by_text("Unlike anything the predictor was trained on")).to_be_visible()
    expect(verdict(lab)).to_have_text(re.compile("^[✓!] "))


def test_why_tints_words_by_the_requirement_that_is_picked(open_lab: OpenLab) -> None:
    lab = open_lab(OWN)
    write(lab, "Fix it only on CI")
    region = why(lab)
    words = region.locator(".hy-words .hy-word")
    expect(lab.page.get_by_role("radio", name="Tool use")).to_be_checked()
    lab.page.get_by_role("radio", name="Tool use").press("ArrowLeft")
    expect(lab.page.get_by_role("radio", name="Debugging")).to_be_checked()
    expect(region.locator(".hy-strongest")).to_have_text(
        "strongest: Fix +0.30 · it +0.20 · only +0.10 · CI −0.05"
    )
    signs = words.evaluate_all("words => words.map(word => word.dataset.sign ?? '')")
    assert signs == ["up", "up", "up", "", "down"]
    expect(words.first).to_have_attribute(
        "title", "+0.30: without it debugging would be 0.30 lower"
    )
    colour = "word => getComputedStyle(word).backgroundColor"
    strong, weak, none = (words.nth(index).evaluate(colour) for index in (0, 2, 3))
    assert len({strong, weak, none}) == 3
    assert words.nth(4).evaluate("word => getComputedStyle(word).borderTopStyle") == "dashed"
    lab.page.get_by_role("button", name="Why", exact=True).click()
    expect(region).to_be_hidden()


def test_why_follows_the_prompt_and_outlives_a_reload(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    write(lab, PROOF)
    words = why(lab).locator(".hy-words")
    expect(words).to_have_text(PROOF)
    lab.page.get_by_role("radio", name="Code generation").check()
    write(lab, LEAK)
    expect(words).to_have_text(LEAK, timeout=30_000)
    expect(why(lab).locator(".hy-strongest")).to_have_text(re.compile("[+−]0|no word moves"))
    shown = why(lab).locator(".hy-strongest").text_content()
    lab.command("docmanager:save")
    lab.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    lab.page.reload()
    lab.wait_for_kernel()
    expect(words).to_have_text(LEAK, timeout=30_000)
    expect(lab.page.get_by_role("radio", name="Code generation")).to_be_checked()
    expect(why(lab).locator(".hy-strongest")).to_have_text(str(shown))


def test_a_price_edit_flips_the_verdict_and_undo_flips_it_back(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    write(lab, "thanks, that worked!")
    expect(verdict(lab)).to_have_text("✓ gpt-5.4-mini")
    edit(lab, "gpt-5.4-mini", "usd_per_mtok_output", "90")
    expect(verdict(lab)).not_to_have_text("✓ gpt-5.4-mini")
    expect(cell(lab, "gpt-5.4-mini", "usd_per_mtok_output")).to_have_class(re.compile("hy-changed"))
    lab.page.get_by_role("button", name="Undo").click()
    expect(verdict(lab)).to_have_text("✓ gpt-5.4-mini")
    expect(cell(lab, "gpt-5.4-mini", "usd_per_mtok_output")).to_have_text("4.50")


def test_switching_a_model_off_sends_the_prompt_elsewhere(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    write(lab, "thanks, that worked!")
    lab.page.get_by_role("checkbox", name="gpt-5.4-mini available").click()
    expect(verdict(lab)).not_to_have_text("✓ gpt-5.4-mini")
    expect(cell(lab, "gpt-5.4-mini", "status")).to_contain_text("switched off")
    assert lab.execute("print(lab.catalog['gpt-5.4-mini'].available)").strip() == "False"


def test_all_models_off_is_said_in_words(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    write(lab, PROOF)
    for box in lab.page.get_by_role("checkbox", name=" available").all():
        box.click()
    expect(lab.page.locator(".hy-why")).to_contain_text("every one of the catalog is switched off")


def test_a_word_in_a_price_is_refused_in_place(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    editor = edit(lab, "gpt-5.4-mini", "usd_per_mtok_input", "abc")
    expect(editor).to_have_attribute("aria-invalid", "true")
    expect(lab.page.locator(".hy-problem")).to_have_text("must be a number")
    expect(editor).to_be_focused()
    editor.press("Escape")
    expect(cell(lab, "gpt-5.4-mini", "usd_per_mtok_input")).to_have_text("0.75")
    assert lab.execute("print(lab.catalog['gpt-5.4-mini'].usd_per_mtok_input)").strip() == "0.75"


def test_a_name_that_is_taken_is_refused_and_a_free_one_is_not(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    editor = edit(lab, "gpt-5.4-mini", "name", "gpt-5.4")
    expect(lab.page.locator(".hy-problem")).to_contain_text("unique")
    editor.fill("mini")
    editor.press("Enter")
    expect(cell(lab, "mini", "name")).to_be_visible()


def test_the_grid_works_from_the_keyboard_alone(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    press = lab.page.keyboard.press
    cell(lab, "gpt-5.4-mini", "name").click()
    press("ArrowDown")
    expect(cell(lab, "gpt-5.3-codex", "name")).to_be_focused()
    press("Home")
    press("Space")
    expect(lab.page.get_by_role("checkbox", name="gpt-5.3-codex available")).not_to_be_checked()
    press("Control+z")
    expect(lab.page.get_by_role("checkbox", name="gpt-5.3-codex available")).to_be_checked()
    press("Control+Shift+z")
    expect(lab.page.get_by_role("checkbox", name="gpt-5.3-codex available")).not_to_be_checked()
    press("PageUp")
    press("ArrowRight")
    press("ArrowRight")  # the provider column is hidden at this width
    lab.page.keyboard.type("7.5")
    press("Tab")
    expect(cell(lab, "gpt-5.4-mini", "usd_per_mtok_input")).to_have_text("7.50")
    expect(cell(lab, "gpt-5.4-mini", "usd_per_mtok_output")).to_be_focused()


def test_keys_typed_in_the_lab_never_reach_the_notebook(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    count = "() => window.jupyterapp.shell.currentWidget.content.model.cells.length"
    before = lab.page.evaluate(count)
    lab.page.get_by_role("button", name="+ Add").focus()
    lab.page.keyboard.press("b")
    textarea(lab).press("Shift+Enter")
    assert lab.page.evaluate(count) == before


def test_models_are_added_duplicated_and_removed(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    lab.page.get_by_role("button", name="+ Add").click()
    expect(cell(lab, "new-model", "name")).to_be_focused()
    cell(lab, "gpt-5.4", "name").click()
    lab.page.get_by_role("button", name="Duplicate", exact=True).click()
    expect(cell(lab, "gpt-5.4-copy", "name")).to_be_focused()
    lab.page.get_by_role("button", name="Remove", exact=True).click()
    expect(lab.page.get_by_text("gpt-5.4-copy", exact=True)).to_have_count(0)
    lab.page.get_by_role("button", name="Reset", exact=True).click()
    expect(lab.page.locator(".hy-grid tbody tr")).to_have_count(5)


def test_another_sample_opens_and_undo_brings_the_first_back(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    lab.page.get_by_label("Open a sample catalog").select_option("market_20")
    expect(lab.page.locator(".hy-grid tbody tr")).to_have_count(20)
    lab.page.get_by_role("button", name="Undo").click()
    expect(lab.page.locator(".hy-grid tbody tr")).to_have_count(5)


def test_threshold_and_weights_move_the_verdict(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    write(lab, LEAK)
    expect(verdict(lab)).not_to_contain_text("gpt-5.4-mini")
    slider = lab.page.get_by_role("slider", name="Threshold τ")
    slider.focus()
    slider.press("End")
    expect(verdict(lab)).to_contain_text("gpt-5.4-mini")
    assert lab.execute("print(lab.tau)").strip() == "1.5"
    lab.page.get_by_role("button", name="peak quality 0.01").click()
    expect(verdict(lab)).not_to_contain_text("gpt-5.4-mini")
    expect(slider).to_have_value("0.01")
    lab.page.get_by_text("Dimension weights").click()
    for name in ("Reasoning", "Code generation", "Debugging"):
        lab.page.get_by_role("slider", name=name).press("Home")
    code = "print(*lab._store.settings.dimension_weights.values())"
    eventually(lambda: lab.execute(code).strip() == "0.0 0.0 0.0 1.0")


def test_weights_that_are_all_zero_are_refused_in_words(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    lab.page.get_by_text("Dimension weights").click()
    for name in ("Reasoning", "Code generation", "Debugging", "Tool use"):
        lab.page.get_by_role("slider", name=name).press("Home")
    expect(lab.page.get_by_text("at least one must be positive")).to_be_visible()


def test_the_program_shows_its_numbers(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    write(lab, PROOF)
    lab.page.get_by_text("The integer program, with its numbers").click()
    program = lab.page.get_by_label("Integer program")
    expect(program).to_contain_text("minimise")
    expect(program).to_contain_text("proven by HiGHS")


def test_the_heatmap_has_a_signed_number_for_every_model_and_dimension(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    write(lab, PROOF)
    texts = lab.page.locator(".hy-chart svg text").filter(has_text=re.compile("^[✓✗] "))
    expect(texts).to_have_count(5 * len(DIMENSIONS))
    lab.set_theme(dark=True)
    expect(texts).to_have_count(5 * len(DIMENSIONS))
    lab.set_theme(dark=False)


def test_a_reloaded_page_shows_everything_again(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    write(lab, LEAK)
    edit(lab, "gpt-5.4", "usd_per_mtok_input", "9.25")
    lab.page.get_by_role("button", name="Pin as A").click()
    lab.page.get_by_role("button", name="conservative 0.24").click()
    expect(lab.page.get_by_role("slider", name="Threshold τ")).to_have_value("0.24")
    shown, chosen = meter(lab, "Debugging"), verdict(lab).text_content()
    lab.command("docmanager:save")
    lab.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    lab.page.reload()
    lab.wait_for_kernel()
    expect(textarea(lab)).to_have_value(LEAK, timeout=30_000)
    assert meter(lab, "Debugging") == shown
    expect(verdict(lab)).to_have_text(str(chosen))
    expect(cell(lab, "gpt-5.4", "usd_per_mtok_input")).to_have_text("9.25")
    expect(lab.page.get_by_role("slider", name="Threshold τ")).to_have_value("0.24")
    write(lab, "and it still scores")
    lab.page.get_by_role("button", name="Undo").click()
    expect(cell(lab, "gpt-5.4", "usd_per_mtok_input")).to_have_text("2.50")


def test_a_dead_kernel_is_said_within_five_seconds(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    write(lab, PROOF)
    lab.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.shutdown()"
    )
    expect(lab.page.get_by_text("The kernel is gone").first).to_be_visible(timeout=5_000)


def test_a_restarted_kernel_is_said_within_five_seconds_and_stays_said(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    write(lab, PROOF)
    lab.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    banner = lab.page.get_by_text("The kernel is gone").first
    expect(banner).to_be_visible(timeout=5_000)
    lab.wait_for_kernel()
    lab.page.wait_for_timeout(2_000)
    expect(banner).to_be_visible()


def test_leaving_a_refused_cell_lets_the_user_type_elsewhere(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    edit(lab, "gpt-5.4-mini", "usd_per_mtok_input", "abc")
    expect(lab.page.locator(".hy-problem")).to_have_text("must be a number")
    textarea(lab).click()
    textarea(lab).press_sequentially("hello world", delay=30)
    expect(textarea(lab)).to_have_value("hello world")
    expect(lab.page.locator(".hy-editor")).to_have_value("abc")


def test_an_entry_never_lands_on_another_model(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    edit(lab, "gpt-5.3-codex", "usd_per_mtok_input", "abc")
    expect(lab.page.locator(".hy-problem")).to_have_text("must be a number")
    lab.execute("lab.catalog = lab.catalog.remove('gpt-5.3-codex')")
    expect(lab.page.get_by_text("gpt-5.3-codex is no longer there")).to_be_visible()
    expect(lab.page.locator(".hy-editor")).to_have_count(0)
    assert "abc" not in lab.execute("print(lab.catalog.to_yaml())")


def test_undo_works_wherever_the_focus_is_in_the_panel(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    edit(lab, "gpt-5.4-mini", "usd_per_mtok_input", "9")
    lab.page.get_by_role("button", name="Undo").click()
    expect(cell(lab, "gpt-5.4-mini", "usd_per_mtok_input")).to_have_text("0.75")
    assert lab.page.evaluate("() => document.activeElement !== document.body")
    lab.page.keyboard.press("Control+Shift+z")
    expect(cell(lab, "gpt-5.4-mini", "usd_per_mtok_input")).to_have_text("9.00")


def test_too_many_answer_tokens_are_refused_and_everything_goes_on(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    write(lab, PROOF)
    field = lab.page.get_by_label("Answer tokens")
    field.fill("99999999999999999999")
    field.press("Enter")
    expect(lab.page.get_by_text("tokens_output must be a whole number")).to_be_visible()
    assert lab.execute("print(lab._store.settings.tokens_output)").strip() == "500"
    lab.page.get_by_role("button", name="Small talk").click()
    expect(verdict(lab)).to_have_text("✓ gpt-5.4-mini")


def test_settings_made_in_python_survive_a_slider(open_lab: OpenLab) -> None:
    lab = open_lab("import hydra_nb as hy\nlab = hy.lab(modalities=('text', 'pdf'))\nlab")
    slider = lab.page.get_by_role("slider", name="Threshold τ")
    slider.press("ArrowRight")
    eventually(lambda: lab.execute("print(lab.tau)").strip() == "0.11")
    assert lab.execute("print(lab._store.settings.modalities)").strip() == "('text', 'pdf')"


def test_a_prompt_that_is_cut_says_so(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    write(lab, "word " * 2_000)
    expect(lab.page.get_by_text("only the first 512 tokens are read")).to_be_visible()


def test_text_set_from_python_appears_and_is_scored(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    lab.execute(f"lab.text = {PROOF!r}")
    expect(textarea(lab)).to_have_value(PROOF)
    expect(verdict(lab)).to_contain_text("✓")


def test_the_lab_scores_while_a_cell_is_running(open_lab: OpenLab) -> None:
    lab = open_lab(LAB)
    write(lab, "warm up")
    lab.page.evaluate(
        """() => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
            .requestExecute({code: 'import time; time.sleep(2)'}); }"""
    )
    write(lab, LEAK)
    expect(verdict(lab)).to_have_text(re.compile("^[✓!] "))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("state", ["empty", "scored", "failed open", "refused", "explained"])
def test_axe_finds_no_violation(open_lab: OpenLab, dark: bool, state: str) -> None:
    if not AXE.exists() and not os.environ.get(REQUIRED):
        pytest.skip("no axe-core; run `npm ci` in hydra_nb/widgets/frontend for this")
    lab = open_lab(OWN if state == "explained" else LAB)
    lab.set_theme(dark=dark)
    if state == "explained":
        write(lab, "Fix it only qq CI: use the best model, thanks!")
        lab.page.get_by_role("button", name="Pin as A").click()
        why(lab)
        lab.page.get_by_role("radio", name="Debugging").check()
        expect(lab.page.locator(".hy-strongest")).to_contain_text("+0.30")
    elif state != "empty":
        write(lab, LEAK)
        lab.page.get_by_text("The integer program, with its numbers").click()
        lab.page.get_by_text("Dimension weights").click()
    if state == "failed open":
        edit(lab, "gpt-5.4", "debugging", "0.1")
        for name in ("gpt-5.3-codex", "claude-sonnet-4.6"):
            lab.page.get_by_role("checkbox", name=f"{name} available").click()
        expect(verdict(lab)).to_contain_text("!")
    if state == "refused":
        edit(lab, "gpt-5.4-mini", "usd_per_mtok_input", "abc")
        expect(lab.page.locator(".hy-problem")).to_have_text("must be a number")
    lab.page.wait_for_timeout(400)  # colours fade in; contrast is measured on what is there
    lab.page.add_script_tag(path=str(AXE))
    violations = lab.page.evaluate(
        """async () => (await axe.run('.hydra-nb-lab')).violations.map(
            v => v.id + ': ' + v.nodes.map(n => n.html + ' ' + n.failureSummary).join(' | '))"""
    )
    assert violations == []
    lab.set_theme(dark=False)
