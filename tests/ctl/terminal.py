"""`analyticsctl` as a process of its own, against a running service."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from server.ctl.demo_organizations import ORGANIZATIONS
from tests.support import credentials

if TYPE_CHECKING:
    from tests.support.live import Service

ROOT = Path(__file__).parents[2]
NORTHWIND = ORGANIZATIONS[0].org_id


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
        config = self.folder / f"{org}-{'-'.join(roles)}.json"
        tokens = {"tenant": token or credentials.token(org, *roles), "operator": credentials.operator_token()}
        config.write_text(json.dumps({"address": self.service.address, "tokens": tokens}))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANALYTICS")}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "server.ctl", *words),
            cwd=ROOT,
            env={**kept, "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}", "ANALYTICSCTL_CONFIG": str(config)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(stdin.encode())
        assert "Traceback" not in err.decode(), err.decode()
        return Ended(process.returncode or 0, out.decode(), err.decode())

    async def demo(self, *words: str) -> Ended:
        key = self.folder / "key.pem"
        key.write_bytes(credentials.signing_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return await self("demo", "--key-file", str(key), "--kid", credentials.KID, *words)
