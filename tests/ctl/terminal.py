"""`analyticsctl` as a process of its own, against a running service."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from server.ctl.demo_organizations import ORGANIZATIONS
from tests.support import credentials
from tests.support.until import until

if TYPE_CHECKING:
    from tests.support.live import Service

ROOT = Path(__file__).parents[2]
NORTHWIND = ORGANIZATIONS[0].org_id
# As at a terminal: whoever starts the tests in the background leaves SIGINT ignored.
_MAIN = """import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("server.ctl", run_name="__main__")"""


DEMO_ORGANIZATIONS = 80


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> Any:  # noqa: ANN401 - a document of a test
        """What it printed, as JSON."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def error(self) -> Any:  # noqa: ANN401 - a document of a test
        """What the server refused, as JSON."""
        assert self.code == 1, (self.out, self.err)
        return json.loads(self.err)["error"]


@dataclass(frozen=True)
class Terminal:
    """Runs `analyticsctl` against one service."""

    service: Service
    folder: Path

    async def __call__(self, *words: str, org: str = NORTHWIND, roles: tuple[str, ...] = (), stdin: str = "", token: str = "") -> Ended:
        return await self._end(await self._start(words, org, roles, token), stdin)

    async def into(self, out: Path, *words: str, org: str = NORTHWIND) -> asyncio.subprocess.Process:
        """Start a command whose output is appended to a file."""
        with out.open("ab") as appended:
            return await self._start(words, org, (), "", appended)

    async def interrupted(self, *words: str) -> Ended:
        """Press Ctrl-C as soon as the command waits for the end of a job."""
        process = await self._start(words, NORTHWIND, (), "")
        await until(lambda: bool(self.service.app.watched._watchers), 60)
        process.send_signal(signal.SIGINT)
        ended = await self._end(process, "")
        await until(lambda: not self.service.app.watched._watchers)
        return ended

    async def _start(
        self, words: tuple[str, ...], org: str, roles: tuple[str, ...], token: str, out: IO[bytes] | int = asyncio.subprocess.PIPE
    ) -> asyncio.subprocess.Process:
        config = self.folder / f"{org}-{'-'.join(roles)}.json"
        tokens = {"tenant": token or credentials.token(org, *roles), "operator": credentials.operator_token()}
        config.write_text(json.dumps({"address": self.service.address, "tokens": tokens}))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANALYTICS")}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _MAIN, *words),
            cwd=ROOT,
            env={**kept, "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}", "ANALYTICSCTL_CONFIG": str(config)},
            stdin=asyncio.subprocess.PIPE,
            stdout=out,
            stderr=asyncio.subprocess.PIPE,
        )

    async def _end(self, process: asyncio.subprocess.Process, stdin: str) -> Ended:
        out, err = await process.communicate(stdin.encode())
        assert "Traceback" not in err.decode(), err.decode()
        return Ended(process.returncode or 0, out.decode(), err.decode())

    async def demo(self, *words: str) -> Ended:
        """Load a fifth of the demo organizations and let their night run."""
        key = self.folder / "key.pem"
        key.write_bytes(credentials.signing_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return await self(
            "demo", "--key-file", str(key), "--kid", credentials.KID, "--organizations", str(DEMO_ORGANIZATIONS), "--wait", "3600", *words
        )
