"""Speed of routing and planning on whole workloads, as ratios in one run.

    python benchmarks/solver_speed.py [--queries 10000] [--models 20] [--large 100000]

CPU is process time, which other programs on the machine do not count in; wall is what a user waits.
The baseline of the uncoupled part is one `numpy.argmin` over the cost matrix, that of the fleet the
unaggregated PuLP program of the same fleet, stopped after 60 s.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

from hydra_nb import Catalog, ModelProfile, Requirements, formulate
from hydra_nb.matching import assign
from hydra_nb.problem import RoutingProblem
from hydra_nb.sensitivity import (
    break_even_table,
    cost_bounds,
    outage_table,
    shortfall_frontier,
    tau_staircase,
)
from hydra_nb.solver import Constraints, Contract, plan
from hydra_nb.solver.adapter import LinearProgram
from hydra_nb.solver.classes import charges, exchanged_fleet, query_classes
from hydra_nb.solver.coupling import couple

REPEATS = 15


def pool(models: int, *, seed: int = 0) -> Catalog:
    """Return `models` seeded profiles, dearer where they are more capable on the whole."""
    random = np.random.default_rng(seed)
    profiles = []
    for m in range(models):
        level = (m + 1) / models
        reasoning, code, debugging, tools = np.clip(
            level * 0.9 + random.normal(0, 0.08, 4), 0.05, 1
        )
        price = round(float(0.05 * np.exp(5 * level + random.normal(0, 0.4))), 3)
        profiles.append(
            ModelProfile(
                name=f"m{m:02d}",
                provider=f"p{m % 4}",
                reasoning=reasoning,
                code_generation=code,
                debugging=debugging,
                tool_use=tools,
                usd_per_mtok_input=price,
                usd_per_mtok_output=4 * price,
                context_window=200_000,
            )
        )
    return Catalog(tuple(profiles))


def workload(queries: int, catalog: Catalog, *, seed: int = 1) -> RoutingProblem:
    """Return a seeded problem: correlated requirements, log-normal tokens."""
    random = np.random.default_rng(seed)
    level = random.beta(1.2, 2.2, (queries, 1)) * 0.8
    needs = np.clip(level + random.normal(0, 0.15, (queries, 4)), 0, 1)
    return formulate(
        Requirements(needs),
        catalog,
        tau=0.1,
        tokens_input=random.lognormal(6, 1, queries).astype(int) + 1,
        tokens_output=random.lognormal(6, 0.8, queries).astype(int) + 1,
    )


def cpu(work: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Return the median CPU milliseconds of `work`."""
    work()
    times = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return 1000 * statistics.median(times)


def wall(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return the result of `work` and its wall seconds."""
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def unaggregated_fleet(problem: RoutingProblem, most: int, seconds: float) -> str:
    """Solve F3 over queries, not classes, and return what came of it."""
    program = LinearProgram("unaggregated")
    opened = [program.binary() for _ in problem.catalog]
    objective = []
    program.require_at_most([(y, 1.0) for y in opened], float(most), name="k")
    for query in range(len(problem.requirements)):
        models = np.flatnonzero(problem.eligible[query]).tolist()
        shares = [program.binary() for _ in models]
        objective += [
            (x, float(problem.cost_micro_usd[query, m]))
            for x, m in zip(shares, models, strict=True)
        ]
        program.require_equal([(x, 1.0) for x in shares], 1.0, name=f"one_{query}")
        for x, model in zip(shares, models, strict=True):
            program.require_at_most(
                [(x, 1.0), (opened[model], -1.0)], 0.0, name=f"o_{query}_{model}"
            )
    program.minimise(objective)
    started = time.perf_counter()
    outcome = program.attempt(seconds=seconds)
    took = time.perf_counter() - started
    if outcome.status in ("optimal", "feasible"):
        gap = (outcome.objective - outcome.bound) / outcome.objective
        return f"{took:.1f} s: {outcome.status}, ${outcome.objective / 1e6:.2f}, gap {gap:.1%}"
    return f"{took:.1f} s: {outcome.status}, no fleet"


def summaries(problem: RoutingProblem, catalog: Catalog) -> None:
    """Reprice, route, and make every summary that the workload panel shows at once."""
    repriced = problem.against(catalog)
    found = assign(repriced)
    chosen = found.chosen
    np.bincount(chosen[chosen >= 0], weights=problem.arrivals[chosen >= 0])
    _ = found.total_cost_micro_usd, float(np.nanmean(found.shortfall)), int(found.failed_open.sum())


def uncoupled(problem: RoutingProblem) -> None:
    """Print the exact answers of the uncoupled part."""
    catalog = problem.catalog
    edited = catalog.replace(catalog.names[5], usd_per_mtok_input=0.5)
    masked = np.where(problem.eligible, problem.cost_micro_usd, np.inf)
    base = cpu(lambda: masked.argmin(axis=1))
    rows = [
        ("argmin over the costs (baseline)", base, ""),
        ("price edit: reprice, route, summaries", cpu(lambda: summaries(problem, edited)), "≤ 20"),
        ("formulate from scratch", cpu(lambda: workload(len(masked), catalog), 3), ""),
        (
            "break-even, all models, input",
            cpu(lambda: break_even_table(problem, price="input")),
            "≤ 30",
        ),
        ("outage table", cpu(lambda: outage_table(problem)), "≤ 10"),
        ("τ staircase", cpu(lambda: tau_staircase(problem)), "≤ 30"),
        ("frontier of mean shortfall", cpu(lambda: shortfall_frontier(problem)), ""),
    ]
    print(
        f"\n{len(masked):,} queries × {len(catalog)} models, uncoupled, CPU, median of {REPEATS}\n"
    )
    print("| what | ms | / baseline | aimed at |\n|---|---|---|---|")
    for name, milliseconds, target in rows:
        print(f"| {name} | {milliseconds:.1f} | {milliseconds / base:.1f} | {target} |")


def coupled(problem: RoutingProblem) -> None:
    """Print what plans take, and the proof each comes with."""
    catalog, queries = problem.catalog, len(problem.requirements)
    tokens = int((problem.tokens_input + problem.tokens_output).sum())
    each = {name: queries * 8 // 100 for name in catalog.names}
    fees = {name: (Contract(fee_usd=2.0),) for name in catalog.names}
    cases = [
        ("fleet, K ≤ 4", Constraints(max_models=4), "≤ 0.5"),
        ("fleet, a fee of $2 a model", Constraints(contracts=fees), ""),
        ("request caps on all models", Constraints(max_requests=each), ""),
        (
            "request caps, one provider ≤ 30 %",
            Constraints(max_requests=each, max_provider_share={"p3": 0.3}),
            "",
        ),
        ("token caps on all models", Constraints(max_tokens=dict.fromkeys(each, tokens // 12)), ""),
        ("mean shortfall ≤ 0.03", Constraints(max_mean_shortfall=0.03), ""),
        ("95 % within τ", Constraints(min_share_within_tau=0.95), ""),
        (
            "K ≤ 4 and request caps",
            Constraints(max_models=4, max_requests=dict.fromkeys(each, queries * 3 // 10)),
            "",
        ),
        ("caps that cannot hold", Constraints(max_requests=dict.fromkeys(each, queries // 50)), ""),
    ]
    print(f"\n{queries:,} queries × {len(catalog)} models, coupled, wall s, one run each\n")
    print("| constraint | s | result | gap | aimed at |\n|---|---|---|---|---|")
    for name, limits, target in cases:
        found, seconds = wall(lambda limits=limits: plan(problem, limits, seconds=30))
        gap = "" if found.infeasibility else f"{found.gap:.2e}"
        print(f"| {name} | {seconds:.2f} | {found.status}, {found.solver} | {gap} | {target} |")


def fleets(problem: RoutingProblem) -> None:
    """Print the fleet over classes against the unaggregated program."""
    limits = Constraints(max_models=4)
    arrays = couple(problem, limits)
    quick, quick_seconds = wall(lambda: exchanged_fleet(query_classes(arrays), charges(arrays)))
    found, seconds = wall(lambda: plan(problem, limits))
    assert quick is not None
    restricted = np.where(arrays.candidate & quick[None, :], arrays.price, np.inf).min(axis=1)
    above = float(restricted.sum()) / found.value - 1
    print(f"\nK ≤ 4 of {len(problem.catalog)} at {len(problem.requirements):,} queries\n")
    print("| program | result |\n|---|---|")
    print(f"| exchange, no proof | {quick_seconds:.3f} s, {above:.2%} above the optimum |")
    print(f"| classes, PuLP → HiGHS | {seconds:.2f} s: {found.status}, ${found.value / 1e6:.2f} |")
    print(f"| queries, PuLP → HiGHS | {unaggregated_fleet(problem, 4, 60.0)} |")


def large(queries: int, catalog: Catalog) -> None:
    """Print what a large workload takes."""
    problem = workload(queries, catalog)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    each = {name: queries * 8 // 100 for name in catalog.names}
    route = cpu(lambda: assign(problem), 3)
    found, seconds = wall(lambda: plan(problem, Constraints(max_requests=each), seconds=60))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{queries:,} queries × {len(catalog)} models\n")
    print("| what | value | aimed at |\n|---|---|---|")
    print(f"| route, uncoupled, CPU | {route / 1000:.3f} s | ≤ 0.1 |")
    print(
        f"| request caps on all models, wall | {seconds:.1f} s: {found.status}, "
        f"${found.value / 1e6:.2f}, linear bound ${found.bound / 1e6:.2f} | ≤ 60 |"
    )
    print(f"| peak memory, before planning and after | {before:,.0f}, {peak:,.0f} MiB | < 1,024 |")


def main() -> None:
    """Run everything and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--large", type=int, default=100_000)
    parsed = parser.parse_args()
    catalog = pool(parsed.models)
    print(
        f"Python {sys.version.split()[0]}, numpy {version('numpy')}, PuLP {version('pulp')}, "
        f"highspy {version('highspy')}"
    )
    # First, while the process is small: what comes later would hide in the peak.
    large(parsed.large, catalog)
    problem = workload(parsed.queries, catalog)
    uncoupled(problem)
    coupled(problem)
    fleets(problem)
    bounds, seconds = wall(
        lambda: cost_bounds(
            problem,
            Constraints(max_requests=dict.fromkeys(catalog.names, parsed.queries * 8 // 100)),
            catalog.names[10],
            price_max=10.0,
            most_plans=9,
        )
    )
    print(f"\nCost against one price under request caps: {bounds!r}, {seconds:.1f} s")


if __name__ == "__main__":
    main()
