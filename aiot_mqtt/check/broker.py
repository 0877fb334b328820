"""The broker: reached, logged in at and subscribed to as the service does, under a client id that nobody else has."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as NotInTime  # not the builtin one
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.error import ConnectionRefusedError as NobodyListens
from twisted.internet.error import TimeoutError as NotConnectedInTime
from twisted.internet.task import deferLater

from ..devices.report import split_prefixes
from ..mqtt.connack import Connack
from ..mqtt.connection import MqttConnection
from ..mqtt.dial import answered_in_time, dial
from ..mqtt.errors import ConnectionRefused, MqttError
from ..mqtt.grants import shortfalls
from ..mqtt.options import ConnectOptions, connect_options
from ..mqtt.reason_codes import FAILURE, suback_reason
from ..mqtt.receiver import Receiver
from ..mqtt.sys_topics import SysTopics
from ..mqtt.tls_endpoint import broker_endpoint, sends_password_in_clear
from ..mqtt.window import WINDOW_OF_311
from ..settings.instance import topic_or_usual
from ..settings.settings import Settings
from ..telemetry import log_lines
from ..telemetry.bilingual import Bilingual
from ..telemetry.printable import printable
from ..tls.refusal import TlsRefused
from .certificates import probe_certificates
from .findings import Findings
from .listening import Heard
from .standby import probe_status_topic
from .texts import broker as texts
from .words import both, causes, has_advice, with_advice

TIMEOUT = 5.0  # s for each of: name look-up with TCP and TLS, CONNACK, SUBACK
LEAVING = 1.0  # s
SYS_PATIENCE = 3.0  # s for what the broker says of itself, which it retains
OLDEST_MOSQUITTO = (2, 0, 15)
_MOSQUITTO = re.compile(r"mosquitto version (\d+)\.(\d+)\.(\d+)")
_SILENT = Bilingual(f"no answer within {TIMEOUT:.0f} s", f"{TIMEOUT:.0f} 秒内无应答")


class BrokerProbe:
    """Looks at one broker."""

    def __init__(self, settings: Settings, topics: Sequence[str], findings: Findings, reactor: Any) -> None:
        """:param topics: the filters that the service subscribes to."""
        self._settings = settings
        self._topics = topics
        self._findings = findings
        self._reactor = reactor
        self._where = {"host": settings.mqtt_broker, "port": settings.mqtt_port}

    async def run(self, heard: Heard, listen: float, until: float) -> None:
        """Everything, in order; ends at the first thing without which there is no more.

        :param heard: what comes is noted there.
        :param listen: seconds.
        :param until: the reactor's time at which listening ends all the same.
        """
        try:
            connection, connack, options = await self._log_in(heard)
        except MqttError:
            return
        try:
            self._judge_login(connection, connack, options)
            talking = Deferred.fromCoroutine(self._ask_sys(options))
            if self._settings.ha_mode != "off":
                own, found = self._options(mqtt5=options.mqtt5), self._findings
                topic = topic_or_usual(self._settings.ha_topic, self._settings.mqtt_client_id)
                await probe_status_topic(topic, own, self._connect, self._leave, found=found, reactor=self._reactor)
            if await self._subscribe(connection):
                heard.is_subscribed = True
                await self._listen(connection, heard, min(listen, max(0.1, until - self._reactor.seconds())))
            await talking
        finally:
            await self._leave(connection)

    async def _log_in(self, receiver: Receiver) -> tuple[MqttConnection, Connack, ConnectOptions]:
        """:raises MqttError: it is not to be, which is told."""
        versions = {"auto": (True, False), "5": (True,), "3.1.1": (False,)}[self._settings.mqtt_protocol]
        for mqtt5 in versions:
            options = self._options(mqtt5=mqtt5)
            connection = MqttConnection(options, receiver, self._reactor)
            try:
                connack = await self._connect(connection)
            except MqttError as error:
                is_about_protocol = isinstance(error, ConnectionRefused) and error.is_about_protocol
                is_closed = self._is_reached(error) and not isinstance(error, ConnectionRefused)
                if mqtt5 is not versions[-1] and (is_about_protocol or (is_closed and str(error) != str(_SILENT))):
                    continue
                self._tell_failure(error)
                raise
            return connection, connack, options
        raise AssertionError("one version is always tried")

    def _options(self, *, mqtt5: bool) -> ConnectOptions:
        """As the service has it, but for the name, and without a session that is kept."""
        client_id = f"aiot-check-{secrets.token_hex(4)}"
        return replace(connect_options(self._settings, is_trial=True), client_id=client_id, mqtt5=mqtt5)

    async def _connect(self, connection: MqttConnection) -> Connack:
        """:raises MqttError: it does not come to a CONNACK that accepts."""
        await dial(broker_endpoint(self._settings, self._reactor), connection, self._reactor, TIMEOUT)
        return await answered_in_time(connection, connection.accepted, self._reactor, TIMEOUT, _SILENT)

    async def _leave(self, connection: MqttConnection) -> None:
        """DISCONNECT, in order, so that the broker has nothing to complain of."""
        with contextlib.suppress(NotInTime, MqttError):
            await connection.disconnect().addTimeout(LEAVING, self._reactor)

    def _is_reached(self, error: MqttError) -> bool:
        unreached = (ConnectError, DNSLookupError, NotInTime, TlsRefused, OSError)
        return not any(isinstance(cause, unreached) for cause in causes(error))

    def _tell_failure(self, error: MqttError) -> None:
        """Tell why there is no login, where the cause is."""
        found, chain = self._findings, list(causes(error))

        def is_caused(*kinds: type[BaseException]) -> bool:
            return any(isinstance(cause, kinds) for cause in chain)

        refused: Exception | None = next((cause for cause in chain if isinstance(cause, TlsRefused)), None)
        if refused is None and self._settings.mqtt_tls and has_advice(str(error)):
            refused = error  # of TLS 1.3, whose refusal comes behind the handshake
        if is_caused(DNSLookupError):
            found.error("broker.reach", texts.NO_HOST, **self._where)
        elif is_caused(NobodyListens):
            found.error("broker.reach", texts.REFUSED, **self._where)
        elif is_caused(NotInTime, NotConnectedInTime):
            found.error("broker.reach", texts.NO_ANSWER, seconds=TIMEOUT, **self._where)
        elif refused is not None:
            found.ok("broker.reach", texts.REACHED, **self._where)
            reason, advice = with_advice(str(refused))
            found.error("broker.tls", texts.TLS_REFUSED, reason=reason, advice=advice)
        elif isinstance(error, ConnectionRefused):
            self._tell_reached()
            self._tell_refusal(error)
        elif self._is_reached(error):
            found.error("broker.reach", texts.NOT_MQTT, reason=both(str(error)), **self._where)
        else:
            found.error("broker.reach", texts.UNREACHABLE, reason=both(str(error)), **self._where)

    def _tell_reached(self) -> None:
        found = self._findings
        found.ok("broker.reach", texts.REACHED, **self._where)
        if sends_password_in_clear(self._settings):
            found.warning("broker.tls", texts.IN_CLEAR, **self._where)
        else:
            found.ok("broker.tls", texts.TLS if self._settings.mqtt_tls else texts.NO_TLS)

    def _tell_refusal(self, error: ConnectionRefused) -> None:
        text = {4: texts.BAD_PASSWORD, 5: texts.NOT_AUTHORISED}.get(error.v311_code or 0, texts.LOGIN_REFUSED)
        self._findings.error("broker.login", text, code=error.v311_code or error.code, reason=both(str(error)))

    def _judge_login(self, connection: MqttConnection, connack: Connack, options: ConnectOptions) -> None:
        found, settings = self._findings, self._settings
        self._tell_reached()
        if settings.mqtt_tls:
            names = (texts.BROKERS, texts.OURS)
            shown = _certificate_of(connection.transport)
            pin, own = settings.mqtt_tls_fingerprint, settings.mqtt_cert_file
            probe_certificates("broker.certificate", shown, names, found, pin=pin, own_file=own)
        protocol = "5" if options.mqtt5 else "3.1.1"
        window = options.receive_maximum if options.mqtt5 else WINDOW_OF_311
        found.ok("broker.login", texts.LOGIN, protocol=protocol, window=window, **self._where)
        # That no session is kept was asked for.
        asked = replace(options, session_expiry=0)
        for line, fields in shortfalls(connack, asked, self._topics[0]):
            words = Bilingual(log_lines.ENGLISH[line].format(**fields), line.format(**fields))
            found.warning("broker.grants", texts.GRANTS_LESS, words=_without_icon(words))
        if not found.has("broker.grants"):
            found.ok("broker.grants", texts.GRANTS)
        found.unknown("broker.limits", texts.LIMITS)

    async def _subscribe(self, connection: MqttConnection) -> bool:
        """Whether every topic is granted."""
        found = self._findings
        try:
            codes = await self._answered(connection, self._topics)
        except MqttError as error:
            found.error("broker.subscribe", texts.NOT_ANSWERED, reason=both(str(error)))
            return False
        missing = [FAILURE] * (len(self._topics) - len(codes))
        for topic, code in zip(self._topics, codes + missing, strict=False):
            if code >= FAILURE:
                found.error("broker.subscribe", texts.DENIED, topic=topic, reason=both(suback_reason(code)))
            elif code == 0:
                found.warning("broker.subscribe", texts.ONLY_QOS_0, topic=topic)
        if not found.has("broker.subscribe"):
            found.ok("broker.subscribe", texts.SUBSCRIBED)
        return not found.failed("broker.subscribe")

    async def _answered(self, connection: MqttConnection, topics: Sequence[str]) -> list[int]:
        giving_up = self._reactor.callLater(TIMEOUT, connection.abort, _SILENT)
        try:
            return await connection.subscribe(topics)
        finally:
            if giving_up.active():
                giving_up.cancel()

    async def _listen(self, connection: MqttConnection, heard: Heard, seconds: float) -> None:
        found, began = self._findings, self._reactor.seconds()
        if not seconds:
            found.unknown("broker.delivery", texts.NOT_LISTENED)
            return
        end: Deferred[None] = deferLater(self._reactor, seconds)
        lost: list[str] = []

        def ended(reason: str) -> str:
            if not end.called:
                lost.append(reason)
                end.cancel()
            return reason

        connection.closed.addCallback(ended)
        end.addErrback(lambda _cancelled: None)
        await end
        heard.seconds = self._reactor.seconds() - began
        if lost:
            found.error("broker.delivery", texts.CONNECTION_LOST, reason=both(lost[0]))
        elif heard.messages:
            found.ok("broker.delivery", texts.CAME, count=heard.messages, seconds=seconds)
        else:
            prefixes = split_prefixes(self._settings.mqtt_topic_prefix)
            filters = " ".join(f"-t '{prefix}/#'" for prefix in prefixes)
            found.warning("broker.delivery", texts.NOTHING_CAME, seconds=seconds, prefix=prefixes[0], filters=filters)

    async def _ask_sys(self, options: ConnectOptions) -> None:
        """What the broker says of itself, on a connection of its own: some close one that asks for ``$SYS``."""
        complete: Deferred[None] = Deferred()
        heard = SysTopics(lambda: None if complete.called else complete.callback(None))
        own = self._options(mqtt5=options.mqtt5)
        connection = MqttConnection(own, heard, self._reactor)
        try:
            await self._connect(connection)
            codes = await self._answered(connection, SysTopics.ALL)
            if any(code < FAILURE for code in codes):
                await complete.addTimeout(SYS_PATIENCE, self._reactor)
        except (MqttError, NotInTime):
            pass  # then it does not say all, or nothing
        finally:
            await self._leave(connection)
        self._judge_sys(heard, "5" if options.mqtt5 else "3.1.1")

    def _judge_sys(self, heard: SysTopics, protocol: str) -> None:
        found, version = self._findings, printable(heard.text(SysTopics.VERSION), 60)
        mosquitto = _MOSQUITTO.match(version)
        if protocol != "5":
            found.warning("broker.protocol", texts.PROTOCOL_311, protocol=protocol, advice=self._advice_311())
        elif mosquitto and tuple(map(int, mosquitto.groups())) < OLDEST_MOSQUITTO:
            found.warning("broker.protocol", texts.OLD_MOSQUITTO, version=version)
        elif version:
            found.ok("broker.protocol", texts.PROTOCOL, protocol=protocol, version=version)
        else:
            found.ok("broker.protocol", texts.VERSION_UNKNOWN, protocol=protocol)
        dropped, a_minute = heard.number(SysTopics.DROPPED), heard.number(SysTopics.DROPPED_A_MINUTE)
        if dropped is None:
            found.unknown("broker.loss", texts.LOSS_UNSAID if version else texts.LOSS_UNKNOWN)
        elif a_minute is not None and a_minute >= 1:
            found.error("broker.loss", texts.DROPPING, per_minute=a_minute, count=round(dropped))
        elif dropped:
            found.warning("broker.loss", texts.HAS_DROPPED, count=round(dropped))
        else:
            found.ok("broker.loss", texts.NONE_DROPPED)

    def _advice_311(self) -> Bilingual:
        if self._settings.mqtt_protocol == "3.1.1":
            return Bilingual("MQTT_PROTOCOL=auto", "MQTT_PROTOCOL=auto")
        return Bilingual(
            "a broker with MQTT 5, or a larger max_inflight_messages there",
            "换用支持 MQTT 5 的 Broker，或在其中调大 max_inflight_messages",
        )


def _certificate_of(transport: Any) -> x509.Certificate | None:
    """What the peer has shown on a connection of Twisted's TLS."""
    shown = transport.getPeerCertificate()
    certificate: x509.Certificate | None = None if shown is None else shown.to_cryptography()
    return certificate


def _without_icon(words: Bilingual) -> Bilingual:
    return Bilingual(words.removeprefix("⚠️ "), words.chinese.removeprefix("⚠️ "))
