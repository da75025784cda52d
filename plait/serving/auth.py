"""Who may ask: a bearer token from the environment, needed wherever the server can be reached from outside."""

import hmac
import ipaddress
import os
from collections.abc import Mapping

from plait.errors import ServingError

_LEAST_LENGTH = 16


class Authoriser:
    """Compares bearer tokens in constant time; without a token of its own it lets everyone in."""

    def __init__(self, token: str | None) -> None:
        self._token = token.encode() if token else None

    @property
    def open(self) -> bool:
        """True where no token is asked for."""
        return self._token is None

    def allows(self, header: str | None) -> bool:
        """Whether an `Authorization` header carries the token."""
        if self._token is None:
            return True
        kind, _, given = (header or "").partition(" ")
        matches = hmac.compare_digest(given.strip().encode(), self._token)
        return matches and kind.lower() == "bearer"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def authoriser(host: str, token_env: str, environment: Mapping[str, str] = os.environ) -> Authoriser:
    """The rule for a server on `host`: the token in `token_env` where it is set, none on loopback otherwise.

    Raises:
        ServingError: `host` can be reached from outside and there is no token, or it is too short to be one.
    """
    token = environment.get(token_env, "").strip()
    if not token and not is_loopback(host):
        raise ServingError(
            f"serving on {host}, which other machines can reach, needs a token: set {token_env} to a long random "
            f"text (python -c 'import secrets; print(secrets.token_urlsafe(32))'), or serve on 127.0.0.1"
        )
    if token and len(token) < _LEAST_LENGTH:
        raise ServingError(f"{token_env} holds {len(token)} characters, expected at least {_LEAST_LENGTH}")
    return Authoriser(token or None)
