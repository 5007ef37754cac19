"""AnalyticsService: models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.v1 import models_pb2 as pb

from server.registry import store
from server.rpc.pages import page_of
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
