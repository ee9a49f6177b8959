from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import hydra_nb as hy
from hydra_nb import workspace
from hydra_nb.cli import main

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
HEAVY = ("torch", "transformers", "onnxruntime", "altair", "ipywidgets", "pandas", "pulp")


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["hydra_nb", "hydra_nb.cli", "hydra_nb.predictor"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    loaded = python(f"import sys, {module}; print(*[m for m in {HEAVY!r} if m in sys.modules])")
    assert loaded == ""


def test_the_first_score_needs_no_torch() -> None:
    code = (
        "import sys, hydra_nb as hy; hy.route('hi', hy.Catalog.sample('paper_pool'));"
        "print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    assert python(code) == "False False"


def test_every_public_name_is_there() -> None:
    assert [name for name in hy.__all__ if not hasattr(hy, name)] == []


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = hy.nonsense


def readme_blocks() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_the_code_of_the_readme_runs() -> None:
    blocks = readme_blocks()
    assert blocks
    exec("\n".join(blocks), {})


def test_the_readme_names_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_committed_without_outputs(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert [c for c in cells if c.cell_type == "code" and (c.outputs or c.execution_count)] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_run_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    workspace.prepare(tmp_path)
    notebook = nbformat.read(tmp_path / path.name, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    ran = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in ran)


# -- the lab folder -------------------------------------------------------------------------------


def test_the_lab_folder_has_the_tour_and_the_catalogs(tmp_path: Path) -> None:
    prepared = workspace.prepare(tmp_path / "new" / "lab")
    assert (prepared.folder / workspace.TOUR).is_file()
    assert (prepared.folder / "catalogs" / "paper_pool.yaml").is_file()
    assert prepared.kept == ()


def test_a_file_the_user_changed_is_never_written_over(tmp_path: Path) -> None:
    workspace.prepare(tmp_path)
    catalog = tmp_path / "catalogs" / "paper_pool.yaml"
    catalog.write_text("mine", encoding="utf-8")
    again = workspace.prepare(tmp_path)
    assert again.kept == ("catalogs/paper_pool.yaml",)
    assert catalog.read_text(encoding="utf-8") == "mine"


def test_a_file_the_user_had_before_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / workspace.TOUR).write_text("mine", encoding="utf-8")
    assert workspace.TOUR in workspace.prepare(tmp_path).kept
    assert (tmp_path / workspace.TOUR).read_text(encoding="utf-8") == "mine"


def test_an_untouched_file_of_an_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    workspace.prepare(tmp_path)
    old = tmp_path / workspace.TOUR
    old.write_text("old version", encoding="utf-8")
    record = tmp_path / ".hydra-nb.json"
    digests = json.loads(record.read_text(encoding="utf-8"))
    digests[workspace.TOUR] = workspace._digest(old)
    record.write_text(json.dumps(digests), encoding="utf-8")
    assert workspace.prepare(tmp_path).written == (workspace.TOUR,)
    assert old.read_text(encoding="utf-8") != "old version"


def test_a_removed_file_comes_back(tmp_path: Path) -> None:
    workspace.prepare(tmp_path)
    (tmp_path / workspace.TOUR).unlink()
    assert workspace.prepare(tmp_path).written == (workspace.TOUR,)


def test_the_lab_command_serves_the_tour_and_ends_with_its_signal(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "hydra_nb.cli", "lab", "--no-browser", f"--port={port}"]
    environment = {**os.environ, "JUPYTER_TOKEN": "secret", "JUPYTER_PREFER_ENV_PATH": "1"}
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}/api/contents/{workspace.TOUR}?content=0&token=secret"
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(url, timeout=5) as response:
                    assert json.load(response)["name"] == workspace.TOUR
                break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.3)
        process.terminate()
        process.wait(20)
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(url, timeout=5)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        log.close()
    assert (tmp_path / "hydra-lab" / workspace.TOUR).is_file()


# -- the command line ------------------------------------------------------------------


def test_route_prints_scores_choice_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", "Write a haiku about rain"]) == 0
    out = capsys.readouterr().out
    assert "Reasoning" in out
    assert "→ " in out
    assert all(name in out for name in hy.Catalog.sample("paper_pool").names)


def test_route_as_json_is_what_python_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", "Fix this bug", "--json", "--catalog", "market_20", "--tau", "0.3"]) == 0
    printed = json.loads(capsys.readouterr().out)
    expected = hy.route("Fix this bug", hy.Catalog.sample("market_20"), tau=0.3).to_dict()
    assert printed == json.loads(json.dumps(expected))


def test_catalog_check_counts_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    hy.Catalog.sample("paper_pool").save(path)
    assert main(["catalog", "check", str(path)]) == 0
    assert "5 models, 5 available" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["catalog", "check", "gone.yaml"], "gone.yaml: cannot be read"),
        (["route", "hi", "--catalog", "gone.yaml"], "gone.yaml"),
        (["route", "hi", "--tau", "-1"], "tau must be"),
        (["route", " "], "the prompt is empty"),
        (["route", "hi", "--catalog", "nope"], "there are market_20"),
        (["route", "hi", "--tokens-output", "-1"], "tokens_output"),
    ],
)
def test_bad_input_ends_with_2_and_a_message_on_stderr(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["route"], ["lab", "--port", "0"], ["route", "x", "--tau", "a"]]
)
def test_bad_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["lab", "--dir", str(tmp_path / "file" / "lab")]) == 2
    assert "file" in capsys.readouterr().err
