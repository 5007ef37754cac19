"""AnalyticsService: models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.v1 import models_pb2 as pb

from server.errors import AnalyticsError, Kind, Reason, Resource, not_found
from server.identity import ModelId
from server.registry import store
from server.rpc.origins import uuid
from server.rpc.pages import page_of
from server.wire.evaluations import evaluation_message
from server.wire.models import model_message, model_state_filter, model_type_filter

if TYPE_CHECKING:
    from server.app import App
    from server.rpc.call import Call


class ModelRpcs:
    """Read the registry."""

    def __init__(self, app: App) -> None:
        """Serve from `app`."""
        self._app = app

    async def list_models(self, request: pb.ListModelsRequest, call: Call) -> pb.ListModelsResponse:
        """List the shared versions, newest first."""
        page = page_of(self._app.settings, call, request)
        async with self._app.read(call.caller.org) as tx:
            models = await store.page(tx, model_type_filter(request.type), model_state_filter(request.state), page.before, page.size + 1)
        shown, token = page.cut(models, lambda model: (model.created_at, model.model_id))
        return pb.ListModelsResponse(models=[model_message(model) for model in shown], next_page_token=token)

    async def get_model_evaluation(self, request: pb.GetModelEvaluationRequest, call: Call) -> pb.GetModelEvaluationResponse:
        """Read what there is to draw of a version."""
        model_id = ModelId(uuid(request.model_id))
        async with self._app.read(call.caller.org) as tx:
            model = await store.get(tx, model_id)
            evaluation = await store.evaluation(tx, model_id)
        if model is None:
            raise not_found(Reason.MODEL_NOT_FOUND, "model", request.model_id)
        if evaluation is None:
            message = f"nothing was stored to draw of version {model.version}; versions trained from now on have an evaluation"
            raise AnalyticsError(
                Kind.NOT_FOUND, Reason.MODEL_EVALUATION_NOT_FOUND, message, resource=Resource("model_evaluation", request.model_id)
            )
        return evaluation_message(model, evaluation)
