"""Routing as integer programs, built with PuLP and solved by a real solver.

`adapter` is the only module that knows PuLP; `program` holds F0 (one query) and F1 (many queries,
uncoupled).
"""

from hydra_nb.solver.adapter import SOLVERS, Outcome, available_solvers
from hydra_nb.solver.program import AssignmentProgram, Solution, assignment_program

__all__ = [
    "SOLVERS",
    "AssignmentProgram",
    "Outcome",
    "Solution",
    "assignment_program",
    "available_solvers",
]
