"""How an uncoupled routing depends on prices, τ, capabilities and availability: exact answers.

`price` (break-even prices and the curves over a price), `threshold` (the τ staircase, the frontier
of cost and mean shortfall), `outages` (N−1 and any set), `flips` (smallest single changes of one
decision), `regions` (maps of two parameters), `regret` (an assignment against the optimum). All
take a `RoutingProblem` and agree with `assign` of it; all totals are weighted by its arrivals.
Under constraints nothing of this is exact: there, `bounds` bounds the least cost against a price.
"""

from hydra_nb.sensitivity.bounds import CostBounds, cost_bounds
from hydra_nb.sensitivity.curve import PriceCurve, PricePoint
from hydra_nb.sensitivity.flip import Flip
from hydra_nb.sensitivity.flips import flips, smallest_flip
from hydra_nb.sensitivity.outages import Outage, OutageTable, outage, outage_table
from hydra_nb.sensitivity.price import BreakEven, break_even, break_even_table
from hydra_nb.sensitivity.regions import (
    Region,
    Regions,
    price_price_regions,
    price_tau_regions,
)
from hydra_nb.sensitivity.regret import Regret, fixed_regrets, regret
from hydra_nb.sensitivity.rows import Rows
from hydra_nb.sensitivity.threshold import (
    Frontier,
    Staircase,
    Step,
    shortfall_frontier,
    tau_staircase,
)

__all__ = [
    "BreakEven",
    "CostBounds",
    "Flip",
    "Frontier",
    "Outage",
    "OutageTable",
    "PriceCurve",
    "PricePoint",
    "Region",
    "Regions",
    "Regret",
    "Rows",
    "Staircase",
    "Step",
    "break_even",
    "break_even_table",
    "cost_bounds",
    "fixed_regrets",
    "flips",
    "outage",
    "outage_table",
    "price_price_regions",
    "price_tau_regions",
    "regret",
    "shortfall_frontier",
    "smallest_flip",
    "tau_staircase",
]
