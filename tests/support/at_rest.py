"""A canary, in every form it could have on a disk, looked for in files."""

from __future__ import annotations

import base64
import contextlib
import secrets
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def _number() -> float:
    """Eleven digits that stand nowhere by chance; allowed as a monthly income."""
    return (10**10 + 1 + secrets.randbelow(9 * 10**9) * 10) / 10**4


@dataclass(frozen=True)
class Canary:
    """A text and a number that nothing else in the world has."""

    text: str = field(default_factory=lambda: f"Canary{secrets.token_hex(8)}")
    number: float = field(default_factory=_number)

    def forms(self) -> tuple[bytes, ...]:
        """Everything that gives it away: plain, hexadecimal, base64 at every offset, UTF-16, binary floats, PostgreSQL's numeric."""
        digits = f"{self.number:.4f}"
        plain = [
            self.text.encode(),
            self.text.lower().encode(),
            digits.encode(),
            digits.replace(".", "").encode(),
            repr(self.number).encode(),
        ]
        found = {*plain, self.text.encode("utf-16-le"), digits.encode("utf-16-le")}
        for each in plain:
            found |= {each.hex().encode(), each.hex().upper().encode()}
            found |= {base64.b64encode(b"\0" * offset + each)[4:-4] for offset in range(3)}
        # A float of four bytes could be there by chance.
        found |= {struct.pack(order, self.number) for order in ("<d", ">d")}
        whole, part = digits.split(".")
        groups = [int(whole[:-4]), int(whole[-4:]), int(part)]
        found.add(struct.pack("<3h", *groups))
        return tuple(found)


def files_with(folder: Path, canary: Canary) -> list[Path]:
    """Return the files below `folder` that hold the canary, or whose names do."""
    forms = canary.forms()
    hits = []
    for path in folder.rglob("*"):
        # Databases remove files of their own at any moment, and a socket cannot be read.
        with contextlib.suppress(OSError):
            content = path.read_bytes() if path.is_file() else b""
            if any(form in content for form in forms) or canary.text in path.name:
                hits.append(path.relative_to(folder))
    return hits
