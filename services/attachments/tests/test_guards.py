"""What must hold for every operation."""

from attachments_service.main import ROUTERS, openapi_document
from testkit.explained import unexplained
from testkit.lax import lax_inputs


def test_every_operation_is_described_and_shown_with_examples_that_are_true():
    assert unexplained(openapi_document()) == []


def test_r30_no_body_and_no_flag_takes_what_only_looks_right():
    assert lax_inputs(ROUTERS) == []
