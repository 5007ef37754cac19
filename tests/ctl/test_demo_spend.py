"""What a model learns of the demo's spend, and what a night then says of its budgets."""

from __future__ import annotations

import datetime
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from server.ctl.demo_crowd import chosen
from server.ctl.demo_facts import requests
from server.ctl.demo_organizations import ORGANIZATIONS, Story
from server.insights.detect.inputs import ModelUsed
from server.insights.evidence.model import EndedContracts, Evidence, Scores, SpendMonth, Workforce
from server.ml import forecast_trials, quantile_trees
from server.ml.forecaster import Forecaster
from server.ml.spend import SPEND
from server.training.model import PooledSeries
from workers.nightly.judge import Night
from workers.nightly.models import Models, Ready
from workers.nightly.outlook import judge_budgets
from workers.strategies.forecasting import Forecasting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from server.ctl.demo_organizations import DemoOrganization
    from workers.strategies.model import Trained

TODAY = datetime.date(2026, 11, 21)
NOW = datetime.datetime(2026, 11, 21, 3, tzinfo=datetime.UTC)
OCTOBER = 2026 * 12 + 9
NOBODY = Workforce((), (), (), (), (), {}, 0)
ORGANIZATIONS_OF_DEMO = {organization.org_id: organization for organization in chosen(80)}


def spend(organization: DemoOrganization) -> Iterator[SpendMonth]:
    """The spend of an organization; that of fewer people is of the same kind and sooner made."""
    for request in requests(replace(organization, employees=min(organization.employees, 12)), TODAY):
        for entry in request.spend_entries.entries:
            amount = float(entry.amount) if entry.HasField("amount") else None
            planned = float(entry.budget) if entry.HasField("budget") else None
            yield SpendMonth(
                entry.unit, entry.currency_code, entry.period.year * 12 + entry.period.month - 1, amount, planned, entry.category
            )


@pytest.fixture(scope="module")
def demo() -> Mapping[str, Sequence[SpendMonth]]:
    """A small demo's spend by organization."""
    return {org: list(spend(organization)) for org, organization in ORGANIZATIONS_OF_DEMO.items()}


@pytest.fixture(scope="module")
def course(demo: Mapping[str, Sequence[SpendMonth]]) -> Forecasting:
    """The same, pooled."""
    rows = [(f"{org}/{row.unit}", row) for org, months in demo.items() for row in months]
    number = {name: place for place, name in enumerate(dict.fromkeys(name for name, _ in rows))}
    pooled = PooledSeries(
        series=[number[name] for name, _ in rows],
        category=[row.category for _, row in rows],
        months=[datetime.date(row.month // 12, row.month % 12 + 1, 1) for _, row in rows],
        amounts=[row.amount for _, row in rows],
        budgets=[row.budget for _, row in rows],
        contributors=len(demo),
    )
    return Forecasting(pooled, SPEND.to_json(), len(pooled), len(demo), pooled.cutoff)


@pytest.fixture(scope="module")
def trained(course: Forecasting) -> Trained:
    """A model of it, of fewer and bolder trees than usual."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecast_trials, "SMALL", replace(quantile_trees.SMALL, learning_rate=0.2, most_rounds=80))
        return course.train(lambda _share, _words: None)


def over_budget(trained: Trained, rows: Sequence[SpendMonth]) -> set[str]:
    """The units of which a night says that they will exceed their budget."""
    model = Ready(Forecaster.load(trained.content, trained.card), ModelUsed("spend_forecasting", "1.0.0"))
    night = Night()
    judge_budgets(night, Evidence(NOBODY, [], [], EndedContracts(0, 0), rows, [], Scores(0, None)), Models(spend=model), NOW)
    assert not night.skipped
    return {str(finding.data_points["budgetName"]) for finding in night.findings}


def test_a_model_of_the_demos_spend_may_become_active(course: Forecasting, trained: Trained) -> None:
    assert course.objection(trained.metrics) == ""


def test_most_overruns_that_are_found_in_the_demo_are_its_stories(demo: Mapping[str, Sequence[SpendMonth]], trained: Trained) -> None:
    told: Counter[bool] = Counter()
    for org, rows in demo.items():
        found = over_budget(trained, rows)
        told[Story.OVERRUN in ORGANIZATIONS_OF_DEMO[org].stories] += len(found)
        if org in {organization.org_id for organization in ORGANIZATIONS}:
            assert found
    assert told[True] >= 30
    assert told[True] / told.total() >= 0.8


@pytest.mark.parametrize("months", [24, 30, 36])
def test_a_unit_that_has_always_spent_what_it_planned_is_not_found(trained: Trained, months: int) -> None:
    def flat(times: float) -> list[SpendMonth]:
        return [
            SpendMonth("it", "EUR", month, 6_000.0 * times + month % 5 if month <= OCTOBER else None, 6_000.0, "Cloud services")
            for month in range(OCTOBER - months + 1, OCTOBER + 3)
        ]

    assert over_budget(trained, flat(1.0)) == set()
    # The control: one that spends more is found.
    assert over_budget(trained, flat(1.2)) == {"it"}
