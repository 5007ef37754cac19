"""Every dependency is argued for, and what is installed is locked by hash without naming where it comes from."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING

from tests.contract.sources import ROOT, Source, complaints, imports

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DECISIONS = ROOT / "docs" / "decisions" / "dependencies.md"
LOCKS = sorted(ROOT.glob("requirements*.txt"))
WORDS_OF_A_REASON = 4
# Imported package -> the dependency whose interface it is.
PART_OF_ANOTHER = {"pydantic": "pydantic-settings"}


CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = CONFIGURATION["project"]


def declared() -> set[str]:
    groups = (*PROJECT["optional-dependencies"].values(), *CONFIGURATION["dependency-groups"].values())
    return shipped() | {_name(line) for lines in groups for line in lines}


def shipped() -> set[str]:
    """What the product has at run time; `make run` adds the group `local`."""
    return {_name(line) for line in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["local"])}


def _name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[;<>=!~ @]", requirement.strip())[0]).lower()


def argued(page: str) -> dict[str, tuple[str, str]]:
    """Package -> (why, upkeep) of the page's tables."""
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in page.splitlines() if line.startswith("| `")]
    return {_name(row[0].strip("`")): (row[1], row[2]) for row in rows if len(row) == 3}


def unargued(names: Iterable[str], page: str) -> list[str]:
    reasons = argued(page)
    missing = [f"{name} has no line in docs/decisions/dependencies.md" for name in sorted(set(names) - reasons.keys())]
    unused = [f"{name} is argued for and not used" for name in sorted(reasons.keys() - set(names))]
    thin = [
        f"{name}: say why, and who keeps it up"
        for name, cells in reasons.items()
        if any(len(cell.split()) < WORDS_OF_A_REASON for cell in cells)
    ]
    return missing + unused + thin


def undeclared(source: Source, providers: Mapping[str, Sequence[str]], names: set[str]) -> list[str]:
    """Imports that only work because another package happens to bring what they import."""
    foreign = {(line, name.split(".")[0]) for line, name in imports(source)}
    ours = {"analytics", "buf", "server", "workers", *sys.stdlib_module_names, *PART_OF_ANOTHER}
    return [
        source.at(line, f"imports {package}, which pyproject.toml does not ask for")
        for line, package in sorted(foreign)
        if package not in ours and not names & {_name(provider) for provider in providers.get(package, ())}
    ]


def unlocked(text: str) -> list[str]:
    """Entries of a lock file without an exact version and a hash, and lines that say where packages come from."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = [f"names a place: {line.split()[0]}" for line in lines if line.startswith("-") or "://" in line]
    return found + [
        f"not locked: {line.split()[0]}" for line in lines if not re.match(r"[\w.\[\]-]+==\S+.*--hash=sha256:[0-9a-f]{64}", line)
    ]


def test_every_dependency_is_argued_for() -> None:
    assert not unargued(declared(), DECISIONS.read_text(encoding="utf-8"))


def test_the_product_imports_only_what_it_asks_for() -> None:
    providers = packages_distributions()
    assert complaints(lambda source: undeclared(source, providers, shipped()), "server", "workers") == []


def test_every_locked_requirement_has_a_version_and_a_hash_and_no_address() -> None:
    assert LOCKS, "requirements.txt is missing"
    assert {lock.name: unlocked(lock.read_text(encoding="utf-8")) for lock in LOCKS} == {lock.name: [] for lock in LOCKS}


def test_every_dependency_is_locked() -> None:
    locked = {_name(line) for lock in LOCKS for line in lock.read_text(encoding="utf-8").splitlines() if re.match(r"\w", line)}
    assert declared() - locked == set()


def test_control_a_dependency_without_a_reason_is_found() -> None:
    row = "| `grpcio` | Serves the contract over HTTP/2. | Google, a release every six weeks. |"
    assert not unargued({"grpcio"}, row)
    assert unargued({"grpcio", "left-pad"}, row)
    assert unargued(set(), row)
    assert unargued({"grpcio"}, "| `grpcio` | Needed. | Google, a release every six weeks. |")


def test_control_an_import_of_something_undeclared_is_found() -> None:
    providers = {"click": ["click"], "google": ["protobuf", "googleapis-common-protos"]}
    assert undeclared(Source("server/a.py", "def f():\n    import click.core"), providers, {"protobuf"})
    assert undeclared(Source("server/a.py", "from unknown import thing"), providers, {"protobuf"})
    assert not undeclared(
        Source("server/a.py", "import json\nfrom google.protobuf import any_pb2\nfrom server import db"), providers, {"protobuf"}
    )


def test_control_a_loose_requirement_is_found() -> None:
    digest = "0" * 64
    assert not unlocked(f"# made by uv\nredis[hiredis]==5.3.1 ; python_version > '3' \\\n    --hash=sha256:{digest}\n    # via arq\n")
    assert unlocked("redis==5.3.1\n")
    assert unlocked(f"redis>=5.3.1 --hash=sha256:{digest}\n")
    assert unlocked(f"--find-links https://example.org/wheels\nredis==5.3.1 --hash=sha256:{digest}\n")
    assert unlocked(f"redis @ https://example.org/redis.whl --hash=sha256:{digest}\n")
