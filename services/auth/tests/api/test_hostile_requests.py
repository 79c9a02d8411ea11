"""R27 to R33: whatever is wrong with a request of any operation is refused in the envelope, and changes no account.

What is sent is made of the OpenAPI document (testkit.hostile.documents), by an administrator, about what mostly is not
there: test_hostile_bodies has what is there.
"""

import pytest
from auth_service.main import openapi_document
from testkit.hostile.answers import attacked
from testkit.hostile.documents import Attacks

ATTACKS = Attacks(openapi_document())
OWN = "SELECT a::text FROM auth.account a WHERE id = :id"


@pytest.fixture
async def headers_for(login, make_admin, test_gateway):
    """The headers of who may ask for an operation; the gateway's own for what only that asks."""
    await make_admin(login.account)

    def headers(operation):
        if ATTACKS.operations[operation][0].startswith("/internal"):
            return test_gateway.service_headers()
        return test_gateway.headers(login.account.id, session_id=login.session_id, roles=["user", "admin"])

    return headers


@pytest.mark.parametrize("operation", sorted(ATTACKS.operations))
async def test_r28_bad_input_is_refused_in_the_envelope_and_changes_no_account(
    api, login, rows, headers_for, operation
):
    asked, headers = ATTACKS.asked(operation), headers_for(operation)
    before = await rows(OWN, id=login.account.id)
    complaints = []
    for attack in ATTACKS.on(operation, asked):
        if not attack.refused and before is not None:
            assert await rows(OWN, id=login.account.id) == before
            before = None
        complaints += (await attacked(api, asked, attack, headers))[1]
    assert complaints == []
