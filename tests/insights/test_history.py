"""Any history of runs, dismissals, views and time leaves the lists that a few lines of Python say it should."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar
from uuid import uuid4

import pytest
from analytics.v1 import insights_pb2 as pb
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from server.audit.model import Origin
from server.db import Database
from server.errors import AnalyticsError
from server.identity import InsightId, OrgId, RequestId, UserId
from server.insights import outcome, store
from server.insights.dismiss import dismiss_insight
from server.insights.model import KEPT, InsightType
from server.insights.reading import store as reading
from server.insights.reading.store import Wanted
from server.insights.record import Recorded, record
from server.insights.retire import retire
from server.insights.view import mark_viewed
from server.insights.withdraw import withdraw
from tests.support import environment
from tests.support.clock import VirtualClock
from tests.support.insights import CAUSE, RUN, finding

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence
    from datetime import datetime
    from typing import TypeVar

    from tests.support.databases import Cluster

    Made = TypeVar("Made")

HISTORIES, STEPS = 25, 25
SUBJECTS, USERS = ("a", "b", "c"), (UserId("ada"), UserId("bob"))
TYPES = {"a": InsightType.PAYROLL_COST_SPIKE, "b": InsightType.PAYROLL_COST_SPIKE, "c": InsightType.CONTRACT_EXPIRING}
# Exact in binary, so that the tenth is the same number everywhere.
SEVERITIES = (-8.0, 0.0, 8.0, 8.5, 9.0, 16.0)
DAYS = st.sampled_from((1, 10, 100))

subjects = st.sampled_from(SUBJECTS)
found = st.tuples(subjects, st.sampled_from(SEVERITIES), st.sampled_from(("one", "two")), DAYS)


@dataclass
class Expected:
    """An insight as the rules have it."""

    insight_id: InsightId
    severity: float
    title: str
    expires: datetime
    shown: datetime
    revision: int = 1
    dismissed_at: float | None = None
    viewers: set[UserId] = field(default_factory=set)


class Histories(RuleBasedStateMachine):
    """One organization, its insights beside what they should be."""

    runner: ClassVar[asyncio.Runner]
    db: ClassVar[Database]
    clock: ClassVar[VirtualClock]

    def __init__(self) -> None:
        super().__init__()
        self.org = OrgId(f"org-{uuid4().hex}")
        self.now = self.do(self.clock.advance(0))
        self.expected: dict[str, Expected] = {}

    def do(self, action: Coroutine[None, None, Made]) -> Made:
        return self.runner.run(action)

    @rule(findings=st.lists(found, max_size=4, unique_by=lambda each: each[0]))
    def a_run_finds(self, findings: list[tuple[str, float, str, int]]) -> None:
        counts = dict.fromkeys(("created", "updated", "reopened", "unchanged", "kept_dismissed"), 0)
        new_ids = [InsightId(uuid4()) for _ in findings]
        made = []
        for (subject, severity, title, days), new_id in zip(findings, new_ids, strict=True):
            expires = self.now + timedelta(days=days)
            made.append(finding(subject, insight_type=TYPES[subject], severity=severity, title=title, expires_at=expires))
            counts[self._expect(subject, Expected(new_id, severity, title, expires, self.now))] += 1
        assert self.do(self._record(made, new_ids)) == Recorded(**counts)

    def _expect(self, subject: str, new: Expected) -> str:
        """Apply the rules to a finding; returns the name of what happens."""
        old = self.expected.get(subject)
        if old is None or self.now - old.expires >= KEPT:
            self.expected[subject] = new
            return "created"
        says_else = (old.severity, old.title) != (new.severity, new.title)
        over = old.expires <= self.now
        old.severity, old.title, old.expires = new.severity, new.title, new.expires
        if old.dismissed_at is not None:
            if new.severity <= old.dismissed_at + abs(old.dismissed_at) / 10:
                old.revision += says_else
                return "kept_dismissed"
            over = True
        if over:
            old.shown, old.viewers, old.dismissed_at, old.revision = self.now, set(), None, old.revision + 1
            return "reopened"
        old.revision += says_else
        return "updated" if says_else else "unchanged"

    @rule(subject=subjects, user=st.sampled_from(USERS))
    def somebody_dismisses(self, subject: str, user: UserId) -> None:
        if (insight := self.expected.get(subject)) is None:
            return
        if insight.expires <= self.now:
            with pytest.raises(AnalyticsError, match="does not exist"):
                self.do(self._dismiss(user, insight.insight_id))
            return
        self.do(self._dismiss(user, insight.insight_id))
        if insight.dismissed_at is None:
            insight.dismissed_at, insight.revision = insight.severity, insight.revision + 1

    @rule(subject=subjects, user=st.sampled_from(USERS))
    def somebody_views(self, subject: str, user: UserId) -> None:
        insight = self.expected.get(subject)
        if insight is not None and self.now - insight.expires < KEPT:
            self.do(self._view(user, insight.insight_id))
            insight.viewers.add(user)

    @rule(kept=st.sets(subjects), types=st.sets(st.sampled_from(list(InsightType))))
    def a_run_withdraws_what_it_no_longer_finds(self, kept: set[str], types: set[InsightType]) -> None:
        gone = 0
        for subject, insight in self.expected.items():
            if subject not in kept and TYPES[subject] in types and insight.dismissed_at is None and insight.expires > self.now:
                insight.expires, insight.revision, gone = self.now, insight.revision + 1, gone + 1
        fingerprints = [finding(subject, insight_type=TYPES[subject]).fingerprint for subject in kept]
        assert self.do(self._withdraw(types, fingerprints)) == gone

    @rule(days=st.sampled_from((0.5, 1, 9, 60, 181)))
    def time_passes(self, days: float) -> None:
        self.now = self.do(self.clock.advance(days * 86_400))

    @rule()
    def what_is_over_is_cleared_away(self) -> None:
        self.do(self._retire())
        for subject in [subject for subject, insight in self.expected.items() if self.now - insight.expires >= KEPT]:
            del self.expected[subject]

    @invariant()
    def everybody_sees_what_the_rules_say(self) -> None:
        active = [insight for insight in self.expected.values() if insight.dismissed_at is None and insight.expires > self.now]
        active.sort(key=lambda insight: (insight.shown, insight.insight_id), reverse=True)
        for user in USERS:
            wanted = [(each.insight_id, each.title, each.revision, user in each.viewers) for each in active]
            assert self.do(self._list(user)) == wanted
            assert self.do(self._list(user, unviewed_only=True)) == [each for each in wanted if not each[3]]

    async def _list(self, user: UserId, *, unviewed_only: bool = False) -> list[tuple[InsightId, str, int, bool]]:
        rows = await reading.page(self.db, self.org, Wanted(user, unviewed_only=unviewed_only), None, 21)
        messages = [pb.Insight.FromString(row.message) for row in rows]
        assert [message.id for message in messages] == [str(row.insight_id) for row in rows]
        return [
            (row.insight_id, message.title, message.revision, row.viewed)
            for row, message in zip(rows, messages, strict=True)
        ]  # fmt: skip

    async def _record(self, findings: Sequence[object], ids: Sequence[InsightId]) -> Recorded:
        async with self.db.tx(self.org) as tx:
            return await record(tx, self.org, findings, ids, RUN)  # type: ignore[arg-type]  # a list of findings

    async def _dismiss(self, user: UserId, insight_id: InsightId) -> None:
        async with self.db.tx(self.org) as tx:
            await dismiss_insight(tx, Origin(self.org, user, RequestId("r")), insight_id)

    async def _view(self, user: UserId, insight_id: InsightId) -> None:
        async with self.db.tx(self.org) as tx:
            await mark_viewed(tx, Origin(self.org, user, RequestId("r")), [insight_id])

    async def _withdraw(self, types: set[InsightType], kept: Sequence[bytes]) -> int:
        async with self.db.tx(self.org) as tx:
            return await withdraw(tx, self.org, types, kept, CAUSE)

    async def _retire(self) -> None:
        async with self.db.tx(self.org) as tx:
            await retire(tx, self.org)


async def _silent(_: tuple[str, ...]) -> None:
    return


@pytest.fixture
def histories(cluster: Cluster) -> Iterator[type[Histories]]:
    """A database with virtual time, used from a loop of its own: the steps of a machine are no coroutines."""
    with asyncio.Runner() as runner:
        database = runner.run(cluster.create_database())
        Histories.runner = runner
        Histories.db = Database(environment.settings(cluster, database, db_pool_size=1), _silent)
        Histories.clock = runner.run(VirtualClock.install(cluster, database))
        yield Histories
        runner.run(Histories.clock.close())
        runner.run(Histories.db.close())
        runner.run(cluster.drop_database(database))


def _play(histories: type[Histories], times: int, phases: Sequence[Phase] = tuple(Phase)) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        histories,
        settings=settings(
            max_examples=times,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=checks,
            database=None,
            phases=phases,
            report_multiple_bugs=False,
            derandomize=phases != tuple(Phase),
        ),
    )


def test_any_history_leaves_the_lists_that_the_rules_say(histories: type[Histories]) -> None:
    _play(histories, HISTORIES)


@pytest.mark.parametrize("broken", ["dismissals do not hold", "views stay"])
def test_control_a_broken_rule_is_found(histories: type[Histories], monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    if broken == "dismissals do not hold":
        monkeypatch.setattr(outcome, "WORSE_BY", -10.0)
    else:
        monkeypatch.setattr(store, "_UPDATE", text(f"{store._UPDATE} AND false"))
    # To find it is enough; the shortest history that shows it would take minutes.
    with pytest.raises(AssertionError):
        _play(histories, 300, [Phase.generate])
