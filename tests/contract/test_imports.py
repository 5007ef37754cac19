"""The import contracts of pyproject.toml cover every module and catch what they forbid; what they cannot see is measured."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.contract.sources import ROOT

IMPORT_PATH = os.pathsep.join([str(ROOT), str(ROOT / "generated")])
ALL_OF_RPC = "import pkgutil, server.rpc as rpc; [__import__(found.name) for found in pkgutil.walk_packages(rpc.__path__, 'server.rpc.')]"
HEAVY = ("scipy", "sklearn", "xgboost")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


def placed() -> set[str]:
    layers = next(contract["layers"] for contract in CONTRACTS if contract["type"] == "layers")
    return set(re.findall(r"[\w.]+", " ".join(layers)))


def unplaced(modules: set[str]) -> set[str]:
    return {f"server.{module}" for module in modules} - placed()


def heavy_after(statement: str) -> list[str]:
    """Which of the heavy packages a fresh interpreter holds after `statement`."""
    program = f"{statement}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": IMPORT_PATH},
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def broken_contracts(project: Path) -> set[str]:
    # A terminal of its own width, or the names are cut.
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--config", "pyproject.toml", "--no-cache"],
        check=False,
        capture_output=True,
        text=True,
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project), "COLUMNS": "400", "NO_COLOR": "1"},
    )
    return {contract["name"] for contract in CONTRACTS if re.search(re.escape(contract["name"]) + r"\s+BROKEN", done.stdout)}


def test_every_module_of_the_server_has_a_place_in_the_import_order() -> None:
    modules = {path.stem for path in (ROOT / "server").glob("*.py")} | {path.parent.name for path in (ROOT / "server").glob("*/*.py")}
    assert not unplaced(modules - {"__init__"})


def test_control_a_module_without_a_place_is_found() -> None:
    assert unplaced({"insights", "surprises"}) == {"server.surprises"}


@pytest.mark.parametrize("statement", ["import server.app", "import server.__main__", ALL_OF_RPC])
def test_the_process_that_accepts_work_holds_neither_xgboost_nor_scipy(statement: str) -> None:
    assert heavy_after(statement) == []


def test_control_a_heavy_import_is_seen() -> None:
    assert heavy_after("import scipy") == ["scipy"]


# One line per contract that breaks it, in a project that is otherwise as small as the contracts allow.
VIOLATIONS = {
    "server/errors.py": "import server.facts",
    "server/facts/load.py": "import grpc",
    "server/audit/store.py": "from analytics.v1 import errors_pb2",
    "server/tenants/update.py": "import arq",
    "server/ml/turnover.py": "import xgboost",
    "server/app.py": "import server.ml.turnover",
    "server/ctl/main.py": "import server.settings",
}


def small_project(folder: Path, violations: dict[str, str]) -> Path:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    packages = ["server", "workers"] + [f"server/{name}" for name in ("audit", "ctl", "facts", "ml", "rpc", "tenants", "wire")]
    for package in packages:
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
    for module in ("server/app.py", "server/errors.py", "server/settings.py", *violations):
        (folder / module).write_text(violations.get(module, ""), encoding="utf-8")
    return folder


def test_control_every_import_contract_breaks_when_it_is_violated(tmp_path: Path) -> None:
    assert broken_contracts(small_project(tmp_path, VIOLATIONS)) == {contract["name"] for contract in CONTRACTS}


def test_control_no_import_contract_breaks_without_a_violation(tmp_path: Path) -> None:
    assert broken_contracts(small_project(tmp_path, {})) == set()
