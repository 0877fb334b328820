"""Settings from the environment and a ``.env``: validated together, every mistake reported at once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ..telemetry.bilingual import Bilingual
from ..telemetry.network import os_reason
from ..telemetry.reasons import settings as reasons
from . import instance, own_files, parsers
from .bounded import is_missing
from .earlier_service import ignored_names
from .env_file import read_env_file
from .names import unknown_names
from .secret import Secret, read_secret

DEFAULT_ENV_FILE = ".env"


class ConfigError(Exception):
    """The settings cannot be used; ``mistakes`` holds one sentence each."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = list(mistakes)
        super().__init__("\n".join(self.mistakes))


def _setting(parse: Callable[[str], Any], default: str, *, may_be_empty: bool = False) -> Any:
    """A setting and its default, as a text that goes through the same parser.

    :param may_be_empty: whether an empty text is a value of its own; otherwise it stands for the default.
    """
    metadata = {"parse": parse, "default": default, "may_be_empty": may_be_empty}
    return field(default_factory=lambda: parse(default), metadata=metadata)


def _secret() -> Any:
    return _setting(Secret, "", may_be_empty=True)


_port = parsers.number(1, 65535)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting. Its name in upper case is its name in the environment; ``docs/settings.md`` tells its use."""

    mqtt_broker: str = _setting(parsers.host, "localhost")
    mqtt_port: int = _setting(_port, "1883")
    mqtt_username: str = _setting(parsers.mqtt_text, "", may_be_empty=True)
    mqtt_password: Secret = _secret()
    mqtt_client_id: str = _setting(parsers.client_id, "aiot-mqtt-service")
    mqtt_protocol: str = _setting(parsers.one_of("auto", "5", "3.1.1"), "auto")
    mqtt_keepalive: int = _setting(parsers.number(5, 65535), "60")
    mqtt_tls: bool = _setting(parsers.boolean, "false")
    mqtt_ca_file: str = _setting(parsers.readable_file, "", may_be_empty=True)
    mqtt_cert_file: str = _setting(parsers.readable_file, "", may_be_empty=True)
    mqtt_key_file: str = _setting(parsers.readable_file, "", may_be_empty=True)
    mqtt_tls_fingerprint: str = _setting(parsers.fingerprint, "", may_be_empty=True)
    mqtt_topic_prefix: str = _setting(parsers.topic_prefixes, "devices")
    """One or several: ``report.split_prefixes``."""
    mqtt_receive_maximum: int = _setting(parsers.number(1, 65535), "65535")
    mqtt_session_expiry: int = _setting(parsers.number(1, 4294967295), "604800")
    mqtt_max_payload: int = _setting(parsers.number(1, 16 * 1024 * 1024), "65536")

    db_host: str = _setting(parsers.hosts, "localhost")
    """One or several, which are tried in turn: ``parsers.split_hosts``."""
    db_port: int = _setting(_port, "3306")
    db_name: str = _setting(parsers.identifier, "aiot_admin")
    db_user: str = _setting(parsers.any_text, "root")
    db_password: Secret = _secret()
    db_table: str = _setting(parsers.identifier, "device_main")
    db_timezone: ZoneInfo = _setting(parsers.zone, "Asia/Shanghai")
    db_tls: bool = _setting(parsers.boolean, "false")
    db_ca_file: str = _setting(parsers.readable_file, "", may_be_empty=True)
    db_cert_file: str = _setting(parsers.readable_file, "", may_be_empty=True)
    db_key_file: str = _setting(parsers.readable_file, "", may_be_empty=True)
    db_tls_fingerprint: str = _setting(parsers.fingerprint, "", may_be_empty=True)
    db_public_key_file: str = _setting(parsers.readable_file, "", may_be_empty=True)
    db_pool_size: int = _setting(parsers.number(1, 100), "5")
    db_max_overflow: int = _setting(parsers.number(0, 100), "10")
    db_pool_recycle: int = _setting(parsers.number(1, 86400), "3600")

    device_status_values: frozenset[str] = _setting(parsers.words, "", may_be_empty=True)
    last_seen_resolution: int = _setting(parsers.number(0, 86400), "0")

    ha_mode: str = _setting(parsers.one_of("off", "standby"), "off")
    ha_name: str = _setting(instance.instance_name, "", may_be_empty=True)
    """Empty: the host's."""
    ha_topic: str = _setting(instance.status_topic, "", may_be_empty=True)
    """Empty: one that the client identifier is in."""

    spool_file: str = _setting(own_files.new_file, "mqtt_service.spool", may_be_empty=True)

    heartbeat_timeout: int = _setting(parsers.number(0, 31536000), "300")
    heartbeat_check_interval: int = _setting(parsers.number(1, 86400), "30")

    http_listen: tuple[str, int] | None = _setting(
        parsers.tcp_endpoint, "tcp:9464:interface=127.0.0.1", may_be_empty=True
    )
    """Interface and port; an empty interface is every one."""
    http_token: Secret = _secret()
    alert_command: tuple[str, ...] = _setting(parsers.command, "", may_be_empty=True)

    stats_interval: int = _setting(parsers.number(0, 86400), "300")
    shutdown_timeout: int = _setting(parsers.number(1, 3600), "10")
    log_level: str = _setting(parsers.log_level, "INFO")
    log_format: str = _setting(parsers.one_of("text", "json"), "text")
    log_language: str = _setting(parsers.one_of("zh", "en"), "zh")
    log_file: str = _setting(parsers.any_text, "", may_be_empty=True)
    log_rotate: str = _setting(parsers.one_of("size", "external"), "size")


def setting_defaults() -> dict[str, str]:
    """Every name that the environment may set, with its default as text; ``…_FILE`` names have none."""
    names = {}
    for item in fields(Settings):
        name = item.name.upper()
        names[name] = str(item.metadata["default"])
        if _is_secret(item):
            names[f"{name}_FILE"] = ""
    return names


@dataclass(frozen=True, slots=True)
class Texts:
    """What the user has set, not yet judged."""

    by_name: dict[str, str]
    """Of the environment, which wins, and of the file."""
    file: Path | None
    lines: dict[str, int]
    """On which line of the file each stands that is not in the environment."""
    state_folder: str
    """Where systemd lets the service keep files; empty where it does not say."""
    mistakes: list[str]

    def origin(self, name: str) -> str:
        """The name with the place where it stands, for a message."""
        return f"{self.file}:{self.lines[name]}: {name}" if name in self.lines else name


def read_texts(environ: Mapping[str, str], env_file: str | None = None) -> Texts:
    """Read the environment and the file, once: it may be a pipe.

    :param env_file: the file named by the user; None: ``.env`` in the working directory, where there is one.
    :raises ConfigError: the file cannot be read.
    """
    path = Path(env_file or DEFAULT_ENV_FILE)
    in_file: dict[str, str] = {}
    lines: dict[str, int] = {}
    mistakes: list[str] = []
    known = setting_defaults()
    is_there = env_file is not None or not is_missing(path)
    if is_there:
        try:
            in_file, lines, mistakes = read_env_file(path)
        except OSError as error:
            what = reasons.CANNOT_BE_READ.fill(reason=os_reason(error))
            raise ConfigError([reasons.MISTAKE_AT.fill(where=path, what=what)]) from None
        mistakes += unknown_names(lines, path, known)
        mistakes = sorted(mistakes, key=lambda mistake: int(mistake.removeprefix(f"{path}:").split(":")[0]))
    texts = {**in_file, **{name: environ[name] for name in known if name in environ}}
    mistakes += ignored_names(environ, known, {*texts, *lines})
    # StateDirectory= in systemd.exec(5); the first, should there be more.
    state_folder = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    lines = {name: line for name, line in lines.items() if name in in_file and name not in environ}
    return Texts(texts, path if is_there else None, lines, state_folder, mistakes)


def load_settings(environ: Mapping[str, str], env_file: str | None = None) -> Settings:
    """Read and validate every setting: ``read_texts`` and ``judge``.

    :raises ConfigError: with every mistake found.
    """
    return judge(read_texts(environ, env_file))


def judge(texts: Texts) -> Settings:
    """Validate every setting.

    What is wrong is told by name, place and reason, and never shown: a password may have slipped in anywhere.

    :raises ConfigError: with every mistake found.
    """
    mistakes = [*texts.mistakes]
    broken = [
        name for name, text in texts.by_name.items() if any("\ud800" <= character <= "\udfff" for character in text)
    ]
    mistakes += [_mistake(name, reasons.NOT_UTF8) for name in broken]
    values: dict[str, Any] = {}
    invalid = {name.lower() for name in broken}
    for item in fields(Settings):
        name = item.name.upper()
        if name in broken:
            continue
        text = texts.by_name.get(name)
        if _is_secret(item):
            text = _secret_text(name, texts, mistakes)
        elif text is None or (not text.strip() and not item.metadata["may_be_empty"]):
            text = item.metadata["default"]
        if item.name == "spool_file":
            text = os.path.join(texts.state_folder, text) if text.strip() else ""
        try:
            values[item.name] = item.metadata["parse"](text)
        except ValueError as error:
            mistakes.append(_mistake(texts.origin(name), error))
            invalid.add(item.name)
    mistakes += _conflicts(values, invalid)
    shared = own_files.shared_files(values, texts.by_name, texts.file)
    mistakes += [_mistake(names, reasons.SAME_FILE) for names in shared]
    if mistakes:
        raise ConfigError(mistakes)
    return Settings(**values)


def _is_secret(item: Any) -> bool:
    return item.metadata["parse"] is Secret


def _secret_text(name: str, texts: Texts, mistakes: list[str]) -> str:
    """A password, or the content of the file that holds it, without the line break editors put at its end."""
    path = texts.by_name.get(f"{name}_FILE", "")
    if not path:
        return texts.by_name.get(name, "")
    origin = texts.origin(f"{name}_FILE")
    if texts.by_name.get(name):
        mistakes.append(_mistake(origin, reasons.SET_TWICE.fill(name=name)))
    try:
        return read_secret(Path(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else reasons.NOT_UTF8
        mistakes.append(_mistake(origin, reasons.FILE_UNREADABLE.fill(reason=reason)))
        return ""


def _mistake(where: str, what: object) -> Bilingual:
    return reasons.MISTAKE_AT.fill(where=where, what=what)


def _conflicts(values: Mapping[str, Any], invalid: set[str]) -> list[str]:
    """Settings that make no sense together; nothing is said of those that are wrong by themselves."""
    mistakes: list[str] = []
    for prefix in ("mqtt", "db"):
        pair = (f"{prefix}_cert_file", f"{prefix}_key_file")
        if not invalid.intersection(pair) and len({bool(values.get(name)) for name in pair}) > 1:
            mistakes.append(_mistake(", ".join(pair).upper(), reasons.PAIR))
        if values.get(f"{prefix}_ca_file") and values.get(f"{prefix}_tls_fingerprint"):
            names = f"{prefix}_ca_file, {prefix}_tls_fingerprint".upper()
            mistakes.append(_mistake(names, reasons.FINGERPRINT_AND_CA))
        names_for_tls = f"{prefix}_((ca|cert|key)_file|tls_fingerprint)"
        files = [name for name in values if re.fullmatch(names_for_tls, name) and values[name]]
        if files and not values.get(f"{prefix}_tls") and f"{prefix}_tls" not in invalid:
            names = ", ".join(name.upper() for name in files)
            mistakes.append(_mistake(names, reasons.NOT_ENCRYPTED.fill(name=f"{prefix.upper()}_TLS")))
    if values.get("mqtt_password") and not values.get("mqtt_username") and "mqtt_username" not in invalid:
        mistakes.append(_mistake("MQTT_PASSWORD", reasons.PASSWORD_ALONE))
    token = values.get("http_token", Secret()).reveal()
    if token and not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", token):  # RFC 6750, 2.1
        mistakes.append(_mistake("HTTP_TOKEN", reasons.TOKEN))
    resolution, timeout = values.get("last_seen_resolution", 0), values.get("heartbeat_timeout")
    if timeout and resolution >= timeout:
        what = reasons.RESOLUTION.fill(timeout=timeout, resolution=resolution)
        mistakes.append(_mistake("LAST_SEEN_RESOLUTION", what))
    return mistakes
