"""Zones are known by their names in the tz database."""

import pytest
from chassis.timezones import canonical_timezone, closest_timezone, timezone_names, zone_named


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("US/Eastern", "America/New_York"),
        ("Asia/Calcutta", "Asia/Kolkata"),
        ("Etc/UTC", "UTC"),
        ("Zulu", "UTC"),
        ("UTC", "UTC"),
    ],
)
def test_a_zone_has_one_name(name, expected):
    assert canonical_timezone(name) == expected
    assert zone_named(name).key == expected


@pytest.mark.parametrize(
    "name",
    [
        *("", "europe/berlin", "localtime", "posixrules", "Factory", "posix/UTC", "right/UTC", "zone.tab", "CEST"),
        *("/etc/localtime", "../UTC", "Europe", "Europe/", "Europe/Berlin\0", "+02:00", "UTC ", "Europe/../UTC"),
    ],
)
def test_what_is_no_zone_is_none(name):
    assert canonical_timezone(name) is None
    assert zone_named(name) is None


def test_every_name_is_that_of_a_zone_that_is_there():
    assert len(timezone_names()) > 500
    assert all(zone_named(name) for name in timezone_names())


@pytest.mark.parametrize(
    ("name", "expected"), [("europe/berlin", "Europe/Berlin"), ("Europe/Berln", "Europe/Berlin"), ("x" * 5000, None)]
)
def test_the_closest_zone_is_told(name, expected):
    assert closest_timezone(name) == expected
