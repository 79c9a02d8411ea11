"""Secrets of an installation: made without any library, accepted by those that use them."""

import secrets as randomness
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest
from chassis.settings import MINIMUM_SECRET_LENGTH
from chassis.tokens import normalize_pem
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

SCRIPT = Path(__file__).parents[1] / "make-secrets"

# RFC 8032, section 7.1, tests 1 and 2.
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    ),
]


@pytest.fixture(scope="module")
def script() -> Any:
    loader = SourceFileLoader("make_secrets", str(SCRIPT))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(("seed", "public"), VECTORS)
def test_public_key_is_the_one_of_the_rfc(script: Any, seed: str, public: str):
    assert script.public_key(bytes.fromhex(seed)).hex() == public


def test_identity_keys_belong_together(script: Any):
    for _ in range(20):
        private, public = script.identity_keys(randomness.token_bytes(32))
        derived = load_pem_private_key(normalize_pem(private), None).public_key()
        assert derived == load_pem_public_key(normalize_pem(public))
        assert derived.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode().strip() == public.replace(
            "\\n", "\n"
        )


def test_r67_every_secret_is_long_and_its_own(secrets: dict[str, str]):
    assert all(len(value) >= MINIMUM_SECRET_LENGTH for value in secrets.values())
    assert len(set(secrets.values())) == len(secrets)


def test_secrets_fit_into_an_env_file_and_a_url(secrets: dict[str, str]):
    assert not [name for name, value in secrets.items() if set(value) & set("\"'$#\n")]
    assert not [name for name, value in secrets.items() if name.endswith("PASSWORD") and not value.isalnum()]
