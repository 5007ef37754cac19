"""The commands of the guides, run as a reader pastes them: one shell per document, in a folder that looks like the checkout."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from server.ctl.demo_organizations import ORGANIZATIONS
from tests.docs.blocks import DOCUMENTS, ROOT, Block, name, read
from tests.support import credentials, environment, insights
from tests.support.live import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.support.databases import Cluster
    from tests.support.demo import Demo
    from tests.support.live import Service

DEFAULT_ADDRESS = "127.0.0.1:50051"
# Its package has a binary for one kind of machine only.
WITH_GRPCURL = Path(sys.prefix, "bin", "grpcurl").exists()
PUBLIC_FILE = ROOT.parent / "shared" / "data" / "hr_ibm_attrition.csv"
LONGEST_SECONDS = 240.0
# What a reader downloads for a guide: name in the guide -> where the tests have it.
DOWNLOADS = {"docs/predictions.md": ("hr_ibm_attrition.csv", PUBLIC_FILE)}
RUNNABLE = [document for document in DOCUMENTS if any(block.language == "sh" for block in read(document))]


class Reader:
    """Somebody with a checkout, a built `.venv` and a running service, in a shell in that folder."""

    def __init__(self, service: Service, folder: Path) -> None:
        self._service = service
        self._token = credentials.token(ORGANIZATIONS[0].org_id)
        self.folder = folder
        for part in ("generated", "proto", "server", "workers"):
            (folder / part).symlink_to(ROOT / part)
        (folder / ".venv").symlink_to(sys.prefix)
        (folder / ".data").mkdir()
        content = {"address": service.address, "tokens": {"tenant": self._token, "operator": credentials.operator_token()}}
        (folder / ".data" / "analyticsctl.json").write_text(json.dumps(content))

    async def run(self, *command: str) -> tuple[int, str]:
        """Run a command; its exit code and all it printed."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANALYTICS")}
        variables = {"TOKEN": self._token, "ADDRESS": self._service.address, "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}"}
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env={**kept, **variables, "COLUMNS": "120"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(), LONGEST_SECONDS)
        except TimeoutError:
            process.kill()
            raise
        return process.returncode or 0, out.decode()

    async def paste(self, found: Sequence[Block]) -> dict[int, str]:
        """Run the commands of a document in one shell; what each block printed, by its line."""
        for block in found:
            if block.marker == "file":
                (self.folder / block.value).write_text(block.text)
        script = ["set -e -o pipefail"]
        ran = [block for block in found if block.language == "sh" and block.marker != "not run"]
        for block in ran:
            script += [f"echo '=== {block.line}'", block.text.replace(DEFAULT_ADDRESS, self._service.address)]
        code, printed = await self.run("bash", "-c", "\n".join(script))
        assert code == 0, printed
        parts = ("\n" + printed).split("\n=== ")[1:]
        return {int(part.split("\n", 1)[0]): part for part in parts}


@pytest.fixture(scope="module")
async def live(cluster: Cluster, demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """What `make run` leaves a reader with: reflection on, the demo organizations and their model."""
    folder = tmp_path_factory.mktemp("docs")
    database = await cluster.create_database(demo.database)
    async with running(environment.settings(cluster, database, reflection=True), folder) as service:
        # What its first night would find.
        await insights.recorded(service.app.db, ORGANIZATIONS[0].org_id, [insights.finding(str(number)) for number in range(3)])
        yield service
    await cluster.drop_database(database)


def unexplained(found: Sequence[Block]) -> list[int]:
    """Lines of shell blocks that are not run and do not say why in three words at least."""
    return [block.line for block in found if block.language == "sh" and block.marker == "not run" and len(block.value.split()) < 3]


def needs_grpcurl(found: Sequence[Block]) -> bool:
    """Whether a command of these blocks is one of grpcurl."""
    return any(".venv/bin/grpcurl" in block.text for block in found)


@pytest.mark.parametrize("document", RUNNABLE, ids=name)
async def test_the_commands_of_a_document_work_when_pasted(live: Service, tmp_path: Path, document: Path) -> None:
    reader = Reader(live, tmp_path)
    if name(document) in DOWNLOADS:
        wanted, here = DOWNLOADS[name(document)]
        if not here.exists():
            pytest.skip(f"the published data set is not beside the checkout ({here})")
        (tmp_path / wanted).symlink_to(here)
    found = read(document)
    if needs_grpcurl(found) and not WITH_GRPCURL:
        pytest.skip("grpcurl's package has no binary for this machine; link one to .venv/bin/grpcurl (docs/clients.md)")
    printed = await reader.paste(found)
    for block in found:
        if block.marker == "shows":
            assert block.value in printed[block.line]


@pytest.mark.parametrize(
    ("document", "program"),
    [(document, block) for document in DOCUMENTS for block in read(document) if block.marker == "test"],
    ids=lambda part: part.value if isinstance(part, Block) else "",
)
async def test_the_programs_of_a_document_run(live: Service, tmp_path: Path, document: Path, program: Block) -> None:
    reader = Reader(live, tmp_path)
    (tmp_path / program.value).write_text(program.text)
    code, printed = await reader.run(".venv/bin/python", program.value)
    assert code == 0, f"{name(document)}: {printed}"
    assert printed


def test_the_first_call_fits_into_fifteen_lines() -> None:
    program = next(block for block in read(ROOT / "README.md") if block.value == "first_call.py")
    assert len([line for line in program.text.splitlines() if line.strip()]) <= 15


def test_what_is_not_run_says_why() -> None:
    assert {name(document): unexplained(read(document)) for document in DOCUMENTS} == {name(document): [] for document in DOCUMENTS}


async def test_control_a_command_that_fails_is_found(live: Service, tmp_path: Path) -> None:
    reader = Reader(live, tmp_path)
    with pytest.raises(AssertionError, match="JOB_NOT_FOUND"):
        await reader.paste([Block(1, "sh", ".venv/bin/analyticsctl job 00000000-0000-4000-8000-000000000000\n")])
    assert unexplained([Block(1, "sh", "make run\n", "not run", "later")]) == [1]
