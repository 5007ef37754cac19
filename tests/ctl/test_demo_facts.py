"""The crowd of demo organizations and what is loaded of them."""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import pytest
from analytics.v1 import fact_service_pb2 as pb
from protovalidate import Validator

from server.ctl.demo_crowd import crowd
from server.ctl.demo_facts import requests
from server.ctl.demo_organizations import ORGANIZATIONS, Story
from server.rpc.fact_batches import BATCHES, checked

if TYPE_CHECKING:
    from google.protobuf.message import Message

TODAY = datetime.date(2026, 11, 21)
ENOUGH_FOR_A_CELL = 10


@pytest.fixture(scope="module")
def loaded() -> dict[str, list[Message]]:
    """All rows of an organization by kind."""
    rows: dict[str, list[Message]] = defaultdict(list)
    for request in requests(ORGANIZATIONS[0], TODAY):
        kind = request.WhichOneof("batch") or ""
        rows[kind].extend(BATCHES[kind].rows(request))
    return rows


def test_there_are_at_least_four_hundred_organizations_of_different_ids() -> None:
    ids = [organization.org_id for organization in (*ORGANIZATIONS, *crowd())]
    assert len(set(ids)) == len(ids) >= 400


def test_some_cells_have_enough_organizations_to_publish_and_some_have_not() -> None:
    cells = Counter((organization.industry, organization.size_range) for organization in (*ORGANIZATIONS, *crowd()))
    assert sum(count >= ENOUGH_FOR_A_CELL for count in cells.values()) >= 12
    assert any(0 < count < ENOUGH_FOR_A_CELL for count in cells.values())


def test_every_kind_of_fact_is_loaded(loaded: dict[str, list[Message]]) -> None:
    assert loaded.keys() == BATCHES.keys()


async def test_every_row_is_one_that_the_server_takes(loaded: dict[str, list[Message]]) -> None:
    for kind, rows in loaded.items():
        good, errors = await checked(BATCHES[kind], rows, TODAY)
        assert (len(good), errors) == (len(rows), [])


async def test_the_rows_of_the_last_days_of_a_long_month_are_taken_too() -> None:
    for today in (datetime.date(2028, 2, 29), datetime.date(2027, 1, 31), datetime.date(2027, 3, 1)):
        for request in requests(next(crowd()), today):
            batch = BATCHES[request.WhichOneof("batch") or ""]
            assert (await checked(batch, batch.rows(request), today))[1] == []


def test_the_same_organization_and_day_give_the_same_rows() -> None:
    organization = next(crowd())
    first, second = ([request.SerializeToString(deterministic=True) for request in requests(organization, TODAY)] for _ in range(2))
    assert first == second


def test_every_story_is_told_by_a_part_of_the_crowd_only() -> None:
    told = Counter(story for organization in crowd() for story in organization.stories)
    assert all(60 < told[story] < 200 for story in Story)


def test_a_request_keeps_the_rules_of_its_message() -> None:
    validator = Validator()
    for request in requests(ORGANIZATIONS[0], TODAY):
        assert isinstance(request, pb.IngestFactsRequest)
        assert validator.collect_violations(request) == []
