"""What is accepted in a ``.env``, held against what systemd itself would read from it."""

from __future__ import annotations

from pathlib import Path
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.settings.env_file import read_env_file
from rig.selection import rounds


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
            getattr(self, f"in_{self.state.lower()}")(character)
        if self.state not in ("PRE_KEY", "KEY", "COMMENT", "COMMENT_ESCAPE"):
            self.push()
        return self.values

    def push(self) -> None:
        if self.state == "VALUE":
            self.value = self.value[: self.value_blank]
        self.values[self.key[: self.key_blank]] = self.value
        self.state, self.key, self.value = "PRE_KEY", "", ""

    def in_pre_key(self, c: str) -> None:
        if c in self.COMMENTS:
            self.state = "COMMENT"
        elif c not in self.WHITESPACE:
            self.state, self.key, self.key_blank = "KEY", c, None

    def in_key(self, c: str) -> None:
        if c in self.NEWLINE:
            self.state, self.key = "PRE_KEY", ""
        elif c == "=":
            self.state, self.value_blank = "PRE_VALUE", None
        else:
            self.key_blank = self.blank_after(self.key, self.key_blank, c)
            self.key += c

    def in_pre_value(self, c: str) -> None:
        if c in self.NEWLINE:
            self.push()
        elif c in "'\"\\":
            self.state = {"'": "SINGLE_QUOTE_VALUE", '"': "DOUBLE_QUOTE_VALUE", "\\": "VALUE_ESCAPE"}[c]
        elif c not in self.WHITESPACE:
            self.state = "VALUE"
            self.value += c

    def in_value(self, c: str) -> None:
        if c in self.NEWLINE:
            self.push()
        elif c == "\\":
            self.state, self.value_blank = "VALUE_ESCAPE", None
        else:
            self.value_blank = self.blank_after(self.value, self.value_blank, c)
            self.value += c

    def in_value_escape(self, c: str) -> None:
        self.state = "VALUE"
        if c not in self.NEWLINE:
            self.value += c

    def in_single_quote_value(self, c: str) -> None:
        if c == "'":
            self.state = "PRE_VALUE"
        else:
            self.value += c

    def in_double_quote_value(self, c: str) -> None:
        if c == '"':
            self.state = "PRE_VALUE"
        elif c == "\\":
            self.state = "DOUBLE_QUOTE_VALUE_ESCAPE"
        else:
            self.value += c

    def in_double_quote_value_escape(self, c: str) -> None:
        self.state = "DOUBLE_QUOTE_VALUE"
        if c in self.SHELL_NEED_ESCAPE:
            self.value += c
        elif c != "\n":
            self.value += "\\" + c

    def in_comment(self, c: str) -> None:
        if c == "\\":
            self.state = "COMMENT_ESCAPE"
        elif c in self.NEWLINE:
            self.state = "PRE_KEY"

    def in_comment_escape(self, _c: str) -> None:
        self.state = "COMMENT"

    def blank_after(self, text: str, blank: int | None, c: str) -> int | None:
        """Where the run of blanks that may end the text begins."""
        if c not in self.WHITESPACE:
            return None
        return len(text) if blank is None else blank


def as_systemd(text: str) -> dict[str, str]:
    return SystemdReader().read(text)


# What systemd makes of each line (checked on the real 252); these prove the port, not the product.
SYSTEMD_TABLE = [
    ("A=p#ss", "p#ss"),
    ("A=p #ss", "p #ss"),
    ('A="x" # c', "x# c"),
    ("A=pa${HOME}x", "pa${HOME}x"),
    ('A="pa${HOME}x"', "pa${HOME}x"),
    ("A='pa${HOME}x'", "pa${HOME}x"),
    ("A=pa$$word", "pa$$word"),
    ("A=$HOME", "$HOME"),
    (r"A=back\slash", "backslash"),
    (r'A="a\$b"', "a$b"),
    (r"A='a\\b'", r"a\\b"),
    (r'A="x\n"', r"x\n"),
    ("A='it''s'", "its"),
    ('A="t" x', "tx"),
    (";L=c", None),
    ("A='two\nlines'", "two\nlines"),
    ("A=con\\\ntinued", "continued"),
    ("# comment \\\nA=x", None),
    ("A = x \t", "x"),
    ("A=\\ x\\ ", " x "),
]

ACCEPTED = [
    ("", {}),
    ("\n\n  \t\n", {}),
    ("# comment\n  # another # one\n#\n", {}),
    ("A=x", {"A": "x"}),
    ("A=x\nB=y\n", {"A": "x", "B": "y"}),
    ("A=x\r\nB=y\r\n", {"A": "x", "B": "y"}),
    ("A=x\rB=y\r", {"A": "x", "B": "y"}),
    (" \tA \t= \tx y \t", {"A": "x y"}),
    ("A=", {"A": ""}),
    ("A=''\nB=\"\"", {"A": "", "B": ""}),
    ("A=p#ss", {"A": "p#ss"}),
    ("A=pa${HOME}x", {"A": "pa${HOME}x"}),
    ('A="pa${HOME}x"', {"A": "pa${HOME}x"}),
    ("A='pa${HOME}x'", {"A": "pa${HOME}x"}),
    ("A=pa$$word", {"A": "pa$$word"}),
    ("A=$HOME", {"A": "$HOME"}),
    ("A='p #ss; \" $x' ", {"A": 'p #ss; " $x'}),
    ('A=" it\'s "', {"A": " it's "}),
    ("A=it's", {"A": "it's"}),
    ('A=5" pipe', {"A": '5" pipe'}),
    ("A==x=", {"A": "=x="}),
    ("A=x;y", {"A": "x;y"}),
    ("A=中文 密码", {"A": "中文 密码"}),
    ("A=x\nA=y", {"A": "y"}),
    ("# a\\b\nA=x", {"A": "x"}),
]

MISTAKES = [
    ("A=p #ss", "python-dotenv begins a comment at the #, systemd does not; put the value in single quotes"),
    ("A=#ss", "python-dotenv begins a comment at the #, systemd does not; put the value in single quotes"),
    ("A=p\u3000#ss", "python-dotenv begins a comment at the #, systemd does not; put the value in single quotes"),
    ('A="x" # c', "there is text behind the closing quote, or a quote inside the value"),
    ('A="t" x', "there is text behind the closing quote, or a quote inside the value"),
    ("A='it''s'", "there is text behind the closing quote, or a quote inside the value"),
    ("A='open", "a quote is opened with ' and not closed on this line"),
    ('A="open', 'a quote is opened with " and not closed on this line'),
    (
        r"A=back\slash",
        "systemd and python-dotenv read a backslash differently; keep it out, or use a …_FILE setting",
    ),
    (
        r'A="a\$b"',
        "systemd and python-dotenv read a backslash differently; keep it out, or use a …_FILE setting",
    ),
    (
        r"A='a\\b'",
        "systemd and python-dotenv read a backslash differently; keep it out, or use a …_FILE setting",
    ),
    (
        "A=\u3000x",
        "python-dotenv drops the blank around the value, systemd keeps it; put the value in single quotes",
    ),
    (
        "A=x\u00a0",
        "python-dotenv drops the blank around the value, systemd keeps it; put the value in single quotes",
    ),
    (
        "\ufeffA=x",
        "the file begins with a byte order mark, which systemd takes for part of the first name; save it without",
    ),
    (
        "\ufeff# comment",
        "the file begins with a byte order mark, which systemd takes for part of the first name; save it without",
    ),
    ("A=x\x00y", "the line holds the control character U+0000"),
    ("A=x\x0by", "the line holds the control character U+000B"),
    ("A=x\x1cy", "the line holds the control character U+001C"),
    ("A=x\x85y", "the line holds the control character U+0085"),
    ("A=x\u2028y", "the line holds the control character U+2028"),
    ("A=x\ufeffy", "the line holds the control character U+FEFF"),
    (";L=c", "systemd takes a line that begins with ; for a comment, python-dotenv does not; begin it with #"),
    (
        "# comment \\",
        "systemd continues a comment that ends with a backslash on the next line; take the backslash away",
    ),
    ("export A=x", "systemd ignores a line with export; take that word away"),
    ("A", "not an assignment like NAME=value, nor a comment"),
    ("=x", "not an assignment like NAME=value, nor a comment"),
    ("1A=x", "not an assignment like NAME=value, nor a comment"),
    ("A-B=x", "not an assignment like NAME=value, nor a comment"),
    ("'A'=x", "not an assignment like NAME=value, nor a comment"),
    ("\u3000A=x", "not an assignment like NAME=value, nor a comment"),
    ("\u3000", "not an assignment like NAME=value, nor a comment"),
]


class SystemdReaderTests(SynchronousTestCase):
    def test_the_port_reads_each_line_as_systemd_does(self) -> None:
        for text, value in SYSTEMD_TABLE:
            self.assertEqual(as_systemd(text), {} if value is None else {"A": value}, text)


class ReadEnvFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def read(self, content: str | bytes) -> tuple[dict[str, str], dict[str, int], list[str]]:
        self.path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_env_file(self.path)

    def test_a_line_that_both_readers_read_alike_is_accepted(self) -> None:
        for text, values in ACCEPTED:
            accepted, _, mistakes = self.read(text)
            self.assertEqual((accepted, mistakes), (values, []), repr(text))

    def test_what_is_accepted_is_what_systemd_reads(self) -> None:
        for text, values in ACCEPTED:
            self.assertEqual(as_systemd(text), values, repr(text))

    def test_a_line_that_the_two_read_differently_is_a_mistake_that_names_file_and_line(self) -> None:
        for line, mistake in MISTAKES:
            self.assertEqual(self.read(line)[2], [f"{self.path}:1: {mistake}"], repr(line))

    def test_no_value_is_used_of_a_file_with_a_mistake(self) -> None:
        self.assertEqual(self.read("A=x\nB=p #ss\n")[0], {})

    def test_every_mistake_is_told_with_its_own_line(self) -> None:
        mistakes = self.read("A=x\r\n;b\r\n\r\nexport C=x\r\n# fine\r\nD")[2]
        self.assertEqual([mistake.removeprefix(f"{self.path}:")[:2] for mistake in mistakes], ["2:", "4:", "6:"])

    def test_each_name_has_the_line_it_stands_on_and_a_repeated_one_its_last(self) -> None:
        self.assertEqual(self.read("# head\nA=x\n\nB=y\nA=z\n")[1], {"A": 5, "B": 4})

    def test_a_mistake_shows_nothing_of_the_value(self) -> None:
        for line, _ in MISTAKES:
            if "=" not in line:
                continue
            secret = self.read(line.partition("=")[0] + "=hunter2 " + line.partition("=")[2])
            self.assertNotIn("hunter2", " ".join(secret[2]), repr(line))

    def test_a_file_that_is_not_utf8_is_a_mistake_that_names_line_and_byte(self) -> None:
        values, lines, mistakes = self.read("A=x\nB=中文".encode("gbk"))
        self.assertEqual((values, lines), ({}, {}))
        self.assertEqual(mistakes, [f"{self.path}:2: not UTF-8 (byte 0xd6); save the file as UTF-8"])

    def test_a_file_that_is_not_there_raises_what_the_system_says(self) -> None:
        self.assertRaises(FileNotFoundError, read_env_file, self.path)

    def test_a_name_that_python_dotenv_takes_for_a_keyword_is_read_as_systemd_reads_it_or_refused(self) -> None:
        for text in ("export = x", "export=x", "export\t=x"):
            values, _, mistakes = self.read(text)
            if not mistakes:
                self.assertEqual(values, as_systemd(text), repr(text))

    def test_a_file_that_systemd_refuses_whole_is_a_mistake(self) -> None:
        # systemd 252 refuses a NUL byte anywhere, and Unicode's noncharacters in a name or a value.
        for text in ("# a\0b\nA=x", "A=x\ufdd0", "A='\ufffe'", "A=\U0001ffff"):
            self.assertEqual(len(self.read(text)[2]), 1, repr(text))

    def test_whatever_is_accepted_has_the_values_that_systemd_reads(self) -> None:
        random = Random(20260101)
        pieces = [*"AB==xx''\"\"##$${}\\;  \t\u3000\u00a0\u200b\ufeffé中", "\x0b", "\x85", "\u2028", "export ", "\r"]
        ends = ["\n", "\r\n", "\r", ""]
        accepted = assigned = 0
        texts = rounds(1200)
        for _ in range(texts):
            text = ""
            for _ in range(random.randrange(1, 4)):
                body = "".join(random.choices(pieces, k=random.randrange(9)))
                if random.random() < 0.3:
                    body = "'" + body + "'"
                text += random.choice(["A=", "B = ", "_a1=", "#", "", " "]) + body + random.choice(ends)
            values, lines, mistakes = self.read(text)
            if mistakes:
                self.assertEqual(values, {}, repr(text))
                continue
            accepted += 1
            assigned += len(values)
            self.assertEqual(values, as_systemd(text), repr(text))
            self.assertEqual(set(lines), set(values), repr(text))
        # Else the loop would prove nothing.
        self.assertGreater(accepted, texts / 5)
        self.assertGreater(assigned, texts / 8)
