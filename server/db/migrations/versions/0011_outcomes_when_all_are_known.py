"""Pooled rows: a bad outcome counts from when a good one would be known too, or the newest rows would be bad ones alone.

* Who leaves can be marked at once (`left_within_year`); that the others of that day stayed is known a year later. So the newest
  states said "left" alone. A yes now counts up to the newest day of which the organization knows who stayed: by its exits the one
  twelve months before they end, or the newest that was loaded with a no.
* A contract that is terminated in its first year has an outcome at once, one that goes well has none before its agreed end. So
  the newest ones had gone wrong alone. What goes wrong now counts from the agreed end on, or at once where none is agreed. What is
  renewed counts at once: its end moves on with it, and one that is renewed again and again would never count.
* Reviews and spend are stated again as 0010 has them: for its first hours 0010 was another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import context, op

if TYPE_CHECKING:
    from types import ModuleType

revision = "0011"
down_revision = "0010"

_EMPLOYEE = """department, job_role, business_travel, education_field, over_time, job_level, education_level, environment_satisfaction,
    job_involvement, job_satisfaction, relationship_satisfaction, work_life_balance, performance_rating, companies_worked,
    stock_option_level, trainings_last_year, monthly_income, years_at_company, distance_from_home, salary_hike_percent,
    total_working_years, years_in_current_role, years_since_promotion, years_with_manager, paid_share"""
_CONTRACT = """contract_type, category, pricing, payment_method, monthly_value, notice_days, offers_received, services, amendments,
    disputes, late_payments, auto_renew, competed, support_included"""
# In a subquery it is asked once; the function is volatile.
_TODAY = "(SELECT analytics_now()::date)"


def upgrade() -> None:
    """Apply."""
    _revision_before().upgrade()
    for statement in (_turnover(), _contracts()):
        op.execute(statement)


def downgrade() -> None:
    """Undo."""
    _revision_before().upgrade()


def _revision_before() -> ModuleType:
    return context.script.get_revision(down_revision).module


def _place(subject: str) -> str:
    """Who contributed, as a number; an order that does not depend on where a row is stored; and whether the row is held out."""
    hashed = f"md5(org_id || ':' || {subject})"
    return f"""
        dense_rank() OVER (ORDER BY md5(org_id)) AS contributor,
        row_number() OVER (ORDER BY md5(org_id), {hashed}, org_id, {subject}, as_of) AS place,
        ('x' || substr({hashed}, 1, 7))::bit(28)::int % 5 = 0 AS held_out"""


def _consent(table: str) -> str:
    return f"coalesce((SELECT s.pooled_training FROM tenant_switches s WHERE s.org_id = {table}.org_id), true)"  # noqa: S608 - a fixed name


def _turnover() -> str:
    """The first state of each employee and year whose outcome is known: as it was loaded, or from the exits.

    Years are counted back from the newest such state; thirty days of grace, or states of the same day of two years would be of one.
    """
    return f"""
        CREATE OR REPLACE VIEW pooled_turnover_rows WITH (security_barrier) AS
        SELECT {_place("employee_key")}, as_of, outcome AS left_within_year, {_EMPLOYEE}
        FROM (
            SELECT DISTINCT ON (org_id, employee_key, years_ago) *
            FROM (
                SELECT *, (max(as_of) OVER (PARTITION BY org_id) - as_of + 30) / 365 AS years_ago
                FROM (
                    SELECT e.*, CASE
                        WHEN NOT e.left_within_year THEN false
                        WHEN exits.until >= e.as_of + interval '12 months' THEN e.left_within_year IS NOT NULL OR EXISTS (
                            SELECT FROM employee_exits x WHERE x.org_id = e.org_id AND x.employee_key = e.employee_key
                            AND x.exit_date >= e.as_of AND x.exit_date < e.as_of + interval '12 months'
                        )
                        WHEN stayed.until >= e.as_of THEN e.left_within_year
                    END AS outcome
                    FROM employees e
                    LEFT JOIN (
                        SELECT x.org_id, least(
                            greatest(
                                max(x.exit_date),
                                (SELECT max(n.as_of) FROM employees n WHERE n.org_id = x.org_id AND n.as_of <= {_TODAY})
                            ),
                            {_TODAY}
                        ) AS until
                        FROM employee_exits x GROUP BY x.org_id
                    ) exits ON exits.org_id = e.org_id
                    LEFT JOIN (
                        SELECT n.org_id, max(n.as_of) AS until FROM employees n
                        WHERE NOT n.left_within_year AND n.as_of <= {_TODAY} GROUP BY n.org_id
                    ) stayed ON stayed.org_id = e.org_id
                    WHERE e.as_of <= {_TODAY} AND {_consent("e")}
                ) judged
                WHERE outcome IS NOT NULL
            ) known
            ORDER BY org_id, employee_key, years_ago, as_of
        ) first
        """  # noqa: S608 - fixed lists


def _contracts() -> str:
    """Contracts with an outcome. The tenure is that of the other side when the contract began; nothing is from the day of the outcome."""
    first = """(SELECT min(o.start_date) FROM contracts o WHERE o.org_id = c.org_id AND o.counterparty_key = c.counterparty_key
                AND o.counterparty_key <> '')"""
    return f"""
        CREATE OR REPLACE VIEW pooled_contract_rows WITH (security_barrier) AS
        SELECT {_place("contract_key")}, as_of, went_wrong, value, term_months, tenure_months, {_CONTRACT}
        FROM (
            SELECT c.org_id, c.contract_key, c.start_date AS as_of, c.value::double precision AS value, judged.went_wrong,
                   coalesce(c.term_months, {_months("c.start_date", "c.end_date")}) AS term_months,
                   coalesce(c.tenure_months, {_months(first, "c.start_date")}) AS tenure_months,
                   {", ".join(f"c.{name.strip()}" for name in _CONTRACT.split(","))}
            FROM contracts c, LATERAL (SELECT c.outcome IN ('lapsed', 'terminated', 'changed', 'disputed') AS went_wrong) judged
            WHERE c.outcome IS NOT NULL AND c.start_date <= {_TODAY} AND {_consent("c")}
                AND NOT (judged.went_wrong AND coalesce(c.end_date > {_TODAY}, false))
        ) known
        """  # noqa: S608 - fixed lists


def _months(begin: str, end: str) -> str:
    """Months of 30.4375 days between two dates, at most 1,200; NULL when one is not known."""
    return f"CASE WHEN {end} - {begin} IS NOT NULL THEN least(({end} - {begin}) / 30.4375::double precision, 1200) END"
