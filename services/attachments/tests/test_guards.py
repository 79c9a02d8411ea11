"""What must hold for every operation."""

from attachments_service.main import openapi_document
from testkit.explained import unexplained


def test_every_operation_is_described_and_shown_with_examples_that_are_true():
    assert unexplained(openapi_document()) == []
