"""How connections to the broker are counted, and what a histogram makes of observations."""

from __future__ import annotations

from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import ReportRules
from aiot_mqtt.mqtt.options import ConnectOptions
from aiot_mqtt.mqtt.subscriber import Subscriber
from aiot_mqtt.mqtt.tally import FAILED_FOR
from aiot_mqtt.telemetry.histogram import Histogram
from aiot_mqtt.tls.refusal import TlsRefused
from tests.doubles import RecordingReceiver
from tests.unit.test_subscriber import CONNACK5, Broker

TAKEN_OVER = b"\xe0\x01\x8e"
NOT_AUTHORIZED = b"\x20\x03\x00\x87\x00"


class ConnectionTallyTests(SynchronousTestCase):
    def test_each_end_and_each_failure_is_counted_by_its_reason_once(self) -> None:
        broker, clock = Broker(), Clock()
        broker.outcomes = [DNSLookupError("x"), ConnectError(), TlsRefused("x")]
        subscriber = Subscriber(
            broker,  # type: ignore[arg-type]
            ConnectOptions("service"),
            ReportRules().topic_filters,
            clock,
            host="broker.example",
            port=1883,
            protocol="5",
            jitter=lambda: 0.0,
        )
        subscriber.deliver_to(RecordingReceiver())
        subscriber.startService()
        for _ in range(3):
            clock.advance(30)
        broker.say(NOT_AUTHORIZED)
        clock.advance(30)
        broker.close()
        clock.advance(30)
        for end in (lambda: broker.say(TAKEN_OVER), broker.close):
            broker.say(CONNACK5)
            end()
            clock.advance(30)
        self.assertEqual(
            subscriber.tally.failures, dict.fromkeys(FAILED_FOR, 1), "each once: resolve, connect, tls, and so on"
        )
        self.assertEqual(subscriber.tally.accepted, {"5": 2})
        subscriber.stopService()
        self.flushLoggedErrors()


class HistogramTests(SynchronousTestCase):
    def test_each_bound_counts_what_does_not_exceed_it(self) -> None:
        histogram = Histogram((1, 2.5))
        for value in (0.5, 1, 1.5, 2.5, 9):
            histogram.observe(value)
        self.assertEqual(histogram.cumulative(), [("1", 2.0), ("2.5", 4.0), ("+Inf", 5.0)])
        self.assertEqual(histogram.sum, 14.5)
