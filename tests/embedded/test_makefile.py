"""How `make` builds .venv, shown with an interpreter that only writes down what it is told."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OLDEST = PYPROJECT["project"]["requires-python"].removeprefix(">=")
MAKEFILE = (ROOT / "Makefile").read_text()

# Knows `-c`, `-m venv`, `-m pip` and `-m server.embedded`; the copy it puts into the environment writes to the same log.
_PYTHON = """#!/bin/sh
case "$*" in
  *"import ensurepip"*) [ ! -e {folder}/without-ensurepip ];;
  -c*) [ ! -e {folder}/too-old ];;
  *"-m venv"*) echo "venv" >> {folder}/log; mkdir -p .venv/bin; cp {folder}/python .venv/bin/python;;
  "-m pip --version"|*"--python"*"--version") [ ! -e {folder}/without-ensurepip ];;
  "-m pip install"*) echo "pip ${{*##*--no-input }}" >> {folder}/log; [ ! -e {folder}/without-network ];;
  "-m server.embedded run") echo "run" >> {folder}/log;;
esac
"""
# What builds comes first, so that the installation itself fetches nothing that is not locked.
_BUILD = "pip --require-hashes --requirement requirements-build.txt"
_LOCKED = "pip --no-build-isolation --use-pep517 --require-hashes --requirement requirements.txt"
_PROJECT = "pip --no-build-isolation --use-pep517 --no-index --no-deps --editable ."


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("Makefile", "requirements-build.txt", "requirements.txt", "requirements-dev.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "python").write_text(_PYTHON.format(folder=tmp_path))
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def _make(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    command = ["make", *(words or ("run", f"PYTHON={project}/python"))]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=60)


def _log(project: Path) -> list[str]:
    path = project / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    path.write_text("")
    return lines


def test_the_first_run_builds_the_environment_and_later_ones_do_not(project: Path) -> None:
    assert _make(project).returncode == 0
    assert _log(project) == ["venv", _BUILD, _LOCKED, _BUILD, _PROJECT, "run"]
    assert _make(project).returncode == 0
    assert _log(project) == ["run"]


def test_a_changed_lock_is_installed_into_the_environment(project: Path) -> None:
    _make(project)
    _log(project)
    stamp = project / ".venv" / ".runtime"
    os.utime(project / "requirements.txt", (stamp.stat().st_mtime + 1,) * 2)
    _make(project)
    assert _log(project) == [_BUILD, _LOCKED, "run"]


def test_an_installation_that_was_cut_off_is_built_anew(project: Path) -> None:
    (project / "without-network").touch()
    failed = _make(project)
    assert failed.returncode != 0
    assert "make: the packages could not be installed (see above)" in failed.stderr
    assert _log(project) == ["venv", _BUILD]
    (project / "without-network").unlink()
    assert _make(project).returncode == 0
    assert _log(project) == ["venv", _BUILD, _LOCKED, _BUILD, _PROJECT, "run"]


def test_an_environment_that_was_moved_with_its_folder_is_built_anew(project: Path, tmp_path: Path) -> None:
    _make(project)
    _log(project)
    (project / ".venv" / ".made").write_text("/somewhere/else")
    _make(project)
    assert _log(project) == ["venv", _BUILD, _LOCKED, _BUILD, _PROJECT, "run"]


@pytest.mark.parametrize(
    ("lack", "sentence"),
    [
        (
            "too-old",
            "make: no Python {oldest} or newer found (tried: {python}); install one, or name it: make PYTHON=/path/to/python{oldest}",
        ),
        (
            "without-ensurepip",
            "make: {python} can make no virtual environment with pip; install its package (Debian: apt install python3-venv)",
        ),
    ],
)
def test_a_missing_tool_is_one_sentence_and_leaves_no_environment(project: Path, lack: str, sentence: str) -> None:
    (project / lack).touch()
    ended = _make(project)
    assert ended.returncode != 0
    assert ended.stderr.splitlines()[0] == sentence.format(python=f"{project}/python", oldest=OLDEST)
    assert not (project / ".venv").exists()
    assert _log(project) == []


def _targets(makefile: str) -> set[str]:
    """What a person can ask for: the phony targets but for the one that only forces others."""
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    return set(phony.split()) - {"rebuild"}


def _helped(project: Path) -> list[str]:
    done = _make(project, "help")
    assert done.returncode == 0
    return [line.split()[1] for line in done.stdout.splitlines()]


def test_the_help_has_a_line_per_target(project: Path) -> None:
    helped = _helped(project)
    assert len(helped) == len(set(helped))
    assert set(helped) == _targets(MAKEFILE)
    assert _log(project) == []


def test_control_a_target_without_a_line_of_help_is_found(project: Path) -> None:
    path = project / "Makefile"
    path.write_text(MAKEFILE.replace(".PHONY: ", ".PHONY: fly ") + "\nfly:\n\t@true\n")
    assert _targets(path.read_text()) - set(_helped(project)) == {"fly"}


def test_the_makefile_looks_for_no_interpreter_older_than_the_project_takes() -> None:
    oldest = tuple(map(int, OLDEST.split(".")))
    looked_for = {tuple(map(int, version.split("."))) for version in re.findall(r"python(3\.\d+)", MAKEFILE)}
    assert min(looked_for) == oldest
    assert f"sys.version_info < {oldest}" in MAKEFILE
    assert f"--python-version {OLDEST}" in MAKEFILE


def test_every_make_of_the_guides_is_a_target() -> None:
    guides = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").rglob("*.md")]
    asked = {word for guide in guides for word in re.findall(r"(?:`|^)make ([a-z][a-z-]*)", guide.read_text(), re.MULTILINE)}
    assert asked
    assert asked <= _targets(MAKEFILE)
