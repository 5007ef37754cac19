"""What an import shows: how columns were mapped, which rows were bad, and what the server did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.ctl.fact_rows import PROBLEMS_KEPT
from server.ctl.render import note, print_table, say

if TYPE_CHECKING:
    from server.ctl.csv_rows import Problem
    from server.ctl.fact_rows import Checked
    from server.ctl.ingest import Outcome
    from server.ctl.mapping import Plan


@dataclass(frozen=True, slots=True)
class Report:
    """One import; `outcome` is None when nothing was sent."""

    file: str
    plan: Plan
    checked: Checked
    outcome: Outcome | None
    dry_run: bool

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The first 50 problems, found here and by the server."""
        return (*self.checked.problems, *(self.outcome.problems if self.outcome else ()))[:PROBLEMS_KEPT]


def print_plan(plan: Plan) -> None:
    """Show which column fills which field, and which columns are left out."""
    rows = [
        (rule.spec.name, rule.column, rule.origin, ", ".join(f"{text}={value}" for text, value in rule.translation.items()))
        for rule in plan.columns
    ]
    rows += [(rule.spec.name, f"= {rule.text}", rule.origin, "") for rule in plan.constants]
    print_table("Mapping", ["field", "column", "because of", "translation"], rows)
    if plan.ignored:
        print_table("Ignored columns", ["column", "reason"], plan.ignored)
    if not plan.has_outcome:
        note(f"No column is mapped to {plan.kind.outcome}: models cannot learn from these rows.")


def print_report(report: Report) -> None:
    """Show bad rows and what was done."""
    checked, outcome = report.checked, report.outcome
    bad_rows = checked.bad_rows + (outcome.bad_rows if outcome else 0)
    if bad_rows:
        print_problems(report.problems, bad_rows)
    if outcome is None:
        say(_unsent(report))
        return
    written = f"{outcome.inserted} inserted, {outcome.updated} updated, {outcome.unchanged} unchanged"
    skipped = f", {checked.bad_rows} bad rows skipped" if checked.bad_rows else ""
    say(f"{report.file}: {written}{skipped}")
    if outcome.unwritten:
        note(f"The server refused {outcome.unwritten} rows, the batches with the bad rows above; mend them and run the command again.")


def print_problems(problems: tuple[Problem, ...], bad_rows: int) -> None:
    """Show what is wrong, by line."""
    rows = [(problem.line, problem.field or "(row)", problem.reason) for problem in problems]
    print_table(f"{bad_rows} bad {'row' if bad_rows == 1 else 'rows'}", ["line #", "field", "reason"], rows, stderr=True)
    if len(problems) == PROBLEMS_KEPT:
        note(f"Only the first {PROBLEMS_KEPT} problems are shown.")


def report_dict(report: Report) -> dict[str, object]:
    """An import for scripts; `problems` holds at most 50."""
    checked, outcome = report.checked, report.outcome
    content: dict[str, object] = {
        "file": report.file,
        "mapping": {rule.spec.name: rule.column for rule in report.plan.columns},
        "constants": {rule.spec.name: rule.text for rule in report.plan.constants},
        "ignored": dict(report.plan.ignored),
        "valid_rows": checked.valid_rows,
        "bad_rows": checked.bad_rows + (outcome.bad_rows if outcome else 0),
        "problems": [{"line": problem.line, "field": problem.field, "reason": problem.reason} for problem in report.problems],
        "dry_run": report.dry_run,
        "sent": outcome is not None,
    }
    if outcome is not None:
        content |= {
            "inserted": outcome.inserted,
            "updated": outcome.updated,
            "unchanged": outcome.unchanged,
            "unwritten": outcome.unwritten,
        }
    return content


def _unsent(report: Report) -> str:
    checked = report.checked
    if not checked.valid_rows and not checked.bad_rows:
        return f"{report.file} has a header and no rows; nothing was sent"
    counts = f"{report.file}: {checked.valid_rows} valid rows, {checked.bad_rows} bad"
    if report.dry_run:
        return f"{counts}; dry run, nothing was sent"
    return f"{counts}; nothing was sent. Mend the rows, or send the others by --skip-bad-rows."
