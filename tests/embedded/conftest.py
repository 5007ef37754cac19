"""Folders for embedded servers, and a check that nothing is left of them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from server.embedded.account import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a short path that user nobody may pass through; pytest's own is closed to it when root runs the tests."""
    folder = scratch_folder("embedded-")
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
