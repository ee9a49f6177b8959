"""Routing as integer programs, built with PuLP and solved by a real solver.

`program` holds F0 (one query) and F1 (many queries, uncoupled). `plan` takes a whole workload under
`Constraints`: caps, shares, budgets (F2), fleets and contracts (F3). `coupling` turns those into
arrays, `relaxation` and `whole` solve and certify them, `classes` and `fleet` decide what is used,
`infeasibility` says what conflicts. `adapter` is the only module that knows PuLP.
"""

from hydra_nb.solver.adapter import SOLVERS, LinearProgram, Outcome, available_solvers
from hydra_nb.solver.constraints import Constraints, Contract
from hydra_nb.solver.plan import Infeasibility, Plan, ShadowPrice
from hydra_nb.solver.planning import plan
from hydra_nb.solver.program import AssignmentProgram, Solution, assignment_program
from hydra_nb.solver.relaxation import PlanningStoppedError
from hydra_nb.solver.relaxed_limit import RelaxedLimit

__all__ = [
    "SOLVERS",
    "AssignmentProgram",
    "Constraints",
    "Contract",
    "Infeasibility",
    "LinearProgram",
    "Outcome",
    "Plan",
    "PlanningStoppedError",
    "RelaxedLimit",
    "ShadowPrice",
    "Solution",
    "assignment_program",
    "available_solvers",
    "plan",
]
