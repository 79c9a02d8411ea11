import orjson
from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection
from chassis.web.openapi import bare_example
from chassis.web.routing import public
from fastapi import Response

from auth_service.tokens import repository
from auth_service.tokens.schemas import JWKS_EXAMPLE, JwksOut
from auth_service.tokens.service import jwks

router = APIRouter(prefix="/.well-known", tags=["keys"])


@router.get(
    "/jwks.json",
    summary="Read the public keys of access tokens",
    description="The JWK set (RFC 7517) that access tokens can be verified with: current, next, and retired ones.",
    response_model=JwksOut,
    responses={200: bare_example(JWKS_EXAMPLE, description="The keys.")},
)
@public("public keys are public")
async def read_jwks(connection: PrimaryConnection) -> Response:
    body = orjson.dumps(jwks(await repository.published(connection)))
    return Response(body, headers={"cache-control": "public, max-age=300"}, media_type="application/json")
