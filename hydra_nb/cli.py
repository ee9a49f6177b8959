"""The command `hydra-nb`: open the lab, route prompts, check catalogs, train predictors.

Exit codes: 0 done, 2 bad input. Messages go to stderr, results to stdout.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from hydra_nb import __version__, atomic_file
from hydra_nb.catalog import Band, Catalog
from hydra_nb.decision import Decision
from hydra_nb.dimensions import LABELS
from hydra_nb.errors import CatalogError, HydraError, InvalidInputError
from hydra_nb.money import format_usd
from hydra_nb.predictor.commands import add_commands
from hydra_nb.problem import DEFAULT_TAU
from hydra_nb.profiling import profiled_text, read_band
from hydra_nb.routing import route
from hydra_nb.tokens import DEFAULT_TOKENS_OUTPUT

_BAR = 24


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parsed = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return run(parsed)
    except HydraError as error:
        print(f"hydra-nb: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of our output went away (`hydra-nb route … | head`): nothing is wrong here.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hydra-nb", description="Explore, simulate and explain capability-aware LLM routing."
    )
    parser.add_argument("--version", action="version", version=f"hydra-nb {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    lab = commands.add_parser("lab", help="copy the notebooks here and open JupyterLab on the tour")
    lab.add_argument("--dir", type=Path, default=Path("hydra-lab"), help="default: ./hydra-lab")
    lab.add_argument("--port", type=_port, help="default: 8888, or the next free one")
    lab.add_argument("--no-browser", action="store_true", help="only print the address")
    lab.set_defaults(run=_lab)

    routing = commands.add_parser("route", help="route one prompt and say why")
    routing.add_argument("prompt", help="the prompt, or - to read it from standard input")
    routing.add_argument("--catalog", metavar="FILE", help="YAML file or name of a sample catalog")
    routing.add_argument("--tau", type=float, default=DEFAULT_TAU, help=f"default: {DEFAULT_TAU}")
    routing.add_argument(
        "--tokens-output",
        type=int,
        default=DEFAULT_TOKENS_OUTPUT,
        help=f"expected length of the answer; default: {DEFAULT_TOKENS_OUTPUT}",
    )
    routing.add_argument("--json", action="store_true", help="print the decision as JSON")
    routing.set_defaults(run=_route)

    catalog = commands.add_parser("catalog", help="work with catalog files")
    actions = catalog.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="check a catalog file")
    check.add_argument("file", metavar="FILE", help="YAML file or name of a sample catalog")
    check.set_defaults(run=_check)
    profile = actions.add_parser(
        "profile", help="recompute the capabilities of catalog files from their evidence (Eq. 3)"
    )
    profile.add_argument("files", nargs="+", type=Path, metavar="FILE")
    profile.add_argument(
        "--band",
        type=Path,
        metavar="JSON",
        help="file with a new band, as `score_band` or alone; default: the band of each catalog",
    )
    profile.set_defaults(run=_profile)

    add_commands(commands)
    return parser


def _port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"must be a port from 1 to 65535; received {text!r}")
    return port


def _lab(parsed: argparse.Namespace) -> NoReturn:
    from hydra_nb import workspace

    prepared = workspace.prepare(parsed.dir)
    if prepared.kept:
        changed = ", ".join(prepared.kept)
        print(f"hydra-nb: kept your changes to {changed}", file=sys.stderr)
    print(f"hydra-nb: notebooks and catalogs are in {prepared.folder.resolve()}", file=sys.stderr)
    # Nothing may leave the machine unless the user asks: no news, no update check.
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--notebook-dir={prepared.folder.resolve()}",
        f"--LabApp.default_url=/lab/tree/{workspace.TOUR}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]
    if parsed.port:
        command += [f"--port={parsed.port}", "--ServerApp.port_retries=0"]
    if parsed.no_browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # in containers, root is the only user there is
    # JupyterLab takes the place of this process, so that a signal to it ends the server.
    sys.stderr.flush()
    os.execv(sys.executable, command)


def _route(parsed: argparse.Namespace) -> int:
    text = sys.stdin.read() if parsed.prompt == "-" else parsed.prompt
    if not text.strip():
        raise InvalidInputError("the prompt is empty")
    decision = route(
        text, _open(parsed.catalog), tau=parsed.tau, tokens_output=parsed.tokens_output
    )
    if parsed.json:
        print(json.dumps(decision.to_dict(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(_lines(decision)))
    return 0


def _open(name: str | None) -> Catalog:
    if name is None:
        return Catalog.sample("paper_pool")
    if Path(name).exists():
        return Catalog.load(name)
    if name in Catalog.sample_names() or not Path(name).suffix:
        return Catalog.sample(name)  # which lists the names there are
    return Catalog.load(name)


def _lines(decision: Decision) -> list[str]:
    lines = []
    for name, value in decision.requirements.row(0).items():
        bar = "█" * round(value * _BAR)
        lines.append(f"{LABELS[name]:<16} {value:.2f}  {bar}")
    lines.append("")
    if decision.chosen:
        lines.append(f"→ {decision.chosen.name}  {format_usd(decision.cost_micro_usd)} this prompt")
        if decision.strongest and math.isfinite(decision.saving):
            lines[-1] += f", {decision.saving:.0%} saved against {decision.strongest.name}"
    lines += [decision.explanation, ""]
    width = max((len(candidate.name) for candidate in decision.candidates), default=0)
    lines += [f"  {c.name:<{width}}  {c.reason}" for c in decision.candidates]
    return lines


def _check(parsed: argparse.Namespace) -> int:
    catalog = _open(parsed.file)
    available = sum(profile.available for profile in catalog)
    print(f"{parsed.file}: {len(catalog)} models, {available} available, no problem found")
    return 0


def _profiled(path: Path, band: Band | None) -> str:
    catalog = Catalog.load(path)
    try:
        return profiled_text(catalog, band)
    except CatalogError as error:
        raise error.at(str(path)) from error


def _profile(parsed: argparse.Namespace) -> int:
    band = None if parsed.band is None else read_band(parsed.band)
    # All are computed before the first is written: a refused file leaves every file alone.
    texts = {path: _profiled(path, band) for path in parsed.files}
    for path, text in texts.items():
        try:
            atomic_file.write_text(path, text)
        except OSError as error:
            raise CatalogError(
                f"cannot be written ({error.strerror or error})", place=str(path)
            ) from error
        print(f"{path}: capabilities recomputed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
