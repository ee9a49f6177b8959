"""Many prompts at once: `Workload`, with its readers, its writers, a bundled one and a made-up one.

`workload` (the values and what one may ask of them) ← `assembly` (validated cells, then scores) ←
`cells` (every rule on a value) ← `table` (named columns with named rows) ← `reading` (files and
DataFrames). `writing` saves, `synthetic` makes workloads up, `office.jsonl` is the bundled one.
"""

from __future__ import annotations

from hydra_nb.workload.workload import Workload

__all__ = ["Workload"]
