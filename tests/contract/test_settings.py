"""The documented settings are the settings."""

from __future__ import annotations

from server import settings
from tests.contract.sources import ROOT

PAGE = ROOT / "docs" / "settings.md"


def stale(page: str) -> list[str]:
    """What the page's table says that the settings do not, and the other way round."""
    written = [line for line in page.splitlines() if line.startswith("|")]
    actual = settings.table().splitlines()
    return sorted(set(written) ^ set(actual)) or ([] if written == actual else ["the order differs"])


def test_the_settings_page_is_current() -> None:
    assert not stale(PAGE.read_text(encoding="utf-8")), "renew the table with `python -m server.settings`"


def test_every_setting_is_explained() -> None:
    assert [name for name in settings.Settings.model_fields if not settings.describe(name).endswith(".")] == []


def test_control_a_stale_settings_page_is_found() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert stale(page.replace("50051", "50052"))
    assert stale("\n".join(line for line in page.splitlines() if "GRPC_PORT" not in line))
    assert stale(page + "| `ANALYTICS_GONE` | empty | text | Was once. |\n")
