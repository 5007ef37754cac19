"""Seeded facts of contracts, reviews and spend with something to learn in each."""

from __future__ import annotations

import math
import random

from analytics.v1 import contracts_pb2, performance_pb2, spend_pb2
from analytics.v1 import fact_service_pb2 as pb
from google.type.date_pb2 import Date

SPEND_FIRST, SPEND_MONTHS = 2020 * 12, 66


def contract(seed: int, *, known: bool = True) -> contracts_pb2.Contract:
    """Return a made-up contract; late payments and no competition make it likelier to go wrong."""
    dice = random.Random(seed)
    late, competed = dice.randint(0, 6), dice.random() < 0.6
    wrong = random.Random(-seed).random() < 1 / (1 + math.exp(2.5 - 0.8 * late + 1.2 * competed))
    row = contracts_pb2.Contract(
        contract_key=f"c-{seed}",
        counterparty_key=f"p-{seed % 40}",
        value=f"{dice.uniform(1e3, 1e6):.2f}",
        currency_code="EUR",
        start_date=Date(year=2020 + seed % 4, month=1 + seed % 12, day=1),
        end_date=Date(year=2024, month=12, day=31),
        status=contracts_pb2.CONTRACT_STATUS_ENDED,
        attributes=contracts_pb2.ContractAttributes(
            category=dice.choice(("IT services", "cleaning", "parts")), late_payments=late, competed=competed
        ),
    )
    if known:
        row.outcome = contracts_pb2.CONTRACT_OUTCOME_TERMINATED if wrong else contracts_pb2.CONTRACT_OUTCOME_RENEWED
    return row


def review(seed: int, year: int) -> performance_pb2.PerformanceReview:
    """Return a made-up yearly review; idle minutes and a high target make it likelier to be missed."""
    dice = random.Random(seed * 10_000 + year)
    idle, target = dice.uniform(0, 100), dice.choice((60.0, 70.0, 80.0))
    score = 85 - 0.25 * idle + dice.gauss(0, 6) + random.Random(seed).gauss(0, 4)
    return performance_pb2.PerformanceReview(
        employee_key=f"e-{seed}",
        review_date=Date(year=year, month=6, day=30),
        team=f"team {seed % 5}",
        score=min(max(score, 0), 100),
        target=target,
        scale_max=100,
        work=performance_pb2.WorkMeasures(idle_minutes=idle),
    )


def spend(unit: int, month: int, *, category: str = "rent") -> spend_pb2.SpendEntry:
    """Return a month of a made-up series with a season of its own; `month` counts from January 2020."""
    dice = random.Random(f"{unit} {category} {month}")
    number = SPEND_FIRST + month
    season = math.sin(2 * math.pi * (number % 12) / 12 + unit)
    amount = 1000 * (1 + unit) * (1 + 0.4 * season + 0.2 * dice.gauss(0, 1))
    return spend_pb2.SpendEntry(
        unit=f"u-{unit}",
        category=category,
        period=Date(year=number // 12, month=number % 12 + 1),
        amount=f"{amount:.2f}",
        currency_code="EUR",
    )


def contracts(count: int) -> pb.IngestFactsRequest:
    """Return a batch of contracts with outcomes."""
    return pb.IngestFactsRequest(contracts=pb.ContractBatch(contracts=[contract(seed) for seed in range(count)]))


def reviews(count: int, years: int = 2) -> pb.IngestFactsRequest:
    """Return a batch of reviews of `count` employees from 2022 on."""
    rows = [review(seed, 2022 + year) for seed in range(count) for year in range(years)]
    return pb.IngestFactsRequest(performance_reviews=pb.PerformanceReviewBatch(reviews=rows))


def series(units: int) -> pb.IngestFactsRequest:
    """Return a batch of monthly series."""
    rows = [spend(unit, month) for unit in range(units) for month in range(SPEND_MONTHS)]
    return pb.IngestFactsRequest(spend_entries=pb.SpendEntryBatch(entries=rows))
