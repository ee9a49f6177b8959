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
from collections.abc import Callable, Iterable, Iterator, Sequence
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


Status = Literal["optimal", "feasible", "infeasible", "stopped"]
"""Proven; found, but not proven; proven to have no solution; ended without a solution."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a solver says of a program.

    Attributes:
        status: see `Status`. There are values only where it is "optimal" or "feasible".
        values: float64 `(n_variables,)`, in the order in which the variables were added.
        objective: value of the objective; NaN without values.
        bound: what no solution can be below, as far as it is proven; −inf where nothing is.
        duals: float64 `(n_constraints,)`, in the order in which the constraints were added: change
            of the objective per unit of the right-hand side. NaN where integers were asked for.
        solver: name of the solver, as people know it.
        seconds: wall time of the solver, building excluded.
    """

    status: Status
    values: NDArray[np.float64]
    objective: float
    bound: float
    duals: NDArray[np.float64]
    solver: str
    seconds: float


Terms = Iterable[tuple[int, float]]
"""Pairs of (variable, coefficient)."""


class LinearProgram:
    """A minimisation, built variable by variable and constraint by constraint."""

    def __init__(self, name: str) -> None:
        import pulp

        self._pulp: Any = pulp
        self._problem: Any = pulp.LpProblem(name, pulp.LpMinimize)
        self._variables: list[Any] = []
        self._names: list[str] = []
        self._integers = 0

    def __len__(self) -> int:
        return len(self._variables)

    def binary(self) -> int:
        """Add a variable in {0, 1} and return its number."""
        return self.variable(upper=1.0, integer=True)

    def variable(self, *, upper: float | None = None, integer: bool = False) -> int:
        """Add a variable from 0 to `upper` and return its number."""
        kind = self._pulp.LpInteger if integer else self._pulp.LpContinuous
        name = f"x_{len(self._variables)}"
        self._variables.append(self._problem.add_variable(name, 0, upper, kind))
        self._integers += integer
        return len(self._variables) - 1

    def minimise(self, terms: Terms) -> None:
        """Set the objective."""
        self._problem += self._sum(terms)

    def require_equal(self, terms: Terms, value: float, *, name: str) -> None:
        """Add the constraint Σ terms = value."""
        self._problem += self._sum(terms) == value, self._named(name)

    def require_at_most(self, terms: Terms, value: float, *, name: str) -> None:
        """Add the constraint Σ terms ≤ value."""
        self._problem += self._sum(terms) <= value, self._named(name)

    def solve(self, solver: SolverName | None = None) -> Outcome:
        """Solve to proven optimality with `solver`, or with the first of `SOLVERS` that is there.

        Raises:
            SolverError: no solver is installed, or the run did not end in a proven optimum.
        """
        outcome = self.attempt(solver)
        if outcome.status != "optimal":
            raise SolverError(f"{outcome.solver} did not prove an optimum: {outcome.status}")
        return outcome

    def attempt(
        self,
        solver: SolverName | None = None,
        *,
        seconds: float | None = None,
        gap: float = 0.0,
        stop: Callable[[], bool] | None = None,
    ) -> Outcome:
        """Solve as far as `seconds` allow and `stop` does not answer True; say what came of it.

        The search for integers ends at a relative `gap` of 0, not at a solver's own default.
        `stop` is asked by HiGHS only.

        Raises:
            SolverError: no solver is installed, or it could not be run.
        """
        if solver is not None and not available_solvers((solver,)):
            raise SolverError(
                f"{solver} is not installed; there is {', '.join(available_solvers())}"
            )
        name = solver or _first_available()
        options: dict[str, Any] = {"gapRel": gap} if self._integers else {}
        if seconds is not None:
            options["timeLimit"] = max(0.01, seconds)
        if stop is not None and name == "HiGHS":
            options |= _interruptible(stop)
        program_solver = _solver(self._pulp, name, **options)
        started = time.perf_counter()
        try:
            result = self._problem.solve(program_solver)
        except self._pulp.PulpSolverError as error:
            raise SolverError(f"{_LABELS[name]} could not be run: {error}") from error
        elapsed = time.perf_counter() - started
        if name == "HiGHS":
            status, bound = _highs_status(self._problem.solverModel, bool(self._integers))
        else:
            status, bound = self._status(result), -np.inf
        return self._outcome(status, bound, _LABELS[name], elapsed)

    def write(self, path: str) -> None:
        """Write the program as `.lp` or `.mps`, by the ending of `path`."""
        if path.endswith(".mps"):
            self._problem.writeMPS(path)
        else:
            self._problem.writeLP(path)

    def _outcome(self, status: Status, bound: float, solver: str, seconds: float) -> Outcome:
        duals = np.full(len(self._names), np.nan)
        if status not in ("optimal", "feasible"):
            nothing = np.full(len(self._variables), np.nan)
            return Outcome(status, nothing, np.nan, bound, duals, solver, seconds)
        values = np.array([variable.value() for variable in self._variables], dtype=np.float64)
        objective = float(self._problem.objective.value() or 0.0)
        if status == "optimal":
            bound = objective
        if not self._integers:
            constraints = self._problem.constraints
            by_name = {c.name: c for c in constraints()} if callable(constraints) else constraints
            # CBC leaves None for a constraint that it presolved away.
            found = [by_name[constraint].pi for constraint in self._names]
            duals = np.array([np.nan if pi is None else pi for pi in found], dtype=np.float64)
        return Outcome(status, values, objective, bound, duals, solver, seconds)

    def _status(self, result: Any) -> Status:
        """Return what PuLP says after a run of CBC, of which only two answers are proofs."""
        if hasattr(self._problem, "sol_status"):  # PuLP 3: two codes, of which the second counts
            codes = (self._problem.status, self._problem.sol_status)
            if codes == (self._pulp.LpStatusOptimal, self._pulp.LpSolutionOptimal):
                return "optimal"
            return "infeasible" if codes[0] == self._pulp.LpStatusInfeasible else "stopped"
        statuses = self._pulp.LpSolveStatus
        if result.status is statuses.Optimal:
            return "optimal"
        return "infeasible" if result.status is statuses.Infeasible else "stopped"

    def _named(self, name: str) -> str:
        self._names.append(name)
        return name

    def _sum(self, terms: Terms) -> Any:
        # `lpSum` makes an expression of every product: at 10,000 terms most of the time goes there.
        total: dict[Any, float] = {}
        for number, coefficient in terms:
            variable = self._variables[number]
            total[variable] = total.get(variable, 0.0) + coefficient
        expression = self._pulp.LpAffineExpression
        if hasattr(expression, "from_dict"):  # PuLP 4
            return expression.from_dict(total)
        return expression(total)


def _highs_status(model: Any, integers: bool) -> tuple[Status, float]:
    """Return the status and the proven bound, from HiGHS itself.

    PuLP 3.3 calls a run "optimal" that a time limit ended, whether it found anything or not.
    """
    highspy: Any = importlib.import_module("highspy")
    statuses, info = highspy.HighsModelStatus, model.getInfo()
    status = model.getModelStatus()
    bound = float(info.mip_dual_bound) if integers else -np.inf
    if status in (statuses.kOptimal, statuses.kModelEmpty):
        return "optimal", bound
    if status in (statuses.kInfeasible, statuses.kUnboundedOrInfeasible):
        return "infeasible", np.inf
    found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    return ("feasible" if found else "stopped"), bound


def _interruptible(stop: Callable[[], bool]) -> dict[str, Any]:
    """Return the options with which HiGHS asks `stop` now and then."""
    highspy: Any = importlib.import_module("highspy")
    kinds = highspy.cb.HighsCallbackType

    def ask(kind: Any, message: Any, found: Any, answer: Any, nothing: Any) -> None:
        if stop():
            answer.user_interrupt = True

    return {
        "callbackTuple": (ask, None),
        "callbacksToActivate": [kinds.kCallbackMipInterrupt, kinds.kCallbackSimplexInterrupt],
    }


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


def _solver(pulp: Any, name: SolverName, **options: Any) -> Any:
    if name == "HiGHS" and importlib.util.find_spec("highspy"):
        _print_banner_to_nowhere()
    # No `threads`: HiGHS refuses a number that differs from that of the first run of the process.
    return getattr(pulp, name)(msg=False, **options)


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
