"""What is known of the service that this one replaces: how it called its settings, and how it wanted passwords."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote_plus

from ..telemetry.reasons import settings as reasons

# Its versions from December 2025 on.
NAMES = {"MQTT_BROKER_HOST": "MQTT_BROKER", "MQTT_BROKER_PORT": "MQTT_PORT"}


def own_name(name: str, known: Collection[str]) -> str | None:
    """What a setting is called here that a version of the earlier service called so; None for any other name."""
    candidates = [NAMES.get(name)]
    if name.startswith("MQTT_SERVICE_"):
        rest = name.removeprefix("MQTT_SERVICE_")
        candidates += [NAMES.get(f"MQTT_{rest}"), f"MQTT_{rest}", rest]
    return next((own for own in candidates if own in known), None)


def ignored_names(environ: Mapping[str, str], known: Collection[str], is_set: Collection[str]) -> Iterator[str]:
    """A mistake for each such name in the environment whose own one is not set, so that a default would be taken.

    The environment may be shared with other programs, which the names are good for.
    """
    for name, text in environ.items():
        own = own_name(name, known)
        if own and own not in is_set and name not in is_set and text.strip() and not _is_from_kubernetes(name, environ):
            yield reasons.NO_SETTING.fill(name=name, advice=reasons.MEANT.fill(name=own))


def _is_from_kubernetes(name: str, environ: Mapping[str, str]) -> bool:
    """Whether it is one of the names that each container gets for a Service called mqtt or mqtt-service."""
    return name == "MQTT_SERVICE_PORT" and ("MQTT_SERVICE_HOST" in environ or "://" in environ[name])


def looks_url_encoded(password: str) -> bool:
    """Whether a password is just what encoding one for a URL gives: the earlier service made a URL of it."""
    plain = unquote_plus(password)
    encoded = (quote(plain, safe="").upper(), quote_plus(plain).upper())
    return "%" in password and plain != password and password.upper() in encoded
