"""Files of every fact set imported into a running service, looked at and erased, each by its own process."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from server.ctl.fact_files import FACT_FILES
from tests.ctl.terminal import Terminal
from tests.support import environment, fact_csv, public_data
from tests.support.asking import new_org
from tests.support.live import bearer, running
from tests.support.loading import load_batches
from tests.support.made_facts import made

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from google.protobuf.message import Message

    from tests.support.databases import Cluster

pytestmark = pytest.mark.xdist_group("imports")


@pytest.fixture(scope="module")
async def terminal(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Terminal]:
    """A service without a worker and without data."""
    folder = tmp_path_factory.mktemp("imports")
    database = await cluster.create_database()
    async with running(environment.settings(cluster, database), folder, worker=False) as service:
        yield Terminal(service, folder)
    await cluster.drop_database(database)


async def stored(terminal: Terminal, org: str) -> dict[str, int]:
    """Rows per fact set, by the word of its import; the empty ones left out."""
    answer = (await terminal("facts", "--json", org=org)).answer["fact_sets"]
    words = {f"FACT_SET_{kind.place[0].upper()}": command for command, kind in FACT_FILES.items()}
    assert [item["fact_set"] for item in answer] == list(words)
    return {words[item["fact_set"]]: int(item["rows"]) for item in answer if int(item["rows"])}


async def test_every_fact_set_is_listed_and_erased_by_its_subjects(terminal: Terminal, tmp_path: Path) -> None:
    org = new_org()
    file = fact_csv.write(tmp_path / "pay.csv", made("payroll_entries", 4))
    counted = []
    for _ in range(2):
        answer = (await terminal("import", "payroll", str(file), "--json", org=org)).answer
        counted.append((answer["inserted"], answer["updated"], answer["unchanged"], answer["bad_rows"]))
    assert counted == [(4, 0, 0, 0), (0, 0, 4, 0)]
    others = (made(kind.place[0], 4) for command, kind in FACT_FILES.items() if command != "payroll")
    await load_batches(terminal.service, bearer(org), *others)
    assert await stored(terminal, org) == dict.fromkeys(FACT_FILES, 4)
    for words, erased in (
        (("--employee", "e-1"), 4),
        (("--set", "contracts", "--counterparty", "s-1"), 2),
        (("--set", "exits", "--everything"), 3),
    ):
        ended = await terminal("facts", "delete", *words, "--yes", org=org)
        assert ended.out == f"{erased} rows erased\n", ended.err
    assert await stored(terminal, org) == {"employees": 3, "payroll": 3, "contracts": 2, "spend": 4, "reviews": 3}
    wrong = await terminal("facts", "delete", "--set", "spend_entries", "--employee", "e-0", "--yes", org=org)
    assert (wrong.code, "is erased by unit" in wrong.err) == (1, True)


async def test_a_row_that_only_the_server_can_refuse_is_told_by_its_line(terminal: Terminal, tmp_path: Path) -> None:
    org = new_org()
    facts = made("payroll_entries", 3)
    facts[1].currency_code = "XXX"  # type: ignore[attr-defined]  # an entry of payroll
    file = fact_csv.write(tmp_path / "pay.csv", facts)
    ended = await terminal("import", "payroll", str(file), org=org)
    assert ended.code == 1
    assert "is no currency of ISO 4217" in ended.err
    assert "currency_code" in ended.err
    assert "0 inserted" in ended.out


PUBLISHED: dict[str, Callable[[], Iterator[Message]]] = {
    "employees": lambda: public_data.baltimore_employees(before="01"),
    "exits": lambda: public_data.baltimore_exits(before="01"),
    "payroll": lambda: public_data.baltimore_payroll(before="01"),
    "contracts": lambda: islice(public_data.csis_contracts(), 1500),
    "spend": public_data.public_spend,
    "reviews": public_data.garments_reviews,
}


async def test_published_data_of_every_fact_set_are_loaded_without_a_bad_row_and_again_without_a_change(
    terminal: Terminal, tmp_path: Path
) -> None:
    org, expected = new_org(), {}
    for command, source in PUBLISHED.items():
        facts = list(source())
        expected[command] = len(facts)
        file = fact_csv.write(tmp_path / f"{command}.csv", facts)
        answer = (await terminal("import", command, str(file), "--json", org=org)).answer
        assert (answer["inserted"], answer["bad_rows"]) == (len(facts), 0), command
    again = (await terminal("import", "spend", str(tmp_path / "spend.csv"), "--json", org=org)).answer
    assert (again["inserted"], again["updated"], again["unchanged"]) == (0, 0, expected["spend"])
    assert await stored(terminal, org) == expected
