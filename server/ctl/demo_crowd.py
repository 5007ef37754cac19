"""The crowd behind the named demo organizations: enough of them for benchmarks, some cells with too few to publish.

What always holds: the same organizations on every machine; every company is made up.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from analytics.v1.tenant_service_pb2 import Industry

from server.ctl.demo_organizations import ORGANIZATIONS, DemoOrganization, Story

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SEED = 20261101
SMALL, MIDDLE = 47, 14
"""Organizations of up to 49 and of 50 to 200 employees in every industry."""
LARGE = {
    Industry.INDUSTRY_TECHNOLOGY: 11,
    Industry.INDUSTRY_HEALTHCARE: 3,
    Industry.INDUSTRY_FINANCE: 11,
    Industry.INDUSTRY_MANUFACTURING: 3,
    Industry.INDUSTRY_RETAIL: 11,
    Industry.INDUSTRY_PROFESSIONAL_SERVICES: 3,
}
"""Organizations of over 200: in half of the industries too few for a benchmark of that size."""
_SIZES = ((SMALL, 6, 30), (MIDDLE, 50, 66), (None, 201, 214))
_LONG_HISTORY_EVERY = 10
_FIRST_NAMES = ("Amber", "Basalt", "Copper", "Delta", "Ember", "Falcon", "Granite", "Harbor", "Indigo", "Juniper", "Kestrel", "Lumen")
_SECOND_NAMES = {
    Industry.INDUSTRY_TECHNOLOGY: "Software",
    Industry.INDUSTRY_HEALTHCARE: "Clinics",
    Industry.INDUSTRY_FINANCE: "Capital",
    Industry.INDUSTRY_MANUFACTURING: "Works",
    Industry.INDUSTRY_RETAIL: "Stores",
    Industry.INDUSTRY_PROFESSIONAL_SERVICES: "Partners",
}


def crowd() -> Iterator[DemoOrganization]:
    """Yield the organizations, small ones first within an industry."""
    for model in ORGANIZATIONS:
        random = Random(f"{_SEED}:{model.industry}")  # noqa: S311 - made-up companies, no secret
        number = 0
        for count, least, most in _SIZES:
            for _ in range(count or LARGE[model.industry]):
                number += 1
                yield _organization(random, model, number, random.randint(least, most))


def chosen(organizations: int) -> Sequence[DemoOrganization]:
    """Return the named organizations, and as many of the crowd as make up the number, of all industries and sizes."""
    everybody = list(crowd())
    wanted = min(max(organizations - len(ORGANIZATIONS), 0), len(everybody))
    return [*ORGANIZATIONS, *(everybody[place * len(everybody) // wanted] for place in range(wanted))]


def _organization(random: Random, model: DemoOrganization, number: int, employees: int) -> DemoOrganization:
    branch = Industry.Name(model.industry).removeprefix("INDUSTRY_").lower().replace("_", "-")
    long_history = number % _LONG_HISTORY_EVERY == 0 and employees < _SIZES[1][2]
    return DemoOrganization(
        org_id=f"demo-{branch}-{number:03d}",
        display_name=f"{random.choice(_FIRST_NAMES)} {_SECOND_NAMES[model.industry]} {number:03d}",
        industry=model.industry,
        employees=employees,
        pay=model.pay * random.uniform(0.85, 1.2),
        climate=model.climate + random.gauss(0, 0.35),
        shares=model.shares,
        history=18 if long_history else 1,
        stories=frozenset(story for story in Story if random.random() < 0.3),  # noqa: PLR2004 - a share of the organizations
    )
