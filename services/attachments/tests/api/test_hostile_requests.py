"""R27 to R33: whatever is wrong with a request of any operation is refused in the envelope, and loses no file.

What is sent is made of the OpenAPI document (testkit.hostile.documents), by the owner of a file that is there.
"""

import pytest
from attachments_service.main import openapi_document
from testkit.hostile.answers import attacked
from testkit.hostile.documents import Attacks

ATTACKS = Attacks(openapi_document())


@pytest.mark.parametrize("operation", sorted(ATTACKS.operations))
async def test_r28_bad_input_is_refused_in_the_envelope_and_loses_nothing(api, world, attach, objects, operation):
    made, headers = await attach(), world.headers("owner")
    asked = ATTACKS.asked(operation, task_id=str(world.task_id), attachment_id=made["id"])
    before, complaints = objects(), []
    for attack in ATTACKS.on(operation, asked):
        if attack.refused:
            complaints += (await attacked(api, asked, attack, headers))[1]
    kept = await api.get(f"/api/v1/attachments/{made['id']}/content", headers=headers)
    assert (objects(), kept.content) == (before, b"hello")
    for attack in ATTACKS.on(operation, asked):
        if not attack.refused:
            complaints += (await attacked(api, asked, attack, headers))[1]
    assert complaints == []
