"""Jobs, runs and models in words and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.admin.v1.operations_service_pb2 import JobRun, JobRunOutcome, JobRunState
from analytics.v1.models_pb2 import Model, ModelState, ModelType
from analytics.v1.predictions_pb2 import PredictionJob, PredictionJobState

from server.ctl.failures import read_status
from server.ctl.render import decimal, note, print_facts, print_table, refusal_lines, when
from server.ctl.show_result import in_short, print_result_tables, result_facts
from server.ctl.values import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.rpc.status_pb2 import Status

JOB_ENDED = frozenset(
    {
        PredictionJobState.PREDICTION_JOB_STATE_COMPLETED,
        PredictionJobState.PREDICTION_JOB_STATE_FAILED,
        PredictionJobState.PREDICTION_JOB_STATE_CANCELLED,
    }
)
RUN_ENDED = frozenset({JobRunState.JOB_RUN_STATE_COMPLETED, JobRunState.JOB_RUN_STATE_FAILED})


def job_state(job: PredictionJob) -> str:
    """Where a prediction job stands, in capitals as in the contract."""
    return named(PredictionJobState.DESCRIPTOR, job.state).upper()


def run_state(run: JobRun) -> str:
    """Where a run stands, in capitals as in the contract."""
    return named(JobRunState.DESCRIPTOR, run.state).upper()


def run_name(run: JobRun) -> str:
    """What a run does: `train turnover_prediction`."""
    return f"train {named(ModelType.DESCRIPTOR, run.train.model_type)}" if run.HasField("train") else run.kind or "unknown job"


def print_job(job: PredictionJob) -> None:
    """Show a prediction job with its result."""
    facts: list[tuple[str, object]] = [
        ("job", job.id),
        ("state", job_state(job)),
        ("model", f"{named(ModelType.DESCRIPTOR, job.model_type)} {job.model_version}"),
        ("input hash", job.input_hash),
        ("created", when(job.create_time)),
        ("scheduled", when(job.schedule_time)),
        ("started", when(job.start_time)),
        ("ended", when(job.complete_time)),
        ("attempts", job.attempt),
    ]
    print_facts("", [*facts, *result_facts(job)])
    print_result_tables(job)
    if job.HasField("error"):
        print_error(job.error)


def print_error(status: Status) -> None:
    """Show why a job or a run failed, to standard error."""
    for line in refusal_lines(read_status(status)):
        note(line)


def print_jobs(jobs: Sequence[PredictionJob]) -> None:
    """Show prediction jobs, a line each."""
    rows = [
        (
            job.id,
            named(ModelType.DESCRIPTOR, job.model_type),
            job.model_version,
            job_state(job),
            in_short(job),
            read_status(job.error).reason if job.HasField("error") else "",
            when(job.create_time),
        )
        for job in jobs
    ]
    print_table("", ["id", "type", "version", "state", "result #", "reason", "created"], rows)


def print_run(run: JobRun) -> None:
    """Show a run with what came of it."""
    facts: list[tuple[str, object]] = [
        ("run", run.id),
        ("job", run_name(run)),
        ("state", run_state(run)),
        ("progress", f"{run.progress:.0%} {run.message}".strip()),
        ("scheduled for", when(run.scheduled_for)),
        ("created", when(run.create_time)),
        ("started", when(run.start_time)),
        ("ended", when(run.complete_time)),
        ("organizations", organizations(run)),
    ]
    print_facts("", facts)
    if run.organizations.reasons:
        rows = [(outcome(each.outcome), each.reason, each.organizations) for each in run.organizations.reasons]
        print_table("Organizations skipped and failed", ["outcome", "reason", "organizations #"], rows)
    _print_result(run)
    if run.HasField("error"):
        print_error(run.error)


def organizations(run: JobRun) -> str:
    """How far a run is with the organizations; empty when it does not go through them."""
    if not run.HasField("organizations"):
        return ""
    found = run.organizations
    return f"{found.done} done, {found.skipped} skipped, {found.failed} failed of {found.total}"


def outcome(number: JobRunOutcome.ValueType) -> str:
    """What a run came to for an organization, in capitals as in the contract."""
    return named(JobRunOutcome.DESCRIPTOR, number).upper()


def _print_result(run: JobRun) -> None:
    counts = dict(run.daily_metrics_result.counts) or dict(run.monthly_benchmarks_result.counts)
    if counts:
        print_facts("Result", sorted(counts.items()))
    for each in run.weekly_retraining_result.types:
        if each.HasField("model"):
            print_model(each.model)
        if not each.activated:
            note(f"{named(ModelType.DESCRIPTOR, each.model_type)} was not activated: {each.reason}")
    if run.HasField("train_result"):
        print_model(run.train_result.model, organizations=run.train_result.organizations)


def print_model(model: Model, *, organizations: int | None = None) -> None:
    """Show a trained version with its metrics."""
    facts: list[tuple[str, object]] = [
        ("version", f"{model.version} ({named(ModelState.DESCRIPTOR, model.state).upper()})"),
        ("id", model.id),
        ("rows", model.training_rows),
        ("organizations", organizations),
    ]
    if model.HasField("classification"):
        metrics = model.classification
        facts += [
            ("ROC AUC", decimal(metrics.roc_auc)),
            ("PR AUC", f"{decimal(metrics.pr_auc)} (base rate {decimal(metrics.base_rate)})"),
            ("Brier score", decimal(metrics.brier_score)),
            ("calibration error", decimal(metrics.calibration_error)),
            ("measured by", f"cross-validation, {metrics.folds} folds" if metrics.folds else "held-out rows"),
        ]
    if model.HasField("forecast"):
        found = model.forecast
        facts += [
            ("MASE, median", f"{decimal(found.mase_median)} (seasonal naive {decimal(found.baseline_mase_median)})"),
            ("WAPE", f"{decimal(found.wape)} (seasonal naive {decimal(found.baseline_wape)})"),
            ("coverage of 80 %", f"{found.coverage:.1%} of {found.points:,} amounts"),
        ]
    facts.append(("why it failed", model.failure_reason))
    print_facts(f"Model {named(ModelType.DESCRIPTOR, model.type)}", facts)


def print_runs(runs: Sequence[JobRun]) -> None:
    """Show runs, a line each."""
    rows = [
        (
            run.id,
            run_name(run),
            run_state(run),
            f"{run.progress:.0%}",
            read_status(run.error).reason if run.HasField("error") else run.message,
            when(run.create_time),
        )
        for run in runs
    ]
    print_table("", ["id", "job", "state", "progress #", "message", "created"], rows)


def print_models(models: Sequence[Model]) -> None:
    """Show model versions, a line each."""
    rows = [
        (
            named(ModelType.DESCRIPTOR, model.type),
            model.version,
            named(ModelState.DESCRIPTOR, model.state).upper(),
            *_metrics(model),
            model.training_rows,
            when(model.create_time),
            model.id,
        )
        for model in models
    ]
    columns = ["type", "version", "state", "ROC AUC #", "PR AUC #", "Brier #", "cal. error #", "MASE #", "rows #", "created", "id"]
    print_table("", columns, rows)


def _metrics(model: Model) -> tuple[str, str, str, str, str]:
    mase = decimal(model.forecast.mase_median) if model.HasField("forecast") else ""
    if not model.HasField("classification"):
        return ("", "", "", "", mase)
    metrics = model.classification
    return (
        decimal(metrics.roc_auc),
        decimal(metrics.pr_auc),
        decimal(metrics.brier_score),
        decimal(metrics.calibration_error),
        mase,
    )
