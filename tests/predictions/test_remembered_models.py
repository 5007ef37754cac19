"""A process answers by the model version it saw last only as long as that version is the active one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.v1 import predictions_pb2 as pb

from tests.support import live, trained
from tests.support.asking import accepted, ended, new_org, typed

if TYPE_CHECKING:
    from tests.support.live import Service


async def test_a_duplicate_is_no_duplicate_any_more_once_another_version_is_active(ready_service: Service) -> None:
    who = live.bearer(new_org())
    first = await accepted(ready_service, who, typed(1))
    again = await accepted(ready_service, who, typed(1))
    assert (again.deduplicated, again.job_id) == (True, first.job_id)
    newer = await trained.activate_model(ready_service.app)
    fresh = await accepted(ready_service, who, typed(1))
    assert not fresh.deduplicated
    assert fresh.job.model_version == newer.version != first.job.model_version
    assert (await ended(ready_service, who, fresh.job_id)).state == pb.PREDICTION_JOB_STATE_COMPLETED
