"""Every setting, every validation, and all mistakes at once."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import FrozenInstanceError, fields
from itertools import product
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import assume, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.settings.earlier_service import looks_url_encoded
from aiot_mqtt.settings.env_file import read_env_file
from aiot_mqtt.settings.exposure import exposed_files
from aiot_mqtt.settings.own_files import LONGEST_SUFFIX
from aiot_mqtt.settings.secret import Secret
from aiot_mqtt.settings.settings import (
    ConfigError,
    Settings,
    judge,
    load_settings,
    read_texts,
    setting_defaults,
)
from aiot_mqtt.spool.disk import Disk
from aiot_mqtt.spool.names import files_of, set_aside
from rig.selection import some

ENV_EXAMPLE = Path(__file__).parents[2] / "env.example"
FILE_NAMES = ("MQTT_CA_FILE", "MQTT_CERT_FILE", "MQTT_KEY_FILE", "DB_CA_FILE", "DB_CERT_FILE", "DB_KEY_FILE")
FINGERPRINT = ":".join(f"{byte:02X}" for byte in range(32))

# Names, texts that are accepted and what they mean, texts that are not, and what is said about those.
VALUES: list[tuple[tuple[str, ...], dict[str, object], list[str], str]] = [
    (
        ("MQTT_BROKER", "DB_HOST"),
        {
            "localhost": "localhost",
            "mqtt.example.com": "mqtt.example.com",
            "10.0.0.1": "10.0.0.1",
            "a_b-c": "a_b-c",
            "mqtt_broker": "mqtt_broker",
            "stack_mqtt.1": "stack_mqtt.1",
            "localhost.": "localhost.",
            "x" * 63 + ".example": "x" * 63 + ".example",
            "::1": "::1",
            "[2001:db8::1]": "2001:db8::1",
            "fe80::1%eth0": "fe80::1%eth0",
        },
        ["a b", "a/b", "主机"],
        "must be a host name or address alone (the port has a setting of its own)",
    ),
    (
        ("MQTT_BROKER",),
        {},
        ["host:1883", "host:"],
        "must be a host name or address alone (the port has a setting of its own)",
    ),
    (
        ("DB_HOST",),
        {
            "db:3307": "db:3307",
            "a, b:3307 ,[::1]:3308": "a,b:3307,[::1]:3308",
            "::1,[2001:db8::1]": "[::1],[2001:db8::1]",
            "[::1]:3306": "[::1]:3306",
        },
        ["host:", "host:0", "host:65536", "host:x", "[::1]:", "10.0.0.1:-1"],
        "the port must be a whole number from 1 to 65535, and an IPv6 address before it stands in brackets",
    ),
    (
        ("DB_HOST",),
        {},
        ["a,b/c,,a:x,a"],
        "address 2: must be a host name or address alone (the port has a setting of its own); address 3: is empty;"
        " address 4: the port must be a whole number from 1 to 65535, and an IPv6 address before it stands in brackets;"
        " address 5: stands there already",
    ),
    (("DB_HOST",), {}, ["a,"], "address 2: is empty"),
    (
        ("MQTT_BROKER", "DB_HOST"),
        {},
        ["a..b", ".a", ".", "a..", "x" * 64, "x" * 64 + ".example", "x." * 127 + "xx"],
        "cannot be a host name: that has at most 253 characters, and 1 to 63 between two dots",
    ),
    (
        ("MQTT_BROKER", "DB_HOST"),
        {},
        ["256.1.1.1", "10.0.0.0.1", "4294967296"],
        "must be an IPv4 address or a host name, which is not all numbers",
    ),
    (
        ("MQTT_BROKER", "DB_HOST"),
        {},
        ["mqtt://localhost", "tcp://10.0.0.1:1883"],
        "must be a host name or address alone, without a scheme such as mqtt://",
    ),
    (
        ("MQTT_PORT", "DB_PORT"),
        {"1": 1, "1883": 1883, "65535": 65535, "00080": 80},
        ["0", "65536", "-1", "x", "1.0", "1e3", " 1883", "1883 ", "0x10", "１８８３", "1_000"],
        "must be a whole number from 1 to 65535",
    ),
    (("MQTT_KEEPALIVE",), {"5": 5, "65535": 65535}, ["0", "4", "65536"], "must be a whole number from 5 to 65535"),
    (
        ("MQTT_RECEIVE_MAXIMUM",),
        {"1": 1, "65535": 65535},
        ["0", "65536"],
        "must be a whole number from 1 to 65535",
    ),
    (
        ("MQTT_SESSION_EXPIRY",),
        {"1": 1, "4294967295": 4294967295},
        ["0", "4294967296"],
        "must be a whole number from 1 to 4294967295",
    ),
    (
        ("MQTT_MAX_PAYLOAD",),
        {"1": 1, "16777216": 16777216},
        ["0", "16777217"],
        "must be a whole number from 1 to 16777216",
    ),
    (("DB_POOL_SIZE",), {"1": 1, "100": 100}, ["0", "101"], "must be a whole number from 1 to 100"),
    (("DB_MAX_OVERFLOW",), {"0": 0, "100": 100}, ["-1", "101"], "must be a whole number from 0 to 100"),
    (("DB_POOL_RECYCLE",), {"1": 1, "86400": 86400}, ["0", "86401"], "must be a whole number from 1 to 86400"),
    (("LAST_SEEN_RESOLUTION",), {"0": 0, "60": 60}, ["-1", "86401", "1.5"], "must be a whole number from 0 to 86400"),
    (("STATS_INTERVAL",), {"0": 0, "86400": 86400}, ["-1", "86401"], "must be a whole number from 0 to 86400"),
    (("SHUTDOWN_TIMEOUT",), {"1": 1, "3600": 3600}, ["0", "3601"], "must be a whole number from 1 to 3600"),
    (
        ("MQTT_TLS", "DB_TLS"),
        {
            **dict.fromkeys(["true", "TRUE", "1", "yes", "On"], True),
            **dict.fromkeys(["false", "False", "0", "NO", "off"], False),
        },
        ["2", "ja", "t", "enabled"],
        "must be true or false",
    ),
    (
        ("MQTT_TLS_FINGERPRINT", "DB_TLS_FINGERPRINT"),
        dict.fromkeys(
            [
                FINGERPRINT,
                FINGERPRINT.lower(),
                FINGERPRINT.replace(":", ""),
                f"sha256 Fingerprint={FINGERPRINT}",
                f"SHA256 Fingerprint={FINGERPRINT}",
            ],
            FINGERPRINT,
        ),
        [FINGERPRINT[:-3], f"{FINGERPRINT}:00", "G" + FINGERPRINT[1:], "true"],
        "must be a SHA-256 fingerprint: 64 hexadecimal digits, with or without colons",
    ),
    (
        ("MQTT_PROTOCOL",),
        {"auto": "auto", "5": "5", "3.1.1": "3.1.1"},
        ["3", "3.1", "v5", "4"],
        "must be one of: auto, 5, 3.1.1",
    ),
    (("LOG_FORMAT",), {"text": "text", "json": "json"}, ["JSON", "xml"], "must be one of: text, json"),
    (("LOG_LANGUAGE",), {"zh": "zh", "en": "en"}, ["de", "zh_CN"], "must be one of: zh, en"),
    (
        ("LOG_LEVEL",),
        {"DEBUG": "DEBUG", "info": "INFO", "Warning": "WARNING", "warn": "WARNING", "ERROR": "ERROR"},
        ["TRACE", "0", "CRITICAL"],
        "must be DEBUG, INFO, WARNING or ERROR",
    ),
    (
        ("MQTT_TOPIC_PREFIX",),
        {"devices": "devices", "iot/v1/devices": "iot/v1/devices", "设备": "设备"},
        ["a/+", "#", "a/#/b", "a+", "$SYS", "$shared/a"],
        "must be topic levels without the wildcards + and #, not beginning with $",
    ),
    (
        ("MQTT_TOPIC_PREFIX",),
        {},
        ["$share/g/devices", "$share", "$queue/devices"],
        "must not be a shared subscription: a broker gives one device's messages to several members, so rows would"
        " move back, and what a dead member had is lost. Give each instance a prefix of its own",
    ),
    (
        ("MQTT_TOPIC_PREFIX",),
        {"a$b": "a$b", "a b": "a b", "x/y/z": "x/y/z"},
        ["/devices", "devices/", "a//b", "/", "//"],
        "must be topic levels with one / between two, and none at the beginning or the end",
    ),
    (
        ("MQTT_TOPIC_PREFIX",),
        {},
        ["a\0", "a\nb", "devices\r", "a\tb", "a\x85b", "a\u2028b", "\ufeffdevices", "de\u200bvices", "a\x7f", "\ufffe"],
        "must not hold line breaks or other characters that cannot be seen",
    ),
    (
        ("MQTT_TOPIC_PREFIX",),
        {"x" * 65488: "x" * 65488, "设" * 21829: "设" * 21829},
        ["x" * 65489, "设" * 21830, "🎉" * 20000],
        "must leave room for the rest of a topic, which has at most 65535 bytes of UTF-8",
    ),
    (
        ("MQTT_TOPIC_PREFIX",),
        {"a,b": "a,b", " a , b/c ": "a,b/c", "a,a/b,a/b/c": "a,a/b,a/b/c", "A,a": "A,a"},
        ["a,b,a", "a, b,a"],
        "prefix 3: stands there already",
    ),
    (("MQTT_TOPIC_PREFIX",), {}, ["a,,b", "a, ,b"], "prefix 2: is empty"),
    (
        ("MQTT_TOPIC_PREFIX",),
        {},
        ["a,b/+,/c", "a,#,c/"],
        "prefix 2: must be topic levels without the wildcards + and #, not beginning with $; prefix 3: must be topic"
        " levels with one / between two, and none at the beginning or the end",
    ),
    (
        ("MQTT_TOPIC_PREFIX",),
        {"x" * 40_000 + "," + "y" * 25_487: "x" * 40_000 + "," + "y" * 25_487},
        ["x" * 40_000 + "," + "y" * 25_488],
        "must have at most 65488 bytes of UTF-8 in all",
    ),
    (
        ("MQTT_CLIENT_ID",),
        {"aiot": "aiot", "x" * 65535: "x" * 65535, "a b": "a b"},
        ["a\nb", "x" * 65536],
        "must be 1 or more printable characters: without a fixed one the broker keeps no session",
    ),
    (
        ("DB_NAME", "DB_TABLE"),
        {"device_main": "device_main", "A$1": "A$1", "x" * 64: "x" * 64, "设备": "设备"},
        ["a b", "a`b", "a.b", "x" * 65, "a;"],
        "must be 1 to 64 letters, digits, $, _ or -",
    ),
    (
        ("DB_TIMEZONE",),
        {"Asia/Shanghai": ZoneInfo("Asia/Shanghai"), "UTC": ZoneInfo("UTC"), "Asia/Kolkata": ZoneInfo("Asia/Kolkata")},
        ["Asia/Peking", "+08:00", "../etc/passwd", "/etc/localtime", "x" * 500],
        "must be a time zone name such as Asia/Shanghai or UTC",
    ),
    (
        ("DB_TIMEZONE",),
        {},
        ["Europe/Berlin", "America/New_York", "Australia/Sydney", "Africa/Casablanca"],
        "has daylight saving: naive times in it repeat or skip an hour each year; use one without",
    ),
    (
        ("DEVICE_STATUS_VALUES",),
        {
            "": frozenset(),
            "active": frozenset({"active"}),
            " active, offline ,,": frozenset({"active", "offline"}),
        },
        [],
        "",
    ),
    (("MQTT_USERNAME", "DB_USER"), {"root": "root", "用户 1": "用户 1"}, [], ""),
    (
        ("MQTT_USERNAME",),
        {"x" * 65535: "x" * 65535, "户" * 21845: "户" * 21845},
        ["x" * 65536, "户" * 21846],
        "must have at most 65535 bytes of UTF-8",
    ),
    (("LOG_FILE",), {"": "", "/var/log/x.log": "/var/log/x.log"}, [], ""),
    (
        ("HTTP_LISTEN",),
        {
            "": None,
            "tcp:9464:interface=127.0.0.1": ("127.0.0.1", 9464),
            "tcp:port=1:interface=10.0.0.1": ("10.0.0.1", 1),
            r"tcp:9464:interface=\:\:1": ("::1", 9464),
            "tcp:9464": ("", 9464),
            "tcp6:0": ("::", 0),
        },
        [
            *(
                "9464",
                "127.0.0.1:9464",
                "tcp",
                "tcp:",
                "tcp:http",
                "tcp:65536",
                "tcp:-1",
                "tcp:9464:interface=localhost",
                "tcp:9464:interface=::1",  # without a backslash each colon ends something
                "tcp:6000:interface=::1",
                "tcp:interface=::1:9464",
                "tcp:80:interface=fe80::1",
                "tcp::9464",
                "tcp:94:64",
                "tcp:80:interface=127.0.0.1:interface=0.0.0.0",
            ),
            *("tcp:9464:interface=::1", "tcp:9464:127.0.0.1", "tcp:9464:backlog=5", "ssl:9464", "unix:/run/x"),
        ],
        r"must be tcp:PORT:interface=ADDRESS, such as tcp:9464:interface=127.0.0.1 or tcp:9464:interface=\:\:1",
    ),
]


class ConfigTestCase(SynchronousTestCase):
    def env_file(self, content: str) -> str:
        path = Path(self.mktemp())
        path.write_text(content, "utf-8")
        return str(path)

    def mistakes(self, environ: Mapping[str, str], env_file: str | None = None) -> list[str]:
        error = self.assertRaises(ConfigError, load_settings, environ, env_file)
        self.assertEqual(str(error), "\n".join(error.mistakes))
        found: list[str] = error.mistakes
        return found


class ValidationTests(ConfigTestCase):
    def test_each_accepted_text_means_what_it_says(self) -> None:
        for names, accepted, _, _ in VALUES:
            for name in names:
                for text, value in accepted.items():
                    needed = {name.removesuffix("_FINGERPRINT"): "1"} if name.endswith("_FINGERPRINT") else {}
                    settings = load_settings({name: text, **needed})
                    self.assertEqual(getattr(settings, name.lower()), value, (name, text))

    def test_each_mistake_names_the_setting_what_is_wrong_and_the_text(self) -> None:
        for names, _, refused, why in VALUES:
            for name in names:
                for text in refused:
                    self.assertEqual(self.mistakes({name: text}), [f"{name}: {why}"])

    def test_a_port_behind_an_address_is_a_mistake(self) -> None:
        for text in ("10.0.0.5:1883", "cafe:1883", "[::1]:1883", "[::1", "::1]", "1:2"):
            self.assertEqual(
                self.mistakes({"MQTT_BROKER": text}),
                ["MQTT_BROKER: must be a host name or address alone (the port has a setting of its own)"],
            )

    def test_every_setting_is_validated_here(self) -> None:
        tested = {name for names, _, _, _ in VALUES for name in names}
        rest = {"MQTT_PASSWORD", "MQTT_PASSWORD_FILE", "DB_PASSWORD", "DB_PASSWORD_FILE", *FILE_NAMES}
        # Those that came later have tests where they are used; none may vanish from here unseen.
        self.assertEqual((tested | rest) - set(setting_defaults()), set())

    def test_a_token_is_what_can_be_sent_in_a_header_and_is_not_shown(self) -> None:
        self.assertEqual(load_settings({"HTTP_TOKEN": "aZ-._~+/9=="}).http_token.reveal(), "aZ-._~+/9==")
        for text in ("two words", "令牌", "=", "a=b", 'a"b'):
            sentence = "HTTP_TOKEN: may have letters, digits and -._~+/ only, because it is sent in a header"
            self.assertEqual(self.mistakes({"HTTP_TOKEN": text}), [sentence])

    def test_a_command_is_taken_apart_without_a_shell_and_its_program_is_there(self) -> None:
        def argv(text: str) -> tuple[str, ...]:
            return load_settings({"ALERT_COMMAND": text}).alert_command

        self.assertEqual(argv('/bin/sh -c \'echo  "$1"; x\' a\\ b ""'), ("/bin/sh", "-c", 'echo  "$1"; x', "a b", ""))
        self.assertEqual(argv("sh  x")[0].rpartition("/")[2], "sh")
        self.assertTrue(argv("sh")[0].startswith("/"))
        self.assertEqual(argv("/bin/echo $HOME `id` 钉钉"), ("/bin/echo", "$HOME", "`id`", "钉钉"))
        self.assertEqual(argv(" "), ())
        for text, wrong in (("'a", "not quoted as for a shell"), ("/no/such x", "no such"), ("/etc/passwd", "no such")):
            (mistake,) = self.mistakes({"ALERT_COMMAND": text})
            self.assertIn(wrong, mistake)

    def test_an_empty_text_stands_for_the_default(self) -> None:
        for name in setting_defaults():
            for text in ("", "  "):
                if not (text and name.endswith(("_FILE", "PASSWORD", "TOKEN", "USERNAME"))):
                    load_settings({name: text})
        self.assertEqual(load_settings({"MQTT_PORT": "", "DB_USER": " ", "LOG_LEVEL": ""}), Settings())

    def test_without_any_setting_every_one_has_its_default(self) -> None:
        settings = load_settings({})
        self.assertEqual(settings, Settings())
        for name, value in (
            ("mqtt_broker", "localhost"),
            ("mqtt_port", 1883),
            ("mqtt_username", ""),
            ("mqtt_password", Secret()),
            ("mqtt_client_id", "aiot-mqtt-service"),
            ("mqtt_protocol", "auto"),
            ("mqtt_keepalive", 60),
            ("mqtt_tls", False),
            ("mqtt_ca_file", ""),
            ("mqtt_cert_file", ""),
            ("mqtt_key_file", ""),
            ("mqtt_tls_fingerprint", ""),
            ("mqtt_topic_prefix", "devices"),
            ("mqtt_receive_maximum", 65535),
            ("mqtt_session_expiry", 604800),
            ("mqtt_max_payload", 65536),
            ("db_host", "localhost"),
            ("db_port", 3306),
            ("db_name", "aiot_admin"),
            ("db_user", "root"),
            ("db_password", Secret()),
            ("db_table", "device_main"),
            ("db_timezone", ZoneInfo("Asia/Shanghai")),
            ("db_tls", False),
            ("db_ca_file", ""),
            ("db_pool_size", 5),
            ("db_max_overflow", 10),
            ("db_pool_recycle", 3600),
            ("device_status_values", frozenset()),
            ("last_seen_resolution", 0),
            ("stats_interval", 300),
            ("shutdown_timeout", 10),
            ("log_level", "INFO"),
            ("log_format", "text"),
            ("log_language", "zh"),
            ("log_file", ""),
        ):
            self.assertEqual(getattr(settings, name), value, name)

    def test_settings_cannot_be_changed(self) -> None:
        self.assertRaises(FrozenInstanceError, setattr, Settings(), "mqtt_port", 1)

    def test_names_of_others_in_the_environment_are_none_of_our_business(self) -> None:
        self.assertEqual(load_settings({"PATH": "/bin", "MQTT_BROKEN": "x", "DB_": "y"}), Settings())

    def test_a_text_that_is_not_utf8_is_a_mistake(self) -> None:
        name = "\udcff"  # what os.environ makes of such a byte
        for setting in ("MQTT_USERNAME", "MQTT_PASSWORD", "MQTT_TOPIC_PREFIX", "DB_USER", "MQTT_PORT"):
            self.assertEqual(self.mistakes({"MQTT_USERNAME": "u", setting: name}), [f"{setting}: it is not UTF-8"])


class FileSettingTests(ConfigTestCase):
    def test_a_file_that_is_not_there_is_a_mistake(self) -> None:
        for name in FILE_NAMES:
            self.assertIn(f"{name}: no such file", self.mistakes({name: "/no/such"}))
            self.assertIn(f"{name}: no such file", self.mistakes({name: "/"}))

    def test_a_file_that_may_not_be_read_is_a_mistake(self) -> None:
        path = self.env_file("")
        self.patch(os, "access", lambda name, mode: (name, mode) != (path, os.R_OK))
        self.assertEqual(
            self.mistakes({"MQTT_TLS": "1", "MQTT_CA_FILE": path}),
            ["MQTT_CA_FILE: this user may not read that file"],
        )

    def test_a_file_that_is_there_is_accepted(self) -> None:
        path = self.env_file("")
        settings = load_settings(
            {"MQTT_TLS": "1", "DB_TLS": "1", "DB_PUBLIC_KEY_FILE": path} | dict.fromkeys(FILE_NAMES, path)
        )
        names = (*FILE_NAMES, "DB_PUBLIC_KEY_FILE")
        self.assertEqual([getattr(settings, name.lower()) for name in names], [path] * 7)

    def test_a_client_certificate_needs_its_key_and_the_key_its_certificate(self) -> None:
        path = self.env_file("")
        for prefix in ("MQTT", "DB"):
            for name in ("CERT", "KEY"):
                self.assertEqual(
                    self.mistakes({f"{prefix}_TLS": "1", f"{prefix}_{name}_FILE": path}),
                    [f"{prefix}_CERT_FILE, {prefix}_KEY_FILE: a client certificate needs both"],
                )

    def test_a_fingerprint_and_a_ca_are_one_too_many(self) -> None:
        path = self.env_file("")
        for prefix in ("MQTT", "DB"):
            names = {f"{prefix}_CA_FILE": path, f"{prefix}_TLS_FINGERPRINT": FINGERPRINT}
            self.assertEqual(
                self.mistakes({f"{prefix}_TLS": "1", **names}),
                [f"{', '.join(names)}: with a fingerprint no CA is looked at; keep one of the two"],
            )

    def test_files_for_tls_without_tls_are_a_mistake(self) -> None:
        path = self.env_file("")
        self.assertEqual(
            self.mistakes(dict.fromkeys(FILE_NAMES, path)),
            [
                f"{prefix}_CA_FILE, {prefix}_CERT_FILE, {prefix}_KEY_FILE: set, but {prefix}_TLS is not true, so"
                " nothing would be encrypted"
                for prefix in ("MQTT", "DB")
            ],
        )
        self.assertEqual(
            self.mistakes({"DB_TLS_FINGERPRINT": FINGERPRINT}),
            ["DB_TLS_FINGERPRINT: set, but DB_TLS is not true, so nothing would be encrypted"],
        )

    def test_one_mistake_is_not_told_a_second_time_as_a_conflict(self) -> None:
        path = self.env_file("")
        self.assertEqual(
            self.mistakes({"MQTT_TLS": "1", "MQTT_CERT_FILE": "/no/such", "MQTT_KEY_FILE": path}),
            ["MQTT_CERT_FILE: no such file"],
        )
        self.assertEqual(self.mistakes({"DB_TLS": "yess", "DB_CA_FILE": path}), ["DB_TLS: must be true or false"])

    def test_times_coarser_than_the_timeout_are_a_mistake(self) -> None:
        for resolution in ("300", "86400"):
            self.assertEqual(
                self.mistakes({"LAST_SEEN_RESOLUTION": resolution, "DB_PORT": "x"}),
                [
                    "DB_PORT: must be a whole number from 1 to 65535",
                    f"LAST_SEEN_RESOLUTION: must be less than HEARTBEAT_TIMEOUT, 300; it is {resolution}",
                ],
            )
        for timeout in ("301", "0"):  # 0: nobody is set offline
            self.assertEqual(
                load_settings({"LAST_SEEN_RESOLUTION": "300", "HEARTBEAT_TIMEOUT": timeout}).last_seen_resolution, 300
            )
        self.assertEqual(
            self.mistakes({"LAST_SEEN_RESOLUTION": "300", "HEARTBEAT_TIMEOUT": "x"}),
            ["HEARTBEAT_TIMEOUT: must be a whole number from 0 to 31536000"],
        )


class SecretTests(ConfigTestCase):
    def test_a_secret_shows_itself_only_when_asked_to(self) -> None:
        secret = Secret("hunter2")
        self.assertEqual(secret.reveal(), "hunter2")
        for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r}", "%s" % secret, repr([secret])):  # noqa: UP031
            self.assertNotIn("hunter2", shown)
        self.assertEqual(
            (repr(secret), repr(Secret()), bool(secret), bool(Secret())), ("Secret('***')", "Secret('')", True, False)
        )

    def test_two_secrets_are_equal_when_they_hold_the_same(self) -> None:
        self.assertEqual(Secret("a"), Secret("a"))
        self.assertEqual(hash(Secret("a")), hash(Secret("a")))
        self.assertNotEqual(Secret("a"), Secret("b"))
        self.assertNotEqual(Secret("a"), "a")

    def test_a_password_is_taken_as_it_is(self) -> None:
        for password in ("x", " p #ss$HOME${A}\\n'\" ", "密码", "  "):
            settings = load_settings({"DB_PASSWORD": password, "MQTT_PASSWORD": password, "MQTT_USERNAME": "u"})
            self.assertEqual((settings.db_password.reveal(), settings.mqtt_password.reveal()), (password, password))

    def test_a_password_may_stand_in_a_file_without_its_last_line_break(self) -> None:
        for content, password in (
            ("s3cret\n", "s3cret"),
            ("s3cret\r\n", "s3cret"),
            (" s3 cret ", " s3 cret "),
            ("密码", "密码"),
        ):
            path = self.env_file(content)
            settings = load_settings({"DB_PASSWORD_FILE": path, "MQTT_PASSWORD_FILE": path, "MQTT_USERNAME": "u"})
            self.assertEqual((settings.db_password.reveal(), settings.mqtt_password.reveal()), (password, password))

    def test_a_password_twice_is_a_mistake(self) -> None:
        path = self.env_file("x")
        self.assertEqual(
            self.mistakes({"DB_PASSWORD": "hunter2", "DB_PASSWORD_FILE": path}),
            ["DB_PASSWORD_FILE: DB_PASSWORD is set too; keep one of the two"],
        )

    def test_a_password_file_that_cannot_be_read_is_a_mistake(self) -> None:
        self.assertEqual(
            self.mistakes({"DB_PASSWORD_FILE": "/no/such"}),
            ["DB_PASSWORD_FILE: that file cannot be read: No such file or directory"],
        )
        path = Path(self.mktemp())
        path.write_bytes("密码".encode("gbk"))
        self.assertEqual(
            self.mistakes({"DB_PASSWORD_FILE": str(path)}),
            ["DB_PASSWORD_FILE: that file cannot be read: it is not UTF-8"],
        )

    def test_a_password_longer_than_one_can_be_is_a_mistake_in_a_file_too(self) -> None:
        most = "户" * 21845
        self.assertEqual(load_settings({"DB_PASSWORD_FILE": self.env_file(f"{most}\r\n")}).db_password.reveal(), most)
        self.assertEqual(
            self.mistakes({"DB_PASSWORD": most + "x", "MQTT_USERNAME": "u", "MQTT_PASSWORD": most + "x"}),
            [f"{name}_PASSWORD: must have at most 65535 bytes of UTF-8" for name in ("MQTT", "DB")],
        )
        for path in (self.env_file(most + "xxx"), "/dev/zero"):
            self.assertEqual(
                self.mistakes({"DB_PASSWORD_FILE": path}),
                ["DB_PASSWORD_FILE: that file cannot be read: File too large"],
            )

    def test_a_password_without_a_name_is_a_mistake(self) -> None:
        self.assertEqual(
            self.mistakes({"MQTT_PASSWORD": "hunter2"}),
            ["MQTT_PASSWORD: set, but MQTT_USERNAME is empty, and MQTT 3.1.1 allows no password without one"],
        )

    def test_no_password_is_in_the_repr_of_the_settings(self) -> None:
        settings = load_settings({"DB_PASSWORD": "hunter2", "MQTT_PASSWORD": "hunter2", "MQTT_USERNAME": "u"})
        self.assertNotIn("hunter2", repr(settings) + str(settings))

    def test_no_password_is_in_the_text_of_the_mistakes(self) -> None:
        path = self.env_file(
            "DB_PASSWORD=hunter2\nMQTT_PASSWORD='hunter2'\nDB_PASSWRD=hunter2\nMQTT_PASSWORD2=hunter2\nDB_PORT=x\n"
        )
        error = self.assertRaises(ConfigError, load_settings, {}, path)
        self.assertEqual(len(error.mistakes), 4)
        self.assertNotIn("hunter2", str(error) + repr(error) + repr(error.__context__) + repr(error.__cause__))

    def test_no_password_that_slipped_into_any_setting_is_in_the_text_of_the_mistakes(self) -> None:
        """Whatever the setting, and whether it stands in the environment, in the file, or as a name there."""
        surroundings = (
            "{}",
            "user:{}@host",
            "mqtt://user:{}@broker:1883",
            "mysql+pymysql://root:{}@localhost:3306/aiot_admin?charset=utf8mb4",
            "//{}",
            "host {}",
            "/{}",
            "{}/",
            "\u2028{}",
            "@{}",
            "-----BEGIN PRIVATE KEY-----{}",
        )
        passwords = ("hunter2", "hun/ter2", "hun@ter2", "hun:ter2", "hun//ter2@", "#hunter2+", "1234567")
        for name, around, password in some([*product(setting_defaults(), surroundings, passwords)]):
            text = around.format(password)
            self.assertNotIn(password, self.told({name: text}), (name, text))
            if password == "hun/ter2" and "\u2028" not in text:
                path = self.env_file(f"{name}='{text}'\n")
                self.assertNotIn(password, self.told({}, path).replace(path, ""), (name, text))

    def test_no_password_of_a_line_that_cannot_be_read_is_in_the_text_of_the_mistakes(self) -> None:
        for line in (
            "hunter2",
            "DB_PASSWORD hunter2",
            "DB_PASSWORD: hunter2",
            "export DB_PASSWORD=hunter2",
            "DB_PASSWORD='hunter2",
            'DB_PASSWORD="hunter2"x',
            "DB_PASSWORD=hunter2\\",
            "DB_PASSWORD=hunter2 # mine",
            "DB_PASSWORD=hunter2\x01",
            ";DB_PASSWORD=hunter2",
            "DB-PASSWORD=hunter2",
        ):
            self.assertNotIn("hunter2", self.told({}, self.env_file(f"{line}\n")), line)

    def told(self, environ: Mapping[str, str], env_file: str | None = None) -> str:
        try:
            load_settings(environ, env_file)
        except ConfigError as error:
            return "\n".join([str(error), repr(error), repr(error.__context__), repr(error.__cause__)])
        return ""


class EarlierServiceTests(ConfigTestCase):
    """Names and passwords as the service that this one replaces had them."""

    def test_its_names_in_the_environment_are_mistakes_where_ours_are_not_set(self) -> None:
        for name, own, text in (
            ("MQTT_BROKER_HOST", "MQTT_BROKER", "broker"),
            ("MQTT_BROKER_PORT", "MQTT_PORT", "8883"),
            ("MQTT_SERVICE_BROKER", "MQTT_BROKER", "broker"),
            ("MQTT_SERVICE_BROKER_HOST", "MQTT_BROKER", "broker"),
            ("MQTT_SERVICE_BROKER_PORT", "MQTT_PORT", "8883"),
            ("MQTT_SERVICE_PORT", "MQTT_PORT", "8883"),
            ("MQTT_SERVICE_PASSWORD", "MQTT_PASSWORD", "hunter2"),
            ("MQTT_SERVICE_DB_HOST", "DB_HOST", "db"),
        ):
            self.assertEqual(self.mistakes({name: text}), [f"{name} is no setting; did you mean {own}?"])
            load_settings({name: ""})
            other = {"MQTT_USERNAME": "u", "MQTT_PORT": "1883", "MQTT_BROKER": "b", "DB_HOST": "h", "MQTT_PASSWORD": ""}
            load_settings({name: text, **other})  # shared with a program that calls it so
            path = self.env_file("".join(f"{key}={value}\n" for key, value in other.items()))
            load_settings({name: text}, path)

    def test_in_the_file_they_are_mistakes_that_are_told_once(self) -> None:
        path = self.env_file("MQTT_BROKER_HOST=broker\nMQTT_BROKER_PORT=8883\n")
        # systemd puts what is in the file in the environment too.
        for environ in ({}, {"MQTT_BROKER_HOST": "broker", "MQTT_BROKER_PORT": "8883"}):
            self.assertEqual(
                self.mistakes(environ, path),
                [
                    f"{path}:1: MQTT_BROKER_HOST is no setting; did you mean MQTT_BROKER?",
                    f"{path}:2: MQTT_BROKER_PORT is no setting; did you mean MQTT_PORT?",
                ],
            )

    def test_what_kubernetes_puts_there_for_a_service_of_that_name_is_not_its(self) -> None:
        for environ in (
            {"MQTT_SERVICE_HOST": "10.0.0.1", "MQTT_SERVICE_PORT": "1883", "MQTT_SERVICE_PORT_MQTT": "1883"},
            {"MQTT_SERVICE_PORT": "tcp://10.0.0.1:1883", "MQTT_SERVICE_SERVICE_HOST": "10.0.0.1"},
        ):
            self.assertEqual(load_settings(environ), load_settings({}))

    def test_a_password_in_the_form_of_a_url_is_recognised(self) -> None:
        for password in ("p%40ss", "p%2fss", "a%2Bb", "50%25", "p%C3%A9", "x+y%40", "x%20y", "%23"):
            self.assertTrue(looks_url_encoded(password), password)
        for password in ("", "pass", "p@ss", "p%40s#s", "100%", "a+b", "%zz", "p%4", "50%25!", "p%40 ss", "é%40"):
            self.assertFalse(looks_url_encoded(password), password)


class ExposedFileTests(ConfigTestCase):
    """Files with secrets that others may read or write."""

    def exposed(self, environ: Mapping[str, str], env_file: str | None = None) -> list[tuple[str, str]]:
        return [(name, f"{mode:o}") for name, _, mode in exposed_files(read_texts(environ, env_file))]

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / "secret"
        self.path.write_text("s3cret")

    def test_every_file_with_a_secret_is_looked_at_and_no_other(self) -> None:
        self.path.chmod(0o604)
        names = [name for name in setting_defaults() if name.endswith("_FILE")]
        found = self.exposed({name: str(self.path) for name in names})
        self.assertEqual(
            {name for name, _ in found},
            {name for name in names if name.endswith(("PASSWORD_FILE", "TOKEN_FILE", "MQTT_KEY_FILE", "DB_KEY_FILE"))},
        )
        self.assertGreaterEqual(len(found), 3)

    def test_to_others_not_to_its_group(self) -> None:
        for mode, is_exposed in ((0o600, 0), (0o660, 0), (0o604, 1), (0o602, 1), (0o666, 1), (0o601, 0)):
            self.path.chmod(mode)
            self.assertEqual(len(self.exposed({"DB_PASSWORD_FILE": str(self.path)})), is_exposed, oct(mode))

    def test_the_file_of_settings_itself(self) -> None:
        self.path.write_text("DB_PORT=1\n")
        self.path.chmod(0o644)
        self.assertEqual(self.exposed({}, str(self.path)), [(str(self.path), "644")])

    def test_a_folder_that_keeps_others_out_is_no_excuse(self) -> None:
        self.path.chmod(0o666)
        self.folder.chmod(0o700)
        self.assertEqual(self.exposed({"DB_PASSWORD_FILE": str(self.path)}), [("DB_PASSWORD_FILE", "666")])

    def test_a_pipe_is_none_and_is_not_read_twice(self) -> None:
        """Such as a shell's <(…)."""
        pipe = self.folder / "pipe"
        os.mkfifo(pipe, 0o666)
        pipe.chmod(0o666)
        writing = threading.Thread(target=pipe.write_text, args=("DB_PORT=1\n",), daemon=True)
        writing.start()
        texts = read_texts({}, str(pipe))
        self.assertEqual((judge(texts).db_port, [*exposed_files(texts)]), (1, []))

    def test_one_that_is_not_there_is_none(self) -> None:
        self.assertEqual(self.exposed({"DB_PASSWORD_FILE": "/no/such"}), [])


class EnvFileTests(ConfigTestCase):
    def test_the_environment_wins_over_the_file(self) -> None:
        path = self.env_file("MQTT_BROKER=file\nMQTT_PORT=1\nDB_PORT=nonsense\n")
        settings = load_settings({"MQTT_BROKER": "environment", "DB_PORT": "3307"}, path)
        self.assertEqual((settings.mqtt_broker, settings.mqtt_port, settings.db_port), ("environment", 1, 3307))

    def test_a_mistake_in_the_environment_is_not_told_of_the_file(self) -> None:
        path = self.env_file("MQTT_PORT=1884\n")
        self.assertEqual(
            self.mistakes({"MQTT_PORT": "x"}, path),
            ["MQTT_PORT: must be a whole number from 1 to 65535"],
        )

    def test_an_empty_text_in_the_environment_wins_too(self) -> None:
        path = self.env_file("MQTT_USERNAME=file\nMQTT_BROKER=file\n")
        settings = load_settings({"MQTT_USERNAME": "", "MQTT_BROKER": ""}, path)
        self.assertEqual((settings.mqtt_username, settings.mqtt_broker), ("", "localhost"))

    def test_dot_env_in_the_working_directory_is_read_where_there_is_one(self) -> None:
        here = os.getcwd()
        directory = Path(self.mktemp())
        directory.mkdir()
        os.chdir(directory)
        self.addCleanup(os.chdir, here)
        self.assertEqual(load_settings({}), Settings())
        Path(".env").write_text("MQTT_PORT=1884\n")
        self.assertEqual(load_settings({}).mqtt_port, 1884)
        Path("other").write_text("DB_PORT=3307\n")
        other = load_settings({}, "other")
        self.assertEqual((other.mqtt_port, other.db_port), (1883, 3307))
        Path(".env").write_text("MQTT_PORT=x\n")
        self.assertEqual(self.mistakes({}), [".env:1: MQTT_PORT: must be a whole number from 1 to 65535"])

    def test_a_named_file_that_cannot_be_read_is_a_mistake(self) -> None:
        self.assertEqual(self.mistakes({}, "/no/such"), ["/no/such: cannot be read: No such file or directory"])
        self.assertEqual(self.mistakes({}, "/"), ["/: cannot be read: Is a directory"])

    def test_a_named_file_without_an_end_is_a_mistake(self) -> None:
        self.assertEqual(self.mistakes({}, "/dev/zero"), ["/dev/zero: cannot be read: File too large"])

    def test_all_mistakes_are_told_at_once_with_file_and_line(self) -> None:
        path = self.env_file(
            "# settings\nMQTT_PORT=0\nMQTT_SERVICE_BROKER=b\n\nLOG_LEVEL=loud\nDB_PASSWORD_FILE=/no/such\n"
        )
        self.assertEqual(
            self.mistakes({"DB_PORT": "x", "MQTT_PASSWORD": "p"}, path),
            [
                f"{path}:3: MQTT_SERVICE_BROKER is no setting; did you mean MQTT_BROKER?",
                f"{path}:2: MQTT_PORT: must be a whole number from 1 to 65535",
                "DB_PORT: must be a whole number from 1 to 65535",
                f"{path}:6: DB_PASSWORD_FILE: that file cannot be read: No such file or directory",
                f"{path}:5: LOG_LEVEL: must be DEBUG, INFO, WARNING or ERROR",
                "MQTT_PASSWORD: set, but MQTT_USERNAME is empty, and MQTT 3.1.1 allows no password without one",
            ],
        )

    def test_lines_that_cannot_be_read_and_names_that_are_unknown_are_told_in_their_order(self) -> None:
        path = self.env_file("export A=x\nMQTT_BROKR=x\nDB_PASSWORD=p #x\nDB_PORTS=1\n")
        mistakes = self.mistakes({"MQTT_PORT": "x"}, path)
        self.assertEqual([mistake.removeprefix(path)[:3] for mistake in mistakes], [":1:", ":2:", ":3:", ":4:", "MQT"])

    def test_an_unknown_name_of_ours_is_a_mistake_with_a_suggestion(self) -> None:
        for name, suggested in (
            ("MQTT_SERVICE_BROKER", "did you mean MQTT_BROKER?"),
            ("MQTT_SERVICE_PORT", "did you mean MQTT_PORT?"),
            ("MQTT_SERVICE_USERNAME", "did you mean MQTT_USERNAME?"),
            ("MQTT_SERVICE_DB_HOST", "did you mean DB_HOST?"),
            ("MQTT_BROKR", "did you mean MQTT_BROKER?"),
            ("DB_PASSWRD", "did you mean DB_PASSWORD?"),
            ("LOG_LANG", "did you mean LOG_LANGUAGE?"),
            ("mqtt_broker", "did you mean MQTT_BROKER?"),
            ("Db_Host", "did you mean DB_HOST?"),
            ("db_passwrd", "did you mean DB_PASSWORD?"),
            ("MQTT_HOST", "did you mean MQTT_BROKER?"),
            ("DB_DATABASE", "did you mean DB_NAME?"),
            ("HTTP_XYZZY", "env.example lists all"),
        ):
            path = self.env_file(f"\n{name}=x\n")
            [mistake] = self.mistakes({}, path)
            self.assertTrue(mistake.startswith(f"{path}:2: {name} is no setting; "), mistake)
            if suggested.startswith("did"):
                self.assertTrue(mistake.endswith(suggested), mistake)

    def test_a_file_that_is_there_and_leads_nowhere_is_a_mistake_and_not_the_defaults(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder)
        self.assertEqual(load_settings({}), Settings())
        for target in ("nowhere", ".env", "/dev/null/below"):
            Path(".env").symlink_to(target)
            [mistake] = self.assertRaises(ConfigError, load_settings, {}).mistakes
            self.assertIn(".env: ", mistake)
            Path(".env").unlink()

    def test_a_name_that_is_not_like_ours_is_left_alone(self) -> None:
        path = self.env_file("TZ=UTC\nbroker=x\nPYTHONUNBUFFERED=1\nXMQTT_BROKER=x\n")
        self.assertEqual(load_settings({}, path), Settings())


class SpoolFileTests(SynchronousTestCase):
    """Where the spool is, and what is a mistake about it."""

    def test_a_relative_path_is_below_the_folder_that_systemd_gives(self) -> None:
        folder = self.mktemp()
        os.mkdir(folder)
        for state in (folder, f"{folder}:/elsewhere"):
            self.assertEqual(load_settings({"STATE_DIRECTORY": state}).spool_file, f"{folder}/mqtt_service.spool")
            settings = load_settings({"STATE_DIRECTORY": state, "SPOOL_FILE": "other"})
            self.assertEqual(settings.spool_file, f"{folder}/other")
        path = os.path.abspath(os.path.join(folder, "absolute"))
        self.assertEqual(load_settings({"STATE_DIRECTORY": "/nowhere", "SPOOL_FILE": path}).spool_file, path)

    def test_empty_means_none(self) -> None:
        for text in ("", " "):
            self.assertEqual(load_settings({"SPOOL_FILE": text, "STATE_DIRECTORY": "/nowhere"}).spool_file, "")

    def test_a_folder_that_is_not_there_and_a_folder_in_its_place_are_mistakes(self) -> None:
        folder = self.mktemp()
        os.mkdir(folder)
        for text, words in ((f"{folder}/no/spool", "folder does not exist"), (folder, "no file")):
            with self.assertRaises(ConfigError) as caught:
                load_settings({"SPOOL_FILE": text})
            [mistake] = caught.exception.mistakes
            self.assertIn("SPOOL_FILE", mistake)
            self.assertIn(words, mistake)

    def test_a_name_or_path_without_room_for_those_beside_it_is_a_mistake(self) -> None:
        folder = os.path.abspath(self.mktemp())
        deep = os.path.join(folder, *["d" * 60] * ((471 - len(folder)) // 61))
        os.makedirs(deep)
        words = "SPOOL_FILE: its name or path is too long: there must be room for a few more characters behind it"
        for where, most in ((folder, min(255, 510 - len(folder))), (deep, 510 - len(deep))):
            fits = os.path.join(where, "s" * (most - len(LONGEST_SUFFIX)))
            self.assertEqual(load_settings({"SPOOL_FILE": fits}).spool_file, fits)
            for file in files_of(Path(fits)):
                with closing(sqlite3.connect(file)) as opened:
                    opened.execute("CREATE TABLE t (c)")
                set_aside(file, Disk())
            too_long = self.assertRaises(ConfigError, load_settings, {"SPOOL_FILE": fits + "s"})
            self.assertEqual(too_long.mistakes, [words])


class OwnFileTests(ConfigTestCase):
    """No file is used for two things of which one would destroy the other."""

    WORDS = (
        "lead to one file, or to one kept beside the other: what is written there would destroy it; give each its own"
    )

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.other = self.folder.with_name(f"{self.folder.name}-other")
        self.other.symlink_to(self.folder)

    @given(
        st.sampled_from(
            [
                *(("SPOOL_FILE", behind) for behind in ("", ".2", ".3", ".4", ".lock", ".session", ".broker")),
                *(("SPOOL_FILE", behind) for behind in ("-journal", ".2-journal", ".3.damaged-20261128-031323")),
                *(("LOG_FILE", behind) for behind in ("", ".1", ".12")),
            ]
        ),
        st.sampled_from([*(name for name in setting_defaults() if name.endswith("_FILE")), ""]),
        st.booleans(),
    )
    def test_whatever_leads_to_a_file_that_is_written(
        self, named: tuple[str, str], other: str, is_linked: bool
    ) -> None:
        written, behind = named
        assume(other != written)
        path = (self.other if is_linked else self.folder) / f"x{behind}"
        path.write_text("")
        try:
            environ = {written: str(self.folder / "x"), "MQTT_TLS": "1", "DB_TLS": "1", "MQTT_USERNAME": "u"}
            if other:
                environ[other] = str(path)
            found = self.mistakes(environ, None if other else str(path))
            names = (f"{other or path}, {written}", f"{written}, {other or path}")
            self.assertEqual(len([each for each in found if each in [f"{n}: {self.WORDS}" for n in names]]), 1, found)
        finally:
            path.unlink()

    def test_names_that_only_begin_alike_are_well_and_so_is_one_certificate_for_two(self) -> None:
        ca = self.folder / "spool.pem"
        ca.write_text("")
        environ = {"MQTT_TLS": "1", "DB_TLS": "1", "MQTT_CA_FILE": str(ca), "DB_CA_FILE": str(ca)}
        for log in (self.folder / "spool.log", self.folder / "spool.22", "/dev/stdout", "/dev/null"):
            found = load_settings({**environ, "SPOOL_FILE": str(self.folder / "spool"), "LOG_FILE": str(log)})
            self.assertEqual(found.log_file, str(log))


class EnvExampleTests(ConfigTestCase):
    def test_it_lists_every_setting_and_no_other(self) -> None:
        _, lines, mistakes = read_env_file(ENV_EXAMPLE)
        self.assertEqual(mistakes, [])
        self.assertEqual(set(lines), set(setting_defaults()))

    def test_it_lists_each_once(self) -> None:
        names = re.findall(r"^([A-Za-z_0-9]+)=", ENV_EXAMPLE.read_text("utf-8"), re.MULTILINE)
        self.assertEqual(len(names), len(set(names)))

    def test_it_shows_the_default_of_each(self) -> None:
        values, _, _ = read_env_file(ENV_EXAMPLE)
        self.assertEqual(values, setting_defaults())
        self.assertEqual(load_settings({}, str(ENV_EXAMPLE)), Settings())

    def test_the_defaults_told_are_those_of_the_settings(self) -> None:
        defaults = setting_defaults()
        for item in fields(Settings):
            self.assertIn(item.name.upper(), defaults)
        self.assertEqual(load_settings(defaults), Settings())
