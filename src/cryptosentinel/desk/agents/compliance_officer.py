"""ComplianceOfficer: clears assets."""

from __future__ import annotations

from cryptosentinel.desk.agents.role import Role
from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.policy.review import compliance_officer
from cryptosentinel.desk.tools.answer import Tool
from cryptosentinel.desk.tools.security import check_tokens


def tools(floor: Floor) -> tuple[Tool, ...]:
    """What it can do."""
    return (check_tokens(floor),)


COMPLIANCE_OFFICER = Role("ComplianceOfficer", "Says whether an asset may be traded at all.", tools, compliance_officer)
