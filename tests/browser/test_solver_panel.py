"""What if, as its users meet it: dragging, clicking, switching and downloading in JupyterLab."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import REQUIRED
from tests.browser.jupyterlab import LabPage

pytestmark = pytest.mark.browser

OpenLab = Callable[..., LabPage]
AXE = Path(__file__).parents[2] / "hydra_nb/widgets/frontend/node_modules/axe-core/axe.min.js"

# Three tokens in, 1,000 out: "high" wins up to an output price of $2, where it costs as "low" does.
OWN = """
import hydra_nb as hy

class Half:
    def predict(self, texts, turns=None):
        return hy.Requirements([[0.5] * 4] * len(texts))

def model(name, capability, input, output):
    return hy.ModelProfile(
        name=name, provider="test", context_window=100_000,
        reasoning=capability, code_generation=capability,
        debugging=capability, tool_use=capability,
        usd_per_mtok_input=input, usd_per_mtok_output=output,
    )

catalog = hy.Catalog(
    (model("weak", 0.2, 0.1, 0.4), model("low", 0.6, 1.0, 2.0), model("high", 0.9, 1.0, 5.0)),
    name="pool",
)
lab = hy.lab(catalog, predictor=Half(), text="abcdefghi", tokens_output=1000)
lab
"""


def what_if(lab: LabPage) -> Locator:
    """Return the panel, once it is at rest."""
    panel = lab.page.locator(".hy-what-if")
    expect(panel).to_have_attribute("data-state", "ready")
    return panel


def verdict(lab: LabPage) -> Locator:
    return lab.page.locator(".hy-chosen")


def look_at(lab: LabPage, model: str) -> None:
    picker = lab.page.get_by_label("Model whose prices are shown")
    picker.select_option(value=model)
    slider = lab.page.get_by_role("slider", name=f"Output price of {model}")
    expect(slider).to_be_visible()
    what_if(lab)


def output_price(lab: LabPage, model: str) -> float:
    return float(lab.execute(f"print(lab.catalog[{model!r}].usd_per_mtok_output)"))


def eventually(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come to hold in time"
        time.sleep(0.1)


def drag(lab: LabPage, slider: Locator, *shares: float) -> None:
    """Press on the thumb and drag it to some shares of the track, one after the other."""
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    thumb = 16

    def place(share: float) -> tuple[float, float]:
        return box["x"] + thumb / 2 + share * (box["width"] - thumb), box["y"] + box["height"] / 2

    start = float(slider.input_value()) / 1000
    lab.page.mouse.move(*place(start))
    lab.page.mouse.down()
    for share in shares:
        lab.page.mouse.move(*place(share), steps=6)
    lab.page.mouse.up()


def test_dragging_a_price_below_its_mark_flips_verdict_grid_and_strip(open_lab: OpenLab) -> None:
    lab = open_lab(OWN)
    look_at(lab, "high")
    expect(verdict(lab)).to_have_text("✓ low")
    slider = lab.page.get_by_role("slider", name="Output price of high")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"\$5.00 .* wins up to \$2.00"))
    drag(lab, slider, 0.9, 0.6, 0.3)
    expect(verdict(lab)).to_have_text("✓ high")
    row = lab.page.get_by_role("row").filter(has=lab.page.get_by_text("high", exact=True))
    expect(row).to_have_attribute("data-standing", "chosen")
    # A tenth of the track squared: 10 · 0.3².
    assert output_price(lab, "high") == pytest.approx(0.9, abs=0.05)
    band = lab.page.get_by_role("group", name="Which model wins, by output price")
    expect(band.locator('[aria-current="true"]')).to_contain_text("high")


def test_a_whole_drag_is_taken_back_by_one_undo(open_lab: OpenLab) -> None:
    lab = open_lab(OWN)
    look_at(lab, "high")
    drag(lab, lab.page.get_by_role("slider", name="Output price of high"), 0.9, 0.5, 0.2)
    expect(verdict(lab)).to_have_text("✓ high")
    lab.page.get_by_role("button", name="Undo").click()
    expect(verdict(lab)).to_have_text("✓ low")
    assert output_price(lab, "high") == 5.0
    expect(lab.page.get_by_role("button", name="Undo")).to_be_disabled()


def test_the_mark_stands_exactly_where_the_thumb_flips_the_verdict(open_lab: OpenLab) -> None:
    lab = open_lab(OWN)
    look_at(lab, "high")
    slider = lab.page.get_by_role("slider", name="Output price of high")
    slider.scroll_into_view_if_needed()
    mark, track = lab.page.locator(".hy-cut:visible").bounding_box(), slider.bounding_box()
    assert mark is not None
    assert track is not None
    share = (mark["x"] + mark["width"] / 2 - track["x"] - 8) / (track["width"] - 16)
    assert share == pytest.approx((2 / 10) ** 0.5, abs=0.004)
    expect(lab.page.locator(".hy-cut:visible")).to_have_text("wins up to $2.00")


def test_the_arrow_keys_move_a_price(open_lab: OpenLab) -> None:
    lab = open_lab(OWN)
    look_at(lab, "high")
    slider = lab.page.get_by_role("slider", name="Output price of high")
    slider.press("Home")
    expect(verdict(lab)).to_have_text("✓ high")
    eventually(lambda: output_price(lab, "high") == 0.0)
    expect(lab.page.get_by_label("Output price in USD per 1M tokens")).to_have_value("0.00")


def test_a_typed_price_is_taken_and_a_word_is_refused_in_place(open_lab: OpenLab) -> None:
    lab = open_lab(OWN)
    look_at(lab, "high")
    field = lab.page.get_by_label("Output price in USD per 1M tokens")
    field.fill("cheap")
    field.press("Enter")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(what_if(lab).get_by_text("must be a number", exact=True)).to_be_visible()
    field.fill("1.5")
    field.press("Enter")
    expect(verdict(lab)).to_have_text("✓ high")
    expect(what_if(lab).get_by_text("must be a number", exact=True)).to_have_count(0)


def test_a_click_on_a_band_of_tau_goes_inside_it(open_lab: OpenLab) -> None:
    lab = open_lab(OWN)
    bands = what_if(lab).get_by_role("group", name="Which model wins as τ grows")
    bands.get_by_role("button", name=re.compile(r"1\.2 to 1\.5: weak")).click()
    expect(verdict(lab)).to_contain_text("weak")
    assert 1.2 < float(lab.execute("print(lab.tau)")) < 1.5
    expect(lab.page.get_by_role("slider", name="Threshold τ")).not_to_have_value("0.1")
    expect(bands.locator('[aria-current="true"]')).to_contain_text("weak")


def test_a_click_on_a_band_of_a_price_goes_inside_it(open_lab: OpenLab) -> None:
    lab = open_lab(OWN)
    look_at(lab, "high")
    bands = lab.page.get_by_role("group", name="Which model wins, by output price")
    bands.get_by_role("button", name=re.compile("high")).press("Enter")
    expect(verdict(lab)).to_have_text("✓ high")
    assert 0 < output_price(lab, "high") < 2


def test_an_outage_switch_is_the_switch_of_the_catalog(open_lab: OpenLab) -> None:
    lab = open_lab(OWN)
    outages = what_if(lab).locator(".hy-outages")
    expect(outages).to_contain_text("if off: high takes over · +$3.00 / 1k · shortfall +0.00")
    lab.page.get_by_role("switch", name="low switched on").click()
    expect(verdict(lab)).to_have_text("✓ high")
    expect(lab.page.get_by_role("checkbox", name="low available")).not_to_be_checked()
    expect(outages).to_contain_text("if on again: low is chosen")
    lab.page.get_by_role("checkbox", name="low available").click()
    expect(lab.page.get_by_role("switch", name="low switched on")).to_be_checked()


def test_with_every_model_off_the_switches_stay(open_lab: OpenLab) -> None:
    lab = open_lab(OWN)
    what_if(lab)
    for name in ("weak", "low", "high"):
        lab.page.get_by_role("switch", name=f"{name} switched on").click()
    expect(verdict(lab)).to_have_text("✗ No model")
    lab.page.get_by_role("switch", name="high switched on").click()
    expect(verdict(lab)).to_have_text("✓ high")


def test_the_smallest_change_can_be_tried(open_lab: OpenLab) -> None:
    lab = open_lab(OWN)
    flip = what_if(lab).locator(".hy-flip")
    expect(flip.locator(".hy-flip-sentence")).to_have_text(re.compile(r"\d"))
    flip.get_by_role("button", name="Try it").first.click()
    expect(verdict(lab)).not_to_have_text("✓ low")
    expect(flip.locator(".hy-flip-now")).not_to_have_text("now: low")


def test_the_other_changes_are_listed_behind_the_smallest(open_lab: OpenLab) -> None:
    lab = open_lab(OWN)
    what_if(lab).get_by_text("other single changes").click()
    items = lab.page.locator(".hy-flips li")
    expect(items.filter(has_text="output price falls to $2.00, now $5.00")).to_have_count(1)


def test_a_click_on_the_map_goes_there(open_lab: OpenLab) -> None:
    lab = open_lab(OWN)
    look_at(lab, "high")
    plot = lab.page.locator(".hy-map-plot")
    expect(plot.locator("svg")).to_have_attribute("aria-label", re.compile("low .*, high .*"))
    box = plot.bounding_box()
    assert box is not None
    plot.click(position={"x": box["width"] * 0.1, "y": box["height"] * 0.9})
    expect(verdict(lab)).to_have_text("✓ high")
    assert output_price(lab, "high") == pytest.approx(1.0, abs=0.05)
    assert float(lab.execute("print(lab.tau)")) == pytest.approx(0.15, abs=0.02)


def test_a_map_of_two_prices_has_a_region_for_each_winner(open_lab: OpenLab) -> None:
    lab = open_lab(OWN)
    look_at(lab, "high")
    y = lab.page.get_by_label("What is on the y axis")
    y.select_option(label="2 low, output price")
    expect(lab.page.locator(".hy-map-title").first).to_have_text("↑ output price of low")
    areas = lab.page.locator(".hy-map-plot polygon.hy-area")
    expect(areas).to_have_count(2)
    lab.page.locator(".hy-map-key").get_by_role("button", name=re.compile("^.*high")).click()
    expect(verdict(lab)).to_have_text("✓ high")
    lab.page.get_by_role("button", name="Undo").click()
    expect(verdict(lab)).to_have_text("✓ low")


@pytest.mark.parametrize("ending", ["lp", "mps"])
def test_the_program_is_downloaded_as_it_was_solved(open_lab: OpenLab, ending: str) -> None:
    lab = open_lab(OWN)
    lab.page.get_by_text("The integer program, with its numbers").click()
    with lab.page.expect_download() as waiting:
        lab.page.get_by_role("button", name=f"Download .{ending}").click()
    file = waiting.value
    assert file.suggested_filename == f"route.{ending}"
    text = Path(file.path()).read_text(encoding="utf-8")
    assert text == lab.execute(f"print(lab._store.ruling.program.to_{ending}(), end='')")
    assert "x_0 = prompt -> low" in text


def test_a_download_without_a_prompt_is_refused_in_words(open_lab: OpenLab) -> None:
    lab = open_lab("import hydra_nb as hy\nlab = hy.lab()\nlab")
    lab.page.get_by_text("The integer program, with its numbers").click()
    lab.page.get_by_role("button", name="Download .lp").click()
    expect(lab.page.get_by_text("there is no program without a prompt")).to_be_visible()
    expect(lab.page.get_by_text("No prompt yet: what would change")).to_be_visible()


def test_a_reloaded_page_shows_marks_strips_and_map_again(open_lab: OpenLab) -> None:
    lab = open_lab(OWN)
    look_at(lab, "high")
    drag(lab, lab.page.get_by_role("slider", name="Output price of high"), 0.2)
    expect(verdict(lab)).to_have_text("✓ high")
    what_if(lab)
    lab.command("docmanager:save")
    lab.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    lab.page.reload()
    lab.wait_for_kernel()
    what_if(lab)
    expect(lab.page.get_by_role("slider", name="Output price of high")).to_have_value("200")
    expect(lab.page.locator(".hy-cut:visible").last).to_have_text("wins up to $2.00")
    expect(lab.page.locator(".hy-map-plot polygon.hy-area").first).to_be_attached()
    lab.page.get_by_role("button", name="Undo").click()
    expect(verdict(lab)).to_have_text("✓ low")


def test_nothing_is_wider_than_a_narrow_window(open_lab: OpenLab) -> None:
    lab = open_lab(OWN, viewport={"width": 700, "height": 1000})
    panel = what_if(lab)
    assert panel.evaluate("panel => panel.scrollWidth <= panel.clientWidth + 1")


def test_names_on_strips_are_not_cut_off_below(open_lab: OpenLab) -> None:
    lab = open_lab(OWN)
    cut = what_if(lab).evaluate(
        """panel => [...panel.querySelectorAll(".hy-band-name")].map((name) => {
            const letters = document.createRange();
            letters.selectNodeContents(name);
            return letters.getBoundingClientRect().bottom - name.getBoundingClientRect().bottom;
        })"""
    )
    assert cut
    assert max(cut) <= 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("state", ["ready", "all off", "refused"])
def test_axe_finds_no_violation(open_lab: OpenLab, dark: bool, state: str) -> None:
    if not AXE.exists() and not os.environ.get(REQUIRED):
        pytest.skip("no axe-core; run `npm ci` in hydra_nb/widgets/frontend for this")
    lab = open_lab(OWN)
    lab.set_theme(dark=dark)
    panel = what_if(lab)
    panel.get_by_text("other single changes").click()
    if state == "all off":
        for name in ("weak", "low", "high"):
            lab.page.get_by_role("switch", name=f"{name} switched on").click()
        expect(verdict(lab)).to_have_text("✗ No model")
        what_if(lab)
    if state == "refused":
        field = lab.page.get_by_label("Output price in USD per 1M tokens")
        field.fill("cheap")
        field.press("Enter")
        expect(field).to_have_attribute("aria-invalid", "true")
    lab.page.add_script_tag(path=str(AXE))
    violations = lab.page.evaluate(
        """async () => (await axe.run('.hydra-nb-lab')).violations.map(
            v => v.id + ': ' + v.nodes.map(n => n.html + ' ' + n.failureSummary).join(' | '))"""
    )
    lab.set_theme(dark=False)
    assert violations == []
