"""What a prediction job came to, for each model type."""

from __future__ import annotations

from analytics.v1.predictions_pb2 import (
    ContractRiskResult,
    Contribution,
    ContributionDirection,
    PerformanceResult,
    PredictionJob,
    SpendResult,
    TurnoverResult,
    ValueBand,
)

from server.ctl.render import decimal, print_table
from server.ctl.values import named

_Classified = TurnoverResult | ContractRiskResult | PerformanceResult


def result_facts(job: PredictionJob) -> list[tuple[str, object]]:
    """The result in a few words; nothing when there is none, or this client is older than its type."""
    found = _result(job)
    if found is None:
        return []
    facts: list[tuple[str, object]] = _classified(found) if not isinstance(found, SpendResult) else [("months", len(found.points))]
    drift = "the model was flagged as drifting" if found.model_was_drifting else ""
    return [*facts, ("confidence", decimal(found.confidence)), ("drift", drift)]


def print_result_tables(job: PredictionJob) -> None:
    """Show the months of a forecast, and what moved the result."""
    found = _result(job)
    if found is None:
        return
    unit = "log-odds"
    if isinstance(found, SpendResult):
        # Contributions of a forecast are to the median, relative to the usual size of a month.
        unit = "of a usual month"
        columns = ["month", "low #", "median #", "high #"]
        rows = [
            (f"{each.period.year:04}-{each.period.month:02}", *(f"{value:,.2f}" for value in (each.low, each.median, each.high)))
            for each in found.points
        ]
        print_table(f"Forecast, {found.interval_level:.0%} interval", columns, rows)
    print_table(f"Contributions, {unit}", ["feature", "direction", "contribution #", "value"], map(_contribution, found.contributions))


def in_short(job: PredictionJob) -> str:
    """The result as a cell: a probability, or of a forecast the median of its first month."""
    found = _result(job)
    if isinstance(found, SpendResult):
        return f"{found.points[0].median:,.2f}" if found.points else ""
    return "" if found is None else decimal(found.score)


def _result(job: PredictionJob) -> _Classified | SpendResult | None:
    name = job.WhichOneof("result")
    return None if name is None else getattr(job, name)


def _classified(found: _Classified) -> list[tuple[str, object]]:
    match found:
        case TurnoverResult():
            meaning, predicted = "probability of leaving within twelve months", "leaves" if found.predicted_to_leave else "stays"
        case ContractRiskResult():
            meaning, predicted = "probability of going wrong", "goes wrong" if found.predicted_to_go_wrong else "goes well"
        case _:
            meaning, predicted = "probability of missing the target", "misses" if found.predicted_to_miss else "reaches"
    return [("score", f"{decimal(found.score)} ({meaning})"), ("predicted", predicted)]


def _contribution(item: Contribution) -> tuple[str, str, str, str]:
    direction = named(ContributionDirection.DESCRIPTOR, item.direction)
    return (item.feature, direction, f"{item.contribution:+.3f}", named(ValueBand.DESCRIPTOR, item.band))
