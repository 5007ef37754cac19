"""Models of four types: what role `trainer` sees of turnover, contracts, reviews and spend, and the evidence of a version.

Each view runs with its owner's rights, so the trainer needs none on the tables. It shows neither organization nor subject, and
reads consent in the same query. It leaves out what is dated after today: the newest date of the pooled rows is the training
cut-off of everybody's models, and no organization may move it ahead. `held_out` is a fifth of the subjects, by a hash that
stays: no version is trained on them, so that any two versions can be judged by them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"

_EMPLOYEE = """department, job_role, business_travel, education_field, over_time, job_level, education_level, environment_satisfaction,
    job_involvement, job_satisfaction, relationship_satisfaction, work_life_balance, performance_rating, companies_worked,
    stock_option_level, trainings_last_year, monthly_income, years_at_company, distance_from_home, salary_hike_percent,
    total_working_years, years_in_current_role, years_since_promotion, years_with_manager"""
_PAID = "paid_share"
_CONTRACT = """contract_type, category, pricing, payment_method, monthly_value, notice_days, offers_received, services, amendments,
    disputes, late_payments, auto_renew, competed, support_included"""
_WORK = """standard_minutes, work_in_progress, overtime_minutes, incentive, idle_minutes, people, idle_people, changes"""
_CONSENT = "coalesce((SELECT s.pooled_training FROM tenant_switches s WHERE s.org_id = {}.org_id), true)"
# In a subquery it is asked once; the function is volatile.
_TODAY = "(SELECT analytics_now()::date)"
_VIEWS = ("pooled_turnover_rows", "pooled_contract_rows", "pooled_review_rows", "pooled_spend_rows")


def upgrade() -> None:
    """Apply."""
    op.add_column("shared_models", sa.Column("evidence", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("employees", sa.Column(_PAID, sa.Double(), nullable=True))
    op.execute("DROP VIEW pooled_turnover_rows")
    for statement in (_turnover(), _contracts(), _reviews(), _spend()):
        op.execute(statement)
    for view in _VIEWS:
        op.execute(f"GRANT SELECT ON {view} TO trainer")


def downgrade() -> None:
    """Undo."""
    for view in reversed(_VIEWS):
        op.execute(f"DROP VIEW {view}")
    # Before the view of old, which takes every column that there is.
    op.drop_column("employees", _PAID)
    op.execute(
        f"""
        CREATE VIEW pooled_turnover_rows WITH (security_barrier) AS
        SELECT dense_rank() OVER (ORDER BY md5(org_id)) AS contributor,
               row_number() OVER (ORDER BY md5(org_id || ':' || employee_key), org_id, employee_key) AS place,
               as_of, left_within_year, {_EMPLOYEE}
        FROM (
            SELECT DISTINCT ON (e.org_id, e.employee_key) e.*
            FROM employees e LEFT JOIN tenant_switches s ON s.org_id = e.org_id
            WHERE e.left_within_year IS NOT NULL AND coalesce(s.pooled_training, true)
            ORDER BY e.org_id, e.employee_key, e.as_of DESC
        ) latest
        """  # noqa: S608 - a fixed list
    )
    op.execute("GRANT SELECT ON pooled_turnover_rows TO trainer")
    op.drop_column("shared_models", "evidence")


def _place(subject: str) -> str:
    """Who contributed, as a number; an order that does not depend on where a row is stored; and whether the row is held out."""
    hashed = f"md5(org_id || ':' || {subject})"
    return f"""
        dense_rank() OVER (ORDER BY md5(org_id)) AS contributor,
        row_number() OVER (ORDER BY {hashed}, org_id, {subject}, as_of) AS place,
        ('x' || substr({hashed}, 1, 7))::bit(28)::int % 5 = 0 AS held_out"""


def _months(begin: str, end: str) -> str:
    """Months of 30.4375 days between two dates, at most 1,200; NULL when one is not known."""
    return f"CASE WHEN {end} - {begin} IS NOT NULL THEN least(({end} - {begin}) / 30.4375::double precision, 1200) END"


def _turnover() -> str:
    """The latest state of an employee whose outcome is known: as it was loaded, or from the exits.

    Nobody left within the year is only concluded of an organization that loads exits, and whose facts reach past that year.
    """
    return f"""
        CREATE VIEW pooled_turnover_rows WITH (security_barrier) AS
        SELECT {_place("employee_key")}, as_of, outcome AS left_within_year, {_EMPLOYEE}, {_PAID}
        FROM (
            SELECT DISTINCT ON (org_id, employee_key) *
            FROM (
                SELECT e.*, coalesce(
                    e.left_within_year,
                    CASE WHEN EXISTS (
                        SELECT FROM employee_exits x WHERE x.org_id = e.org_id AND x.employee_key = e.employee_key
                        AND x.exit_date >= e.as_of AND x.exit_date < e.as_of + interval '12 months'
                    ) THEN true WHEN reach.until >= e.as_of + interval '12 months' THEN false END
                ) AS outcome
                FROM employees e LEFT JOIN (
                    SELECT x.org_id, least(
                        greatest(
                            max(x.exit_date), (SELECT max(n.as_of) FROM employees n WHERE n.org_id = x.org_id AND n.as_of <= {_TODAY})
                        ),
                        {_TODAY}
                    ) AS until
                    FROM employee_exits x GROUP BY x.org_id
                ) reach ON reach.org_id = e.org_id
                WHERE e.as_of <= {_TODAY} AND {_CONSENT.format("e")}
            ) judged
            WHERE outcome IS NOT NULL
            ORDER BY org_id, employee_key, as_of DESC
        ) latest
        """  # noqa: S608 - a fixed list


def _contracts() -> str:
    """Contracts with an outcome. The tenure is that of the other side when the contract began; nothing is from the day of the outcome."""
    first = """(SELECT min(o.start_date) FROM contracts o WHERE o.org_id = c.org_id AND o.counterparty_key = c.counterparty_key
                AND o.counterparty_key <> '')"""
    return f"""
        CREATE VIEW pooled_contract_rows WITH (security_barrier) AS
        SELECT {_place("contract_key")}, as_of, went_wrong, value, term_months, tenure_months, {_CONTRACT}
        FROM (
            SELECT c.org_id, c.contract_key, c.start_date AS as_of, c.value::double precision AS value,
                   c.outcome IN ('lapsed', 'terminated', 'changed', 'disputed') AS went_wrong,
                   coalesce(c.term_months, {_months("c.start_date", "c.end_date")}) AS term_months,
                   coalesce(c.tenure_months, {_months(first, "c.start_date")}) AS tenure_months,
                   {", ".join(f"c.{name.strip()}" for name in _CONTRACT.split(","))}
            FROM contracts c
            WHERE c.outcome IS NOT NULL AND c.start_date <= {_TODAY} AND {_CONSENT.format("c")}
        ) known
        """  # noqa: S608 - a fixed list


def _reviews() -> str:
    """Reviews with a target, with the state of the employee not after the review and the reviews before it; nothing is younger."""
    leaking = {"performance_rating", "salary_hike_percent"}
    known = [name.strip() for name in f"{_EMPLOYEE}, {_PAID}".split(",")]
    state = ", ".join(f"e.{name}" for name in known if name not in leaking)
    work = ", ".join(f"r.{name.strip()}" for name in _WORK.split(","))
    attributes = state.replace("e.", "")
    return f"""
        CREATE VIEW pooled_review_rows WITH (security_barrier) AS
        SELECT {_place("employee_key")}, as_of, missed, target, previous_ratio, earlier_reviews, months_since_review, {_WORK}, {attributes}
        FROM (
            SELECT r.org_id, r.employee_key, r.review_date AS as_of, r.score < r.target AS missed,
                   r.target / coalesce(r.scale_max, 1) AS target,
                   least(r.before_score / nullif(r.before_target, 0), 1e6) AS previous_ratio, r.earlier_reviews,
                   floor({_months("r.before_date", "r.review_date")}) AS months_since_review,
                   {work}, {state}
            FROM (
                SELECT p.*,
                       lag(p.score) OVER earlier AS before_score, lag(p.target) OVER earlier AS before_target,
                       lag(p.review_date) OVER earlier AS before_date, row_number() OVER earlier - 1 AS earlier_reviews
                FROM performance_reviews p
                WHERE p.review_date <= {_TODAY} AND {_CONSENT.format("p")}
                WINDOW earlier AS (PARTITION BY p.org_id, p.employee_key ORDER BY p.review_date)
            ) r
            LEFT JOIN LATERAL (
                SELECT * FROM employees s
                WHERE s.org_id = r.org_id AND s.employee_key = r.employee_key AND s.as_of <= r.review_date
                ORDER BY s.as_of DESC LIMIT 1
            ) e ON true
            WHERE r.target IS NOT NULL
        ) known
        """  # noqa: S608 - a fixed list


def _spend() -> str:
    """Whole months of each unit and category, and of units with several categories the total; one currency to a series.

    `series` is a number without meaning; the category is absent for a total.
    """
    return f"""
        CREATE VIEW pooled_spend_rows WITH (security_barrier) AS
        SELECT dense_rank() OVER (ORDER BY md5(org_id)) AS contributor,
               dense_rank() OVER (ORDER BY md5(org_id || ':' || unit || ':' || coalesce(category, '')), org_id, unit, category) AS series,
               category, period AS as_of,
               CASE WHEN period < (SELECT date_trunc('month', analytics_now())) THEN amount END AS amount, budget
        FROM (
            SELECT org_id, unit, category, period, amount::double precision AS amount, budget::double precision AS budget
            FROM (
                SELECT p.*, min(currency) OVER one = max(currency) OVER one AS alike FROM spend_entries p
                WHERE {_CONSENT.format("p")} WINDOW one AS (PARTITION BY org_id, unit, category)
            ) own WHERE alike
            UNION ALL
            SELECT org_id, unit, NULL, period, sum(amount)::double precision, sum(budget)::double precision
            FROM (
                SELECT p.*, min(currency) OVER all_of = max(currency) OVER all_of AS alike,
                       min(category) OVER all_of < max(category) OVER all_of AS several
                FROM spend_entries p WHERE {_CONSENT.format("p")} WINDOW all_of AS (PARTITION BY org_id, unit)
            ) total WHERE alike AND several GROUP BY org_id, unit, period
        ) known
        """  # noqa: S608 - a fixed list
