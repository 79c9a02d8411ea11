from pydantic import BaseModel


class Jwk(BaseModel):
    """An Ed25519 public key (RFC 8037)."""

    kty: str
    crv: str
    use: str
    alg: str
    kid: str
    x: str


class JwksOut(BaseModel):
    """A JWK set."""

    keys: list[Jwk]
