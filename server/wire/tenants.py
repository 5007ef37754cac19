"""Profile, switches and audit entries as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.v1 import tenant_service_pb2 as pb

from server.tenants.model import Industry, Profile, SizeRange, Switches
from server.wire.times import timestamp

if TYPE_CHECKING:
    from server.audit.model import Entry

_INDUSTRIES = {
    Industry.UNSPECIFIED: pb.INDUSTRY_UNSPECIFIED,
    Industry.TECHNOLOGY: pb.INDUSTRY_TECHNOLOGY,
    Industry.HEALTHCARE: pb.INDUSTRY_HEALTHCARE,
    Industry.FINANCE: pb.INDUSTRY_FINANCE,
    Industry.MANUFACTURING: pb.INDUSTRY_MANUFACTURING,
    Industry.RETAIL: pb.INDUSTRY_RETAIL,
    Industry.PROFESSIONAL_SERVICES: pb.INDUSTRY_PROFESSIONAL_SERVICES,
}
_SIZES = {
    SizeRange.UNSPECIFIED: pb.COMPANY_SIZE_RANGE_UNSPECIFIED,
    SizeRange.FROM_1: pb.COMPANY_SIZE_RANGE_1_TO_49,
    SizeRange.FROM_50: pb.COMPANY_SIZE_RANGE_50_TO_200,
    SizeRange.FROM_201: pb.COMPANY_SIZE_RANGE_201_TO_1000,
    SizeRange.FROM_1001: pb.COMPANY_SIZE_RANGE_1001_TO_5000,
    SizeRange.FROM_5001: pb.COMPANY_SIZE_RANGE_5001_AND_MORE,
}
_INDUSTRIES_BACK = {value: key for key, value in _INDUSTRIES.items()}
_SIZES_BACK = {value: key for key, value in _SIZES.items()}


def industry(value: pb.Industry.ValueType) -> Industry:
    """Return the domain's value."""
    return _INDUSTRIES_BACK[value]


def industry_message(value: Industry) -> pb.Industry.ValueType:
    """Return the enum value of the contract."""
    return _INDUSTRIES[value]


def size_range(value: pb.CompanySizeRange.ValueType) -> SizeRange:
    """Return the domain's value."""
    return _SIZES_BACK[value]


def size_range_message(value: SizeRange) -> pb.CompanySizeRange.ValueType:
    """Return the enum value of the contract."""
    return _SIZES[value]


def profile_message(profile: Profile) -> pb.OrganizationProfile:
    """Return the message of a profile."""
    return pb.OrganizationProfile(
        display_name=profile.display_name,
        industry=_INDUSTRIES[profile.industry],
        size_range=_SIZES[profile.size_range],
        etag=str(profile.revision),
        update_time=timestamp(profile.updated_at),
    )


def profile(message: pb.OrganizationProfile) -> Profile:
    """Return the profile that a message describes."""
    return Profile(message.display_name, _INDUSTRIES_BACK[message.industry], _SIZES_BACK[message.size_range])


def switches_message(switches: Switches) -> pb.Switches:
    """Return the message of the switches."""
    return pb.Switches(
        pooled_training=switches.pooled_training,
        benchmark_contribution=switches.benchmark_contribution,
        retain_prediction_inputs=switches.retain_prediction_inputs,
        etag=str(switches.revision),
        update_time=timestamp(switches.updated_at),
    )


def switches(message: pb.Switches) -> Switches:
    """Return the switches that a message describes."""
    return Switches(message.pooled_training, message.benchmark_contribution, message.retain_prediction_inputs)


def entry_message(entry: Entry) -> pb.AuditEntry:
    """Return the message of an audit entry."""
    return pb.AuditEntry(
        id=str(entry.entry_id),
        time=timestamp(entry.at),
        actor=entry.actor,
        action=entry.act.action,
        resource_type=entry.act.resource_type,
        resource_id=entry.act.resource_id,
        request_id=entry.request_id,
        details=entry.act.details,
    )
