"""Keystroke → repainted bars and price edit → repainted verdict, in a real JupyterLab.

python benchmarks/lab_latency.py [--events 120] [--out section.md]

Measured in the page: from the input event to the first animation frame after the change is in the
DOM. Beside it, in the same run and turn by turn, the baseline: the time of the same round trip with
an ipywidgets `Text` → `Label`, which does nothing in Python but copy the text. The lab cannot be
faster than that; the ratio says what scoring, matching, solving and drawing add.

The second part has a workload of 10,000 prompts × 20 models on screen: from a price edit in the
grid to the repainted totals of the workload panel.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.browser.jupyterlab import LabPage, running

LAB = "import hydra_nb as hy\nlab = hy.lab(text='start', tau=1.5)\nlab"
WORKLOAD = """import hydra_nb as hy
workload = hy.Workload.synthetic(10_000, seed=0)
lab = hy.lab(hy.Catalog.sample('market_20'), workload=workload)
lab"""
BASELINE = """import ipywidgets
text, label = ipywidgets.Text(description='base'), ipywidgets.Label('-')
text.observe(lambda change: setattr(label, 'value', 'seen ' + change['new']), 'value')
ipywidgets.VBox([text, label])"""
PROMPT = (
    "Our Go service leaks about 2 MB per minute, but only under TLS with HTTP/2 keep-alives. "
    "The heap profile points at bufio. Find the cause, fix it and add a test. "
)

# Resolves with the milliseconds from the event to the frame after `done()` first holds.
_TIMER = """
    const timed = (act, target, done) => new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error('no change within 10 s')), 10000);
        let started = 0;
        const observer = new MutationObserver(() => {
            if (!done()) return;
            observer.disconnect();
            clearTimeout(late);
            requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - started)));
        });
        observer.observe(target, {subtree: true, childList: true, characterData: true,
                                  attributes: true});
        started = performance.now();
        act();
    });
    const type = (input, value) => {
        const proto = Object.getPrototypeOf(input);
        Object.getOwnPropertyDescriptor(proto, 'value').set.call(input, value);
        input.dispatchEvent(new Event('input', {bubbles: true}));
    };
"""
_KEYSTROKE = (
    "text => {"
    + _TIMER
    + """
    const area = document.querySelector('.hydra-nb textarea');
    const scores = document.querySelector('.hy-scores');
    // The bars are fresh again once Python has answered this very revision.
    return timed(() => type(area, text), scores, () => !scores.classList.contains('hy-stale'));
}"""
)
_PRICE = (
    "price => {"
    + _TIMER
    + """
    const row = [...document.querySelectorAll('.hy-grid tbody tr')]
        .find(r => r.querySelector('[data-field="name"]').textContent === 'gpt-5.4-mini');
    const cell = row.querySelector('[data-field="usd_per_mtok_output"]');
    cell.dispatchEvent(new MouseEvent('dblclick', {bubbles: true}));
    const editor = cell.querySelector('input');
    type(editor, price);
    const verdict = document.querySelector('.hy-verdict');
    const before = verdict.textContent;
    const enter = new KeyboardEvent('keydown', {key: 'Enter', bubbles: true});
    return timed(() => editor.dispatchEvent(enter), verdict, () => verdict.textContent !== before);
}"""
)
_TOTALS = (
    "price => {"
    + _TIMER
    + """
    const row = [...document.querySelectorAll('.hy-grid tbody tr')]
        .find(r => r.querySelector('[data-field="name"]').textContent === 'grok-3-mini');
    const cell = row.querySelector('[data-field="usd_per_mtok_output"]');
    cell.dispatchEvent(new MouseEvent('dblclick', {bubbles: true}));
    const editor = cell.querySelector('input');
    type(editor, price);
    const totals = document.querySelector('.hy-totals');
    const before = totals.textContent;
    const enter = new KeyboardEvent('keydown', {key: 'Enter', bubbles: true});
    return timed(() => editor.dispatchEvent(enter), totals, () => totals.textContent !== before);
}"""
)
_BASE = (
    "text => {"
    + _TIMER
    + """
    const box = document.querySelector('.widget-vbox .widget-text input');
    const label = document.querySelector('.widget-vbox .widget-label:not(label)')
        ?? [...document.querySelectorAll('.widget-label')].pop();
    return timed(() => type(box, text), label, () => label.textContent === 'seen ' + text);
}"""
)


def main() -> int:
    """Measure and print a Markdown section."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=120)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as (server, browser):
        server.write_notebook("bench.ipynb", LAB, BASELINE)
        page = LabPage(browser, server, viewport={"width": 1400, "height": 2400})
        page.open("bench.ipynb")
        page.run_all()
        page.page.wait_for_selector('.hy-scores[data-state="scored"]')
        page.page.wait_for_selector(".widget-vbox .widget-text input")
        times = measure(page.page, arguments.events)
        chromium = browser.version
        page.close()
        server.write_notebook("workload.ipynb", WORKLOAD, BASELINE)
        page = LabPage(browser, server, viewport={"width": 1400, "height": 3200})
        page.open("workload.ipynb")
        page.run_all()
        page.page.wait_for_selector(".hy-totals dd")
        page.page.wait_for_selector(".widget-vbox .widget-text input")
        times |= measure_workload(page.page, arguments.events)
        page.close()
    section = report(times, chromium)
    sys.stdout.write(section)
    if arguments.out:
        arguments.out.write_text(section, encoding="utf-8")
    return 0


def measure(page: Any, events: int) -> dict[str, list[float]]:
    """Return milliseconds of each kind of event, taken turn by turn; the first ten are dropped."""
    times: dict[str, list[float]] = {"keystroke": [], "price edit": [], "baseline": []}
    for number in range(events + 10):
        end = 20 + number % (len(PROMPT) - 20)
        times["keystroke"].append(page.evaluate(_KEYSTROKE, PROMPT[:end]))
        # Prices alternate around the break-even, so that every edit moves the verdict.
        times["price edit"].append(page.evaluate(_PRICE, "4.5" if number % 2 else "95"))
        times["baseline"].append(page.evaluate(_BASE, f"text {number}"))
        page.wait_for_timeout(20)
    return {name: values[10:] for name, values in times.items()}


def measure_workload(page: Any, events: int) -> dict[str, list[float]]:
    """Return milliseconds of price edits with a workload on screen, and of the baseline there."""
    times: dict[str, list[float]] = {"workload": [], "baseline beside it": []}
    for number in range(events + 10):
        times["workload"].append(page.evaluate(_TOTALS, "0.5" if number % 2 else "0.6"))
        times["baseline beside it"].append(page.evaluate(_BASE, f"text {number}"))
        page.wait_for_timeout(20)
    return {name: values[10:] for name, values in times.items()}


def report(times: dict[str, list[float]], chromium: str) -> str:
    """Return the measurements as a Markdown section."""
    packages = ("jupyterlab", "ipywidgets", "anywidget", "ipykernel", "onnxruntime", "PuLP")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    lines = [
        f"### Lab in the browser ({time.strftime('%Y-%m-%d')})",
        "",
        f"`{' '.join(['python', *sys.argv])}` · Python {platform.python_version()}, {versions}, "
        f"Chromium {chromium} · {len(times['keystroke'])} events each, turn by turn, ms",
        "",
        "| from → to | p50 | p95 | p50 / baseline |",
        "|---|---|---|---|",
    ]
    names = {
        "baseline": "baseline: ipywidgets `Text` → `Label`",
        "keystroke": "keystroke → repainted bars",
        "price edit": "price edit → repainted verdict",
        "baseline beside it": "the same baseline, 10,000 × 20 on screen",
        "workload": "price edit → repainted totals of 10,000 × 20",
    }
    for key, label in names.items():
        beside = key in ("workload", "baseline beside it")
        base = statistics.median(times["baseline beside it" if beside else "baseline"])
        ordered = sorted(times[key])
        p50, p95 = statistics.median(ordered), ordered[int(0.95 * (len(ordered) - 1))]
        lines.append(f"| {label} | {p50:.0f} | {p95:.0f} | {p50 / base:.2f} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
