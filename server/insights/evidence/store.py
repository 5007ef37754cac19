"""All SQL that reads evidence."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import Date, bindparam, text

from server.audit import store as audit
from server.facts.load import DELETED
from server.facts.model import (
    ATTRIBUTES,
    BOOLEAN_ATTRIBUTES,
    CONTRACT_ATTRIBUTES,
    INTEGER_ATTRIBUTES,
    NUMBER_ATTRIBUTES,
    TEXT_ATTRIBUTES,
    FactSet,
)
from server.facts.packing import Packing, number, truth
from server.insights.evidence.model import (
    OVERDUE_DAYS,
    EndedContracts,
    Evidence,
    OpenContract,
    Outline,
    PayrollMonth,
    Scores,
    SpendMonth,
    TeamQuarter,
    Workforce,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from server.db import ReadTx
    from server.identity import OrgId

_TODAY, _SINCE = bindparam("today", type_=Date), bindparam("since", type_=Date)

_NOBODY = Workforce((), (), (), (), (), {}, 0)
_OUTLINE = text(
    f"""
    SELECT analytics_now() AS now, ({audit.COUNT}) AS erasures,
        {", ".join(f"EXISTS (SELECT FROM {each} WHERE org_id = :org) AS {each}" for each in FactSet)}
    """  # noqa: S608 - names of our own tables
)

_PACKING = Packing(
    numbers={
        "first_seen": number("l.first_seen - DATE '1970-01-01'"),
        "last_seen": number("l.as_of - DATE '1970-01-01'"),
        "leaving": truth("coalesce(l.left_within_year, false)"),
        **{name: truth(f"l.{name}") for name in BOOLEAN_ATTRIBUTES},
        **{name: number(f"l.{name}") for name in INTEGER_ATTRIBUTES + NUMBER_ATTRIBUTES},
    },
    texts={name: f"l.{name}" for name in ("employee_key", *TEXT_ATTRIBUTES)},
)

# A thousand employees are one row with a dozen values. The latest state is the one that no other comes after, which the order of
# the key tells without sorting.
_WORKFORCE = text(
    f"""
    WITH latest AS (
        SELECT * FROM (
            SELECT employee_key, as_of, first_value(as_of) OVER w AS first_seen, lead(as_of) OVER w AS later, left_within_year,
                {", ".join(ATTRIBUTES)}
            FROM employees WHERE org_id = :org AND as_of <= :today WINDOW w AS (PARTITION BY employee_key ORDER BY as_of)
        ) states WHERE later IS NULL
    ), gone AS (
        SELECT employee_key, max(exit_date) AS exit_date FROM employee_exits WHERE org_id = :org GROUP BY employee_key
    )
    SELECT (SELECT array_agg(employee_key) FROM gone) AS gone, (SELECT array_agg(exit_date - DATE '1970-01-01') FROM gone) AS gone_on,
        {_PACKING.columns}
    FROM latest l
    """  # noqa: S608 - names of our own columns
).bindparams(_TODAY)

_PAYROLL = text(
    """
    SELECT cost_centre, currency, CAST(extract(year FROM period) * 12 + extract(month FROM period) - 1 AS integer) AS month,
        CAST(sum(gross_amount) AS float8) AS cost, count(DISTINCT employee_key) AS people
    FROM payroll_entries WHERE org_id = :org AND period >= :since AND period <= :today
    GROUP BY cost_centre, currency, period ORDER BY cost_centre, currency, period
    """
).bindparams(_TODAY, _SINCE)

_CONTRACTS = text(
    f"""
    WITH known AS (
        SELECT counterparty_key, min(start_date) AS first_start FROM contracts
        WHERE org_id = :org AND counterparty_key <> '' GROUP BY counterparty_key
    )
    SELECT contract_key, CAST(updated_at AT TIME ZONE 'UTC' AS date) AS known_on, start_date, end_date, first_start,
        CAST(value AS float8) AS value, currency, {", ".join(CONTRACT_ATTRIBUTES)}
    FROM contracts LEFT JOIN known USING (counterparty_key)
    WHERE org_id = :org AND status = 'active' AND coalesce(outcome NOT IN ('completed', 'lapsed', 'terminated', 'disputed'), true)
        AND start_date <= :today AND (end_date IS NULL OR end_date >= :since)
    ORDER BY contract_key
    """  # noqa: S608 - names of our own columns
).bindparams(_TODAY, _SINCE)

_SPEND = text(
    """
    SELECT unit, currency, category, CAST(extract(year FROM period) * 12 + extract(month FROM period) - 1 AS integer) AS month,
        CAST(sum(amount) AS float8) AS amount, CAST(sum(budget) AS float8) AS budget
    FROM spend_entries WHERE org_id = :org AND period >= :since
    GROUP BY unit, currency, category, period ORDER BY unit, currency, category, period
    """
).bindparams(_SINCE)

# Quarters that end with the last complete month, whenever that is: what is newest is judged as soon as its month is over.
_REVIEWS = text(
    """
    SELECT team, CAST(:ended - make_interval(months => 3 * back) AS date) AS before, count(DISTINCT employee_key) AS people,
        count(*) AS reviews, avg(score) AS mean, coalesce(stddev_samp(score), 0) AS deviation, scale_max
    FROM (
        SELECT team, employee_key, score, scale_max,
            CAST(extract(year FROM age(:ended, date_trunc('month', review_date) + INTERVAL '1 month')) * 4
                + div(extract(month FROM age(:ended, date_trunc('month', review_date) + INTERVAL '1 month')), 3) AS integer) AS back
        FROM performance_reviews WHERE org_id = :org AND review_date >= :since AND review_date < :ended
    ) r GROUP BY team, back, scale_max ORDER BY team, back DESC, scale_max
    """
).bindparams(bindparam("ended", type_=Date), _SINCE)

_SCORES = text(
    """
    SELECT count(*) AS people, avg(least(greatest(score * 5 / scale_max, 1), 5)) AS mean, EXISTS (
        SELECT FROM performance_reviews
        WHERE org_id = :org AND scale_max IS NULL AND review_date > :since AND review_date <= :today
    ) AS without_scale FROM (
        SELECT DISTINCT ON (employee_key) score, scale_max FROM performance_reviews
        WHERE org_id = :org AND scale_max IS NOT NULL AND review_date > :since AND review_date <= :today
        ORDER BY employee_key, review_date DESC
    ) latest
    """
).bindparams(_TODAY, _SINCE)

_ENDED = text(
    """
    SELECT count(*) FILTER (WHERE outcome = 'renewed') AS renewed, count(*) AS ended FROM contracts
    WHERE org_id = :org AND outcome IN ('renewed', 'lapsed', 'terminated')
        AND coalesce(outcome_date, end_date) > :since AND coalesce(outcome_date, end_date) <= :today
    """
).bindparams(_TODAY, _SINCE)

_DAY = timedelta(days=1)
_PAYROLL_YEARS = 4
_SPEND_YEARS = 5
_REVIEW_YEARS = 2


async def outline(tx: ReadTx, org: OrgId) -> Outline:
    """Look what there is, so that nothing else has to be asked for; to be asked before anything else is read.

    Erasures are counted again where what was made of it is written and they wait (`take_turn`): a different number says that
    what was read may hold what is to be forgotten.
    """
    row = await tx.one(_OUTLINE, {"org": org, "action": DELETED})
    return Outline(row.now, frozenset(fact_set for fact_set in FactSet if row[fact_set]), row.erasures)


async def evidence(tx: ReadTx, org: OrgId, today: date, known: Collection[FactSet] = frozenset(FactSet)) -> Evidence:
    """Return everything that is known of an organization up to `today`; a kind that is not `known` is taken to be empty."""
    contracts, reviews = FactSet.CONTRACTS in known, FactSet.PERFORMANCE_REVIEWS in known
    return Evidence(
        workforce=await workforce(tx, org, today) if {FactSet.EMPLOYEES, FactSet.EMPLOYEE_EXITS} & {*known} else _NOBODY,
        payroll=await payroll(tx, org, today) if FactSet.PAYROLL_ENTRIES in known else [],
        contracts=await open_contracts(tx, org, today) if contracts else [],
        ended=await ended_contracts(tx, org, today) if contracts else EndedContracts(0, 0),
        spend=await spend(tx, org, today) if FactSet.SPEND_ENTRIES in known else [],
        reviews=await team_reviews(tx, org, today) if reviews else [],
        scores=await latest_scores(tx, org, today) if reviews else Scores(0, None),
    )


async def workforce(tx: ReadTx, org: OrgId, today: date) -> Workforce:
    """Return everybody ever seen, at their latest state up to `today`."""
    row = await tx.one(_WORKFORCE, {"org": org, "today": today})
    packed = _PACKING.read([row])
    keys, columns = packed.texts["employee_key"], packed.numbers
    if not keys:
        return replace(_NOBODY, strangers=len(row.gone or ()))
    places, left, strangers = {key: place for place, key in enumerate(keys)}, np.full(len(keys), np.nan), 0
    for key, day in zip(row.gone or (), row.gone_on or (), strict=True):
        if key in places:
            left[places[key]] = day
        else:
            strangers += 1
    return Workforce(
        keys=keys,
        first_seen=columns["first_seen"].astype(np.int32),
        last_seen=columns["last_seen"].astype(np.int32),
        left=left,
        leaving=columns["leaving"] > 0,
        attributes={name: packed.coded(name) if name in TEXT_ATTRIBUTES else columns[name] for name in ATTRIBUTES},
        strangers=strangers,
    )


async def payroll(tx: ReadTx, org: OrgId, today: date) -> Sequence[PayrollMonth]:
    """Return the cost of every cost centre and month of the last four years, in order."""
    rows = await tx.all(_PAYROLL, {"org": org, "today": today, "since": _years_before(today, _PAYROLL_YEARS)})
    return [PayrollMonth(row.cost_centre, row.currency, row.month, row.cost, row.people) for row in rows]


async def open_contracts(tx: ReadTx, org: OrgId, today: date) -> Sequence[OpenContract]:
    """Return the contracts that are in force, or marked so though they ended lately."""
    rows = await tx.all(_CONTRACTS, {"org": org, "today": today, "since": today - timedelta(days=OVERDUE_DAYS)})
    return [
        OpenContract(
            contract_key=row.contract_key,
            known_on=row.known_on,
            start_date=row.start_date,
            end_date=row.end_date,
            first_start=row.first_start,
            notice_days=row.notice_days,
            auto_renew=row.auto_renew,
            value=row.value,
            currency=row.currency,
            attributes={name: row[name] for name in CONTRACT_ATTRIBUTES if row[name] is not None},
        )
        for row in rows
    ]


async def spend(tx: ReadTx, org: OrgId, today: date) -> Sequence[SpendMonth]:
    """Return spend and plan of every unit, category and month since five years ago, plans of the future included."""
    rows = await tx.all(_SPEND, {"org": org, "since": _years_before(today, _SPEND_YEARS)})
    return [SpendMonth(row.unit, row.currency, row.month, row.amount, row.budget, row.category) for row in rows]


async def team_reviews(tx: ReadTx, org: OrgId, today: date) -> Sequence[TeamQuarter]:
    """Return the reviews of every team by quarters of complete months and by scale, two years back, oldest first within a team."""
    ended = today.replace(day=1)
    rows = await tx.all(_REVIEWS, {"org": org, "ended": ended, "since": _years_before(today, _REVIEW_YEARS)})
    return [TeamQuarter(row.team, row.before - _DAY, row.people, row.reviews, row.mean, row.deviation, row.scale_max) for row in rows]


async def latest_scores(tx: ReadTx, org: OrgId, today: date) -> Scores:
    """Return the mean of everybody's latest score of the last twelve months, brought to a scale up to 5."""
    row = await tx.one(_SCORES, {"org": org, "today": today, "since": _year_ago(today)})
    return Scores(row.people, row.mean, row.without_scale)


async def ended_contracts(tx: ReadTx, org: OrgId, today: date) -> EndedContracts:
    """Return how the contracts of the last twelve months ended, as far as they could have been renewed."""
    row = await tx.one(_ENDED, {"org": org, "today": today, "since": _year_ago(today)})
    return EndedContracts(row.renewed, row.ended)


def _year_ago(today: date) -> date:
    """Return the day after which the last twelve months begin; of 29 February it is the 28th."""
    return date(today.year - 1, today.month, min(today.day, monthrange(today.year - 1, today.month)[1]))


def _years_before(day: date, years: int) -> date:
    """First day of the month so many years before."""
    return date(day.year - years, day.month, 1)
