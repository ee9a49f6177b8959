"""Time of `import hydra_nb` in a fresh process, beside `import numpy`, which it cannot do without.

python benchmarks/import_time.py [--runs 15]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version

MODULES = ("numpy", "hydra_nb")
CODE = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def main() -> int:
    """Measure turn by turn and print a Markdown section."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    times: dict[str, list[float]] = {name: [] for name in MODULES}
    for _ in range(runs + 1):
        for name in MODULES:
            command = [sys.executable, "-c", CODE.format(name)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            times[name].append(float(done.stdout))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    print(f"### Import ({time.strftime('%Y-%m-%d')})\n")
    print(
        f"`python benchmarks/import_time.py` · Python {platform.python_version()}, "
        f"numpy {version('numpy')}, pydantic {version('pydantic')} · median of {runs}\n"
    )
    print("| module | s | ratio |\n|---|---|---|")
    for name, seconds in medians.items():
        print(f"| {name} | {seconds:.3f} | {seconds / medians['numpy']:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
