"""Page and picture as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.ctl.failures import BadInput
from server.ctl.report.drawing import png
from server.ctl.report.page import page

if TYPE_CHECKING:
    from pathlib import Path

    from server.ctl.report.model import Report

_SUFFIXES = frozenset({".html", ".htm"})


def checked(out: Path) -> Path:
    """The name of a page, before anything is asked of a server.

    Raises:
        BadInput: it does not end as a page does, or there is no such folder.

    """
    if out.suffix.lower() not in _SUFFIXES:
        msg = f"--out {out} names the page and ends in .html; the picture is written beside it"
        raise BadInput(msg)
    if not out.parent.is_dir():
        msg = f"--out {out}: there is no folder {out.parent}"
        raise BadInput(msg)
    return out


def save(report: Report, out: Path) -> Path:
    """Write the page, and beside it the picture, whose name is returned.

    Raises:
        BadInput: one of them cannot be written.

    """
    picture = out.with_suffix(".png")
    made = ((out, page(report).encode()), (picture, png(report)))
    for path, content in made:
        try:
            path.write_bytes(content)
        except OSError as error:
            msg = f"cannot write {path}: {error.strerror}"
            raise BadInput(msg) from error
    return picture
