"""Which provider a request is about, and that it can be used."""

from dataclasses import dataclass
from typing import Annotated

from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Path, Request

from auth_service.identity_providers import IdentityProvider, IdentityProviders
from auth_service.oidc.errors import ProviderNotFound, RedirectUriUnknown
from auth_service.oidc.schemas import FlowStart
from auth_service.provider_settings import ProviderConfig

ProviderId = Annotated[str, Path(alias="provider", max_length=64, description="Id of a provider.")]


@dataclass(frozen=True, slots=True)
class Reached:
    """A provider that has said where to send people, and a configured address for them to come back to."""

    config: ProviderConfig
    authorization_endpoint: str
    redirect_uri: str


async def known_provider(request: Request, provider_id: ProviderId) -> IdentityProvider:
    """Return a provider. Raises ProviderNotFound."""
    providers: IdentityProviders = request.app.state.identity_providers
    found = providers.find(provider_id)
    if found is None:
        raise ProviderNotFound
    return found


KnownProvider = Annotated[IdentityProvider, Depends(known_provider)]


async def reached_provider(provider: KnownProvider, body: FlowStart) -> Reached:
    """Return a provider for a request that is in order, asked before the transaction begins.

    Raises RedirectUriUnknown for an address that is not exactly configured, of which no provider is asked, and
    IdentityProviderUnavailable.
    """
    if body.redirect_uri not in provider.config.redirect_uris:
        raise RedirectUriUnknown(field="redirect_uri")
    endpoint = (await provider.discovery()).authorization_endpoint
    return Reached(provider.config, endpoint, body.redirect_uri)


async def provider_of_caller(_caller: CurrentPrincipal, provider: KnownProvider, body: FlowStart) -> Reached:
    """Do the same for somebody with an identity: for nobody else it is asked."""
    return await reached_provider(provider, body)


ReachedProvider = Annotated[Reached, Depends(reached_provider)]
ProviderOfCaller = Annotated[Reached, Depends(provider_of_caller)]
