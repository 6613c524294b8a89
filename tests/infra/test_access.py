"""What the app reads is what the narrow role allows: no action is missing in it."""

import json

from simulator.arm import action_of
from simulator.world import Call

from ..conftest import Watch
from .conftest import ROOT

ACTIONS = set(json.loads((ROOT / "infra/access/actions.json").read_text(encoding="utf-8")))


async def test_every_request_of_a_story_is_allowed_by_the_narrow_role(watch: Watch) -> None:
    """Scans, looks again and settling over months; the simulator names the action that Azure asks for each request."""
    for expected in watch.azure.tenant.expected:
        watch.advance(expected.at)
        await watch.run(expected.at)
    used = {
        action_of(Call(one.method, one.target, {}, b""))
        for one in watch.azure.requests
        # Whoever is signed in may list the tenant and the subscriptions in which they have some right.
        if one.host == "arm" and not one.target.startswith("/tenants?")
    }
    known = {one.lower() for one in ACTIONS}
    assert {one for one in used if one.lower() not in known} == set()
    assert "Microsoft.Authorization/roleAssignments/read" in used
