"""What is asked of a broker."""

from __future__ import annotations

from dataclasses import dataclass

from ..settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes for us, retained, when our connection breaks (section 3.1.2.5)."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """What CONNECT says (section 3.1), and the longest payload that is taken."""

    client_id: str
    mqtt5: bool = True
    username: str = ""
    password: str = ""
    keepalive: int = 60
    """Seconds (section 3.1.2.10)."""
    session_expiry: int = 604800
    """Seconds the broker keeps the session after we are gone; MQTT 5 only. 0: no session is kept, nor one taken up."""
    receive_maximum: int = 65535
    """PUBLISH packets the broker may have unacknowledged at one time; MQTT 5 only."""
    max_payload: int = 65536
    """Bytes; a longer one is skipped as it arrives."""
    will: Will | None = None
    wants_retained: bool = False
    """Whether a subscription gets what is retained; MQTT 5 only, in which it need not."""

    def __repr__(self) -> str:
        return f"ConnectOptions(client_id={self.client_id!r}, mqtt5={self.mqtt5})"


def connect_options(settings: Settings, *, is_trial: bool) -> ConnectOptions:
    """What the settings say. :param is_trial: no session is kept."""
    return ConnectOptions(
        client_id=settings.mqtt_client_id,
        username=settings.mqtt_username,
        password=settings.mqtt_password.reveal(),
        keepalive=settings.mqtt_keepalive,
        session_expiry=0 if is_trial else settings.mqtt_session_expiry,
        receive_maximum=settings.mqtt_receive_maximum,
        max_payload=settings.mqtt_max_payload,
    )
