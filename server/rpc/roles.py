"""Which role may call which RPC: the one table. A role implies no other; what is not listed may not call.

A test holds it against the contract: a row per RPC, and the roles that the comment of the RPC promises.
"""

from server.identity import Role

_READERS = frozenset({Role.VIEWER, Role.ANALYST, Role.ADMIN, Role.OWNER})
_WRITERS = frozenset({Role.ANALYST, Role.ADMIN, Role.OWNER})
_ADMINS = frozenset({Role.ADMIN, Role.OWNER})
_OWNERS = frozenset({Role.OWNER})
_OPERATORS = frozenset({Role.OPERATOR})

ROLES = {
    "/analytics.v1.AnalyticsService/RequestPrediction": _WRITERS,
    "/analytics.v1.AnalyticsService/BatchRequestPredictions": _WRITERS,
    "/analytics.v1.AnalyticsService/GetPredictionJob": _READERS,
    "/analytics.v1.AnalyticsService/ListPredictionJobs": _READERS,
    "/analytics.v1.AnalyticsService/CancelPredictionJob": _WRITERS,
    "/analytics.v1.AnalyticsService/WatchPredictionJob": _READERS,
    "/analytics.v1.AnalyticsService/GetBenchmarks": _READERS,
    "/analytics.v1.AnalyticsService/ListModels": _ADMINS,
    "/analytics.v1.AnalyticsService/GetModelEvaluation": _ADMINS,
    "/analytics.v1.AnalyticsService/GetInsights": _READERS,
    "/analytics.v1.AnalyticsService/GetInsight": _READERS,
    "/analytics.v1.AnalyticsService/MarkInsightsViewed": _READERS,
    "/analytics.v1.AnalyticsService/DismissInsight": _WRITERS,
    "/analytics.v1.FactService/IngestFacts": _WRITERS,
    "/analytics.v1.FactService/ListFactSets": _READERS,
    "/analytics.v1.FactService/DeleteFacts": _ADMINS,
    "/analytics.v1.TenantService/GetOrganizationProfile": _READERS,
    "/analytics.v1.TenantService/UpdateOrganizationProfile": _ADMINS,
    "/analytics.v1.TenantService/GetSwitches": _READERS,
    "/analytics.v1.TenantService/UpdateSwitches": _OWNERS,
    "/analytics.v1.TenantService/ListAuditEntries": _ADMINS,
    "/analytics.events.v1.EventService/PublishEvents": _WRITERS,
    "/analytics.events.v1.EventService/StreamEvents": _READERS,
    "/analytics.events.v1.EventService/ListEventTypes": _READERS,
    "/analytics.admin.v1.OperationsService/RunJob": _OPERATORS,
    "/analytics.admin.v1.OperationsService/GetJobRun": _OPERATORS,
    "/analytics.admin.v1.OperationsService/ListJobRuns": _OPERATORS,
    "/analytics.admin.v1.OperationsService/WatchJobRun": _OPERATORS,
    "/analytics.admin.v1.OperationsService/ListJobRunOrganizations": _OPERATORS,
    "/analytics.admin.v1.OperationsService/ListSchedules": _OPERATORS,
    "/analytics.admin.v1.OperationsService/GetServiceInfo": _OPERATORS,
    "/analytics.admin.v1.OperationsService/GetPredictionQueue": _OPERATORS,
}
