"""F0 and F1: route one query, or many that nothing couples, at least cost.

    minimise   Σ_q n_q Σ_{m ∈ E_q} c_qm x_qm      n_q requests of query q
    subject to Σ_{m ∈ E_q} x_qm = 1   for every query q
               x_qm ∈ {0, 1}

Only eligible pairs get a variable: τ and the gates are settled before the solver sees anything,
since a solver's tolerance of 1e-6 on a constraint with τ picks wrong models. Of eligible models of
one cost only the one that wins the tie gets a variable, so that the optimum is unique.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hydra_nb import atomic_file
from hydra_nb.decision import Decision, explain
from hydra_nb.errors import InvalidInputError
from hydra_nb.matching import cheapest
from hydra_nb.problem import RoutingProblem
from hydra_nb.solver.adapter import LinearProgram, SolverName

_SHOWN_QUERIES = 20


@dataclass(frozen=True, eq=False)
class Solution:
    """A proven optimum of an `AssignmentProgram`.

    Attributes:
        chosen: int64 `(n_queries,)`, indices into the catalog; −1 where no model is available.
        cost_micro_usd: the value of the objective.
        status: always "optimal"; anything else raises `SolverError` instead.
        solver: name of the solver.
        seconds: wall time of the solver.
    """

    chosen: NDArray[np.int64]
    cost_micro_usd: float
    status: str
    solver: str
    seconds: float


@dataclass(frozen=True, eq=False)
class AssignmentProgram:
    """F0 (one query) or F1 (many), over the pairs of query and model that get a variable.

    Attributes:
        problem: what is routed.
        pairs: int64 `(n_variables, 2)`, rows of (query, model), sorted.
    """

    problem: RoutingProblem
    pairs: NDArray[np.int64]

    def solve(self, solver: SolverName | None = None) -> Solution:
        """Return the optimum that the solver proves; see `LinearProgram.solve`."""
        chosen = np.full(len(self.problem.requirements), -1, dtype=np.int64)
        if not len(self.pairs):
            return Solution(chosen, 0.0, "optimal", "nothing to solve", 0.0)
        outcome = self._linear_program().solve(solver)
        taken = self.pairs[outcome.values > 0.5]
        chosen[taken[:, 0]] = taken[:, 1]
        return Solution(chosen, outcome.objective, "optimal", outcome.solver, outcome.seconds)

    def to_lp(self) -> str:
        """Return the program that `solve` solves as a text in LP format.

        A comment at its head says which query and model each variable stands for.

        Raises:
            InvalidInputError: the program has no variables, since no model is available.
        """
        return self._file("lp")

    def to_mps(self) -> str:
        """Return the program as a text in MPS format; else as `to_lp`."""
        return self._file("mps")

    def save(self, path: str | Path) -> None:
        """Write `to_lp` or `to_mps`, by the ending of `path`.

        The file is written beside and renamed into place: a failure leaves an old one whole.

        Raises:
            InvalidInputError: another ending, or a program without variables.
        """
        ending = Path(path).suffix.removeprefix(".")
        if ending not in ("lp", "mps"):
            raise InvalidInputError(f"path must end in .lp or .mps; received {str(path)!r:.80}")
        atomic_file.write_text(Path(path), self._file(ending))

    def _linear_program(self) -> LinearProgram:
        program = LinearProgram("route")
        queries, models = self.pairs.T
        costs = self.problem.cost_micro_usd[queries, models] * self.problem.arrivals[queries]
        for _ in self.pairs:
            program.binary()
        program.minimise((number, float(cost)) for number, cost in enumerate(costs))
        for query, numbers in self._variables_by_query():
            program.require_equal(((n, 1.0) for n in numbers), 1.0, name=f"one_{query}")
        return program

    def _file(self, ending: str) -> str:
        if not len(self.pairs):
            raise InvalidInputError("the program has no variables: no model is available")
        # The writers of PuLP take a path, and nothing else.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"route.{ending}"
            self._linear_program().write(str(path))
            text = path.read_text(encoding="utf-8")
        comment = "*" if ending == "mps" else "\\"
        return "".join(f"{comment} {line}\n" for line in self._key()) + text

    def _key(self) -> list[str]:
        """Return what the variables stand for, in words."""
        names, one = self.problem.catalog.names, len(self.problem.requirements) == 1
        lines = [
            f"hydra_nb: route at least cost, in micro-USD, at tau = {self.problem.tau:g}",
            "a variable is 1 where the query goes to the model:",
        ]
        for number, (query, model) in enumerate(self.pairs):
            whose = "prompt" if one else f"query {query}"
            lines.append(f"x_{number} = {whose} -> {names[model]}")
        return lines

    def to_text(self, decision: Decision | None = None) -> str:
        """Return the program with its numbers filled in, and who got no variable and why.

        `decision` is that of this problem, where it is at hand already.
        """
        shown = self._variables_by_query()[:_SHOWN_QUERIES]
        lines = ["minimise    cost in micro-USD (µUSD)"]
        for query, numbers in shown:
            for number in numbers:
                model = int(self.pairs[number, 1])
                requests = int(self.problem.arrivals[query])
                cost = _plain(float(self.problem.cost_micro_usd[query, model]) * requests)
                lines.append(f"  + {cost:>14} · {self._variable(query, model)}")
        lines.append("subject to")
        for query, numbers in shown:
            total = " + ".join(self._variable(query, int(self.pairs[n, 1])) for n in numbers)
            lines.append(f"    {total} = 1")
        lines.append(f"    every x is 0 or 1        ({len(self.pairs):,} variables)")
        hidden = len(np.unique(self.pairs[:, 0])) - len(shown)
        if hidden:
            lines.append(f"    … and {hidden:,} more queries, in the same way")
        if len(self.problem.requirements) == 1:
            lines += self._left_out(decision or explain(self.problem))
        return "\n".join(lines)

    def _left_out(self, decision: Decision) -> list[str]:
        have_variable = {int(model) for _, model in self.pairs}
        out = [c for index, c in enumerate(decision.candidates) if index not in have_variable]
        width = max((len(candidate.name) for candidate in out), default=0)
        heading = f"left out    not eligible at τ = {self.problem.tau:.2f}, or a lost tie"
        return [heading, *(f"    {c.name:<{width}}  {c.reason}" for c in out)] if out else []

    def _variable(self, query: int, model: int) -> str:
        name = self.problem.catalog[model].name
        return f"x[{name}]" if len(self.problem.requirements) == 1 else f"x[{query}, {name}]"

    def _variables_by_query(self) -> list[tuple[int, NDArray[np.int64]]]:
        """Return (query, its variables' numbers) for every query that has any."""
        if not len(self.pairs):
            return []
        queries, starts = np.unique(self.pairs[:, 0], return_index=True)
        groups = np.split(np.arange(len(self.pairs)), starts[1:])
        return [(int(query), group) for query, group in zip(queries, groups, strict=True)]


def assignment_program(problem: RoutingProblem) -> AssignmentProgram:
    """Return the program of `problem`: F0 for one query, F1 for many."""
    return AssignmentProgram(problem, np.argwhere(_tie_winners(problem)).astype(np.int64))


def _tie_winners(problem: RoutingProblem) -> NDArray[np.bool_]:
    """Return the eligible pairs that no eligible model of the same cost beats on the tie-break."""
    winners = problem.eligible.copy()
    cost = problem.cost_micro_usd
    for model in range(len(problem.catalog)):
        same_cost = problem.eligible & (cost == cost[:, [model]])
        tied = problem.eligible[:, model] & (same_cost.sum(axis=1) > 1)
        if tied.any():
            best = cheapest(problem, same_cost)
            winners[:, model] &= ~tied | (best == model)
    return winners


def _plain(number: float) -> str:
    return f"{number:,.6f}".rstrip("0").rstrip(".")
