from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydra_nb import Catalog, Requirements, SolverError, formulate, match
from hydra_nb.solver import SOLVERS, assignment_program, available_solvers
from hydra_nb.solver.adapter import LinearProgram
from tests.strategies import catalogs, profile, requirements, taus, token_counts, weights

CHEAP = profile("gpt-mini/2", (0.2,) * 4, usd_per_mtok_input=0.1, usd_per_mtok_output=0.4)
STRONG = profile("gpt-max", (0.9,) * 4, usd_per_mtok_input=3.0, usd_per_mtok_output=15.0)
OFF = profile("off", (1.0,) * 4, available=False)
POOL = Catalog((CHEAP, STRONG, OFF))


@given(catalogs(), requirements(), taus, weights, token_counts)
def test_the_program_chooses_what_the_argmin_chooses(
    catalog: Catalog, needs: Requirements, tau: float, w: tuple[float, ...], tokens: int
) -> None:
    problem = formulate(needs, catalog, tau=tau, dimension_weights=w, tokens_input=tokens)
    solution = assignment_program(problem).solve()
    expected = match(needs, catalog, tau=tau, dimension_weights=w, tokens_input=tokens)
    assert solution.chosen.tolist() == expected.chosen.tolist()
    assert solution.cost_micro_usd == pytest.approx(np.nansum(expected.cost_micro_usd), abs=1e-6)


@pytest.mark.skipif(
    "PULP_CBC_CMD" not in available_solvers(), reason="this PuLP brings no CBC, or it cannot run"
)
@given(st.data())
def test_cbc_agrees_with_highs(data: st.DataObject) -> None:
    catalog, needs = data.draw(catalogs(max_size=4)), data.draw(requirements(max_queries=2))
    program = assignment_program(formulate(needs, catalog, tau=data.draw(taus)))
    assert program.solve("PULP_CBC_CMD").chosen.tolist() == program.solve("HiGHS").chosen.tolist()


def test_highs_is_tried_first_and_is_there() -> None:
    assert available_solvers()[0] == SOLVERS[0] == "HiGHS"


def test_only_eligible_models_get_a_variable() -> None:
    program = assignment_program(formulate(Requirements.of(reasoning=0.5), POOL, tau=0.1))
    assert program.pairs.tolist() == [[0, 1]]


def test_of_models_that_tie_on_cost_one_gets_a_variable() -> None:
    twins = Catalog((profile("b"), profile("a")))
    assert assignment_program(formulate(Requirements.of(), twins)).pairs.tolist() == [[0, 1]]


def test_a_query_nobody_can_serve_stays_out_of_the_program() -> None:
    nobody = Catalog((OFF,))
    solution = assignment_program(formulate(Requirements.of(), nobody)).solve()
    assert solution.chosen.tolist() == [-1]


def test_the_text_of_f0_has_every_number_and_says_why_the_others_are_left_out() -> None:
    problem = formulate(
        Requirements.of(reasoning=0.1), POOL, tau=0.0, tokens_input=100, tokens_output=10
    )
    text = assignment_program(problem).to_text()
    assert "14 · x[gpt-mini/2]" in text
    assert "450 · x[gpt-max]" in text
    assert "x[gpt-mini/2] + x[gpt-max] = 1" in text
    assert "off  switched off" in text


def test_the_text_of_f1_names_queries_and_counts_what_it_does_not_show() -> None:
    needs = Requirements(np.full((25, 4), 0.1))
    text = assignment_program(formulate(needs, POOL)).to_text()
    assert "x[0, gpt-max]" in text
    assert "5 more queries" in text
    assert "50 variables" in text


def test_a_program_without_a_solution_raises_with_the_solvers_status() -> None:
    program = LinearProgram("impossible")
    number = program.binary()
    program.minimise([(number, 1.0)])
    program.require_equal([(number, 1.0)], 2.0, name="never")
    with pytest.raises(SolverError, match=r"HiGHS did not prove an optimum: .*nfeasible"):
        program.solve()


def test_the_first_solve_of_a_process_prints_nothing() -> None:
    code = (
        "import hydra_nb as hy; from hydra_nb.solver import assignment_program as program;"
        "pool = hy.Catalog.sample('paper_pool');"
        "program(hy.formulate(hy.Requirements.of(), pool)).solve()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_solver_that_is_not_installed_is_a_solver_error() -> None:
    program = assignment_program(formulate(Requirements.of(), POOL))
    missing = [name for name in SOLVERS if name not in available_solvers()]
    for name in missing:
        with pytest.raises(SolverError):
            program.solve(name)
    assert missing or "COIN_CMD" in available_solvers()
