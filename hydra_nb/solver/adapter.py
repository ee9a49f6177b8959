"""PuLP behind one small class: the lines 3.3 and 4, an explicit solver, and checked statuses.

Traps this module exists for:

- PuLP 3.3 says "Optimal" when a time limit ended the search: only `sol_status == 1` is a proof.
- PuLP 4 brings no solver and its `solve()` returns an object that is always true.
- An infeasible run can leave values behind: the status is read before any value.
- PuLP rewrites "-" and "/" in names, so variables are named by number.
- The first `Highs()` of a process prints a banner to C's stdout whatever `msg` says.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hydra_nb.errors import SolverError

SolverName = Literal["HiGHS", "COIN_CMD", "PULP_CBC_CMD"]
SOLVERS: tuple[SolverName, ...] = ("HiGHS", "COIN_CMD", "PULP_CBC_CMD")
"""In the order in which they are tried; the last is the CBC that PuLP 3 bundles."""

_LABELS = {"HiGHS": "HiGHS", "COIN_CMD": "CBC", "PULP_CBC_CMD": "CBC"}
_banner = threading.Lock()
_banner_printed = False


@dataclass(frozen=True, eq=False)
class Outcome:
    """A program solved to proven optimality.

    Attributes:
        values: float64 `(n_variables,)`, in the order in which the variables were added.
        objective: value of the objective.
        solver: name of the solver, as people know it.
        seconds: wall time of the solver, building excluded.
    """

    values: NDArray[np.float64]
    objective: float
    solver: str
    seconds: float


Terms = Iterable[tuple[int, float]]
"""Pairs of (variable, coefficient)."""


class LinearProgram:
    """A minimisation over binary variables, built variable by variable."""

    def __init__(self, name: str) -> None:
        import pulp

        self._pulp: Any = pulp
        self._problem: Any = pulp.LpProblem(name, pulp.LpMinimize)
        self._variables: list[Any] = []

    def __len__(self) -> int:
        return len(self._variables)

    def binary(self) -> int:
        """Add a variable in {0, 1} and return its number."""
        name = f"x_{len(self._variables)}"
        self._variables.append(self._problem.add_variable(name, 0, 1, self._pulp.LpBinary))
        return len(self._variables) - 1

    def minimise(self, terms: Terms) -> None:
        """Set the objective."""
        self._problem += self._sum(terms)

    def require_equal(self, terms: Terms, value: float, *, name: str) -> None:
        """Add the constraint Σ terms = value."""
        self._problem += self._sum(terms) == value, name

    def solve(self, solver: SolverName | None = None) -> Outcome:
        """Solve to proven optimality with `solver`, or with the first of `SOLVERS` that is there.

        Raises:
            SolverError: no solver is installed, or the run did not end in a proven optimum.
        """
        if solver is not None and not available_solvers((solver,)):
            raise SolverError(
                f"{solver} is not installed; there is {', '.join(available_solvers())}"
            )
        name = solver or _first_available()
        program_solver = _solver(self._pulp, name)
        started = time.perf_counter()
        try:
            result = self._problem.solve(program_solver)
        except self._pulp.PulpSolverError as error:
            raise SolverError(f"{_LABELS[name]} could not be run: {error}") from error
        seconds = time.perf_counter() - started
        proven, status = self._status(result)
        if not proven:
            raise SolverError(f"{_LABELS[name]} did not prove an optimum: {status}")
        values = np.array([variable.value() for variable in self._variables], dtype=np.float64)
        objective = float(self._problem.objective.value() or 0.0)
        return Outcome(values, objective, _LABELS[name], seconds)

    def _status(self, result: Any) -> tuple[bool, str]:
        """Return whether the optimum is proven, and the status in PuLP's words."""
        if hasattr(self._problem, "sol_status"):  # PuLP 3: two codes, of which the second counts
            codes = (self._problem.status, self._problem.sol_status)
            wanted = (self._pulp.LpStatusOptimal, self._pulp.LpSolutionOptimal)
            found = self._pulp.LpSolution.get(codes[1], codes[1])
            return codes == wanted, f"{self._pulp.LpStatus.get(codes[0], codes[0])} ({found})"
        return result.status is self._pulp.LpSolveStatus.Optimal, str(result.status_str)

    def _sum(self, terms: Terms) -> Any:
        # lpSum is what both lines share: LpAffineExpression takes pairs on 3.3 only.
        return self._pulp.lpSum(
            coefficient * self._variables[number] for number, coefficient in terms
        )


def available_solvers(names: Sequence[SolverName] = SOLVERS) -> tuple[SolverName, ...]:
    """Return those of `names` that this installation can run, in that order."""
    import pulp

    return tuple(name for name in names if _is_available(pulp, name))


def _first_available() -> SolverName:
    found = available_solvers()
    if not found:
        raise SolverError(
            "no solver found; install HiGHS with `pip install highspy`, or CBC (coinor-cbc)"
        )
    return found[0]


def _is_available(pulp: Any, name: SolverName) -> bool:
    if not hasattr(pulp, name):
        return False
    try:
        return bool(_solver(pulp, name).available())
    except pulp.PulpSolverError:
        return False


def _solver(pulp: Any, name: SolverName) -> Any:
    if name == "HiGHS" and importlib.util.find_spec("highspy"):
        _print_banner_to_nowhere()
    # No `threads`: HiGHS refuses a number that differs from that of the first run of the process.
    return getattr(pulp, name)(msg=False)


def _print_banner_to_nowhere() -> None:
    """Let HiGHS print its banner, once a process and from C, where no notebook shows it."""
    global _banner_printed
    with _banner:
        if not _banner_printed:
            highspy: Any = importlib.import_module("highspy")
            with _stdout_to_null():
                highspy.Highs().run()
            _banner_printed = True


@contextlib.contextmanager
def _stdout_to_null() -> Iterator[None]:
    kept = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(null)
