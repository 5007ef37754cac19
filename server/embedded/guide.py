"""What `make run` prints when everything is up: a token and lines to paste into another shell."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path

_BIN = Path(sys.executable).parent
_SERVICE = "analytics.v1.AnalyticsService"
_EMPLOYEE = {
    "department": "Sales",
    "job_role": "Sales Executive",
    "monthly_income": 5993,
    "years_at_company": 6,
    "job_level": 2,
    "over_time": True,
    "business_travel": "BUSINESS_TRAVEL_RARELY",
    "distance_from_home": 1,
    "education_level": 2,
    "education_field": "Life Sciences",
    "environment_satisfaction": 2,
    "job_involvement": 3,
    "job_satisfaction": 4,
    "relationship_satisfaction": 1,
    "work_life_balance": 1,
    "performance_rating": 3,
    "companies_worked": 8,
    "salary_hike_percent": 11,
    "stock_option_level": 0,
    "total_working_years": 8,
    "trainings_last_year": 0,
    "years_in_current_role": 4,
    "years_since_promotion": 0,
    "years_with_manager": 5,
}
_REQUEST = {"model_type": "MODEL_TYPE_TURNOVER_PREDICTION", "turnover": {"attributes": _EMPLOYEE}}
# The answer's job id becomes the next request; sed is everywhere, jq is not. grpcurl's releases differ in how they write
# the name: `job_id` or `jobId`.
_TO_NEXT_REQUEST = """sed -n 's/^  "job_*[Ii]d": "\\([^"]*\\)".*/{"job_id": "\\1", "wait": "30s"}/p'"""


def lines_to_paste(address: str, token: str, certificate: str = "") -> list[str]:
    """Return shell lines that work as they are: models, insights, benchmarks, a prediction and its result.

    By grpcurl, which also lists the services; where there is none (its package has a binary for x86-64 only), by analyticsctl.
    """
    grpcurl = _grpcurl()
    calls = _by_grpcurl(grpcurl, address, certificate) if grpcurl else _by_analyticsctl(address, certificate)
    return [f"export TOKEN={token}", *calls]


def _by_grpcurl(grpcurl: str, address: str, certificate: str) -> list[str]:
    security = f"-cacert {shlex.quote(certificate)}" if certificate else "-plaintext"
    call = f'{shlex.quote(grpcurl)} {security} -H "authorization: Bearer $TOKEN"'
    request = shlex.quote(json.dumps(_REQUEST))
    predict = f"{call} -d {request} {address} {_SERVICE}/RequestPrediction"
    return [
        f"{call} {address} list",
        f"{call} {address} {_SERVICE}/ListModels",
        f"{call} -d '{{\"page_size\": 5}}' {address} {_SERVICE}/GetInsights",
        f"{call} -d '{{\"compare_to_mine\": true}}' {address} {_SERVICE}/GetBenchmarks",
        predict,
        f"{predict} | {_TO_NEXT_REQUEST} | {call} -d @ {address} {_SERVICE}/GetPredictionJob",
    ]


def _by_analyticsctl(address: str, certificate: str) -> list[str]:
    security = f" --ca {shlex.quote(certificate)}" if certificate else ""
    call = f'{shlex.quote(str(_BIN / "analyticsctl"))} --address {address}{security} --token "$TOKEN"'
    features = " ".join(f"--set {shlex.quote(f'{name}={value}')}" for name, value in _EMPLOYEE.items())
    return [
        "# There is no grpcurl on this machine; docs/clients.md says where to get it. The same by analyticsctl:",
        f"{call} models",
        f"{call} insights",
        f"{call} benchmarks",
        f"{call} predict turnover {features} --json",
    ]


def _grpcurl() -> str:
    """Path of grpcurl, empty when there is none."""
    beside = _BIN / "grpcurl"
    return str(beside) if beside.exists() else shutil.which("grpcurl") or ""
