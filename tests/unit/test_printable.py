"""What others wrote, fit to stand in a log line: no password in it, whatever form it has there."""

from __future__ import annotations

import json
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.telemetry.printable import SHORTEST_MASKED, masked


class MaskedTests(SynchronousTestCase):
    @given(st.text(st.characters(exclude_categories=["Cs"]), min_size=SHORTEST_MASKED), st.data())
    def test_no_form_of_a_password_is_left(self, password: str, data: st.DataObject) -> None:
        form = data.draw(
            st.sampled_from(
                [
                    password,
                    repr(password)[1:-1],
                    ascii(password)[1:-1],
                    password.replace("'", "''"),
                    password.replace('"', '""'),
                    json.dumps(password)[1:-1],
                    quote(password),
                    password.encode().decode("latin-1"),
                ]
            )
        )
        self.assertIn("***", masked(f"login <{form}> is wrong", password))
        if set(password).isdisjoint("login <> is wrong*"):
            self.assertEqual(masked(f"login <{form}> is wrong", password), "login <***> is wrong")

    def test_a_short_one_would_be_told_by_what_is_missing(self) -> None:
        self.assertEqual(masked("an abc is an abc", "abc"), "an abc is an abc")
