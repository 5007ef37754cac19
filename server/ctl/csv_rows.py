"""Rows of a CSV file, one at a time, with the line each one starts at.

What always holds: memory does not grow with the file; what is wrong with one row is a `Problem` that leaves the next rows
readable; what makes the whole file unreadable is one sentence in `BadInput`.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import sys
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from server.ctl.failures import BadInput
from server.ctl.values import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_DELIMITERS = ",;\t|"
_LINE_BYTES = 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
STDIN = Path("-")

# Parts of the csv module's messages, and what they mean to somebody who looks at the file.
_CSV_ERRORS = {
    "expected after": "text follows the closing quote of a cell",
    "new-line character": "a carriage return stands inside the line; lines must end in LF or CRLF",
    "field larger": "a cell is longer than 131,072 characters",
    "end of data": "the file ends first",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one row; `field` is empty when the row as a whole is."""

    line: int
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of one row, as many as the header has; `line` counts from 1, the header included."""

    line: int
    cells: list[str]


class Table:
    """An open file: its header, and its rows in one walk."""

    def __init__(self, name: str, source: IO[bytes], delimiter: str, encoding: str) -> None:
        """Read the header.

        Raises:
            BadInput: there is none, or it cannot be read.

        """
        self._name = name
        self._source = source
        self._encoding = encoding
        self._line = 0
        lines = self._lines()
        first = next((line for line in lines if line.strip()), "")
        if not first:
            msg = f"{name} is empty"
            raise BadInput(msg)
        self._reader = csv.reader(self._chain(first, lines), delimiter=delimiter or sniffed(first), strict=True)
        header = self._next_cells(self._line)
        if isinstance(header, Problem):
            msg = f"{name}, line {header.line}: {header.reason}"
            raise BadInput(msg)
        self.header: list[str] = [cell.strip() for cell in header or []]

    def rows(self) -> Iterator[Row | Problem]:
        """The rows below the header; empty lines are passed over.

        Raises:
            BadInput: the rest of the file cannot be read.

        """
        while True:
            start = self._line + 1
            cells = self._next_cells(start)
            if cells is None:
                return
            if isinstance(cells, Problem):
                yield cells
            elif len(cells) != len(self.header):
                if any(cell.strip() for cell in cells):
                    yield Problem(start, "", f"has {len(cells)} cells where the header has {len(self.header)}")
            elif any("\0" in cell for cell in cells):
                yield Problem(start, self.header[next(i for i, cell in enumerate(cells) if "\0" in cell)], "contains a NUL character")
            elif any(cell.strip() for cell in cells):
                yield Row(start, cells)

    def _next_cells(self, start: int) -> list[str] | Problem | None:
        try:
            return next(self._reader, None)
        except csv.Error as error:
            text = str(error)
            reason = next((words for part, words in _CSV_ERRORS.items() if part in text), text)
            # A quote that closes on its own line spoils one row. One that ran over more lines, or to the end of the file,
            # has swallowed rows, and nobody can tell where the next one begins.
            if self._line == start and "end of data" not in text:
                return Problem(start, "", reason)
            msg = f"{self._name}, line {start}: a quoted cell begins here and is not closed properly ({reason})"
            raise BadInput(msg) from None

    @staticmethod
    def _chain(first: str, lines: Iterator[str]) -> Iterator[str]:
        yield first
        yield from lines

    def _lines(self) -> Iterator[str]:
        while True:
            try:
                raw = self._source.readline(_LINE_BYTES)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                msg = f"{self._name} is damaged after line {self._line}: {error}"
                raise BadInput(msg) from None
            if not raw:
                return
            self._line += 1
            if len(raw) >= _LINE_BYTES:
                msg = f"{self._name}, line {self._line}: longer than {_LINE_BYTES // 1024} KiB, so this is hardly a CSV file"
                raise BadInput(msg)
            yield self._decoded(raw)

    def _decoded(self, raw: bytes) -> str:
        if self._line == 1:
            if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                msg = f"{self._name} is UTF-16; save it as CSV in UTF-8"
                raise BadInput(msg)
            raw = raw.removeprefix(codecs.BOM_UTF8)
        try:
            return raw.decode(self._encoding)
        except UnicodeDecodeError as error:
            msg = f"{self._name}, line {self._line}: byte 0x{raw[error.start]:02x} at position {error.start + 1} is not {self._encoding}"
            raise BadInput(msg, "save the file as UTF-8, or name its encoding, for example --encoding cp1252") from None


@contextmanager
def opened(path: Path, *, delimiter: str = "", encoding: str = "utf-8") -> Iterator[tuple[Table, IO[bytes], int]]:
    """Open a CSV file, plain or gzip, `-` for standard input.

    Yields:
        The table, the raw file (whose `tell` says how far the reading is) and its size in bytes, 0 when unknown.

    Raises:
        BadInput: the file is missing, unreadable, empty, in another encoding or no CSV; or an option is wrong.

    """
    _check(delimiter, encoding)
    name = "standard input" if path == STDIN else str(path)
    try:
        if path == STDIN:
            yield Table(name, sys.stdin.buffer, delimiter, encoding), sys.stdin.buffer, 0
            return
        with path.open("rb") as raw:
            packed = raw.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
            raw.seek(0)
            size = path.stat().st_size
            if not packed:
                yield Table(name, raw, delimiter, encoding), raw, size
                return
            with gzip.open(raw) as unpacked:
                # GzipFile is an IO[bytes] in all but its declared type.
                yield Table(name, unpacked, delimiter, encoding), raw, size  # type: ignore[arg-type]
    except OSError as error:
        msg = f"cannot read {name}: {error.strerror or error}"
        raise BadInput(msg) from error


def sniffed(header: str) -> str:
    """The delimiter that a header line uses most, outside of quotes; a comma when it uses none."""
    bare = "".join(header.split('"')[::2])
    return max(_DELIMITERS, key=bare.count)


def _check(delimiter: str, encoding: str) -> None:
    if len(delimiter) > 1 or delimiter in ('"', "\n", "\r"):
        msg = f"--delimiter {shown(delimiter)} is not a single character"
        raise BadInput(msg)
    try:
        usable = "\n,;".encode(encoding) == b"\n,;"
    except LookupError:
        usable = False
    if not usable:
        msg = f"--encoding {shown(encoding)} is not known or not an extension of ASCII"
        raise BadInput(msg)
