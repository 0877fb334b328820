"""What fuzzed inputs begin with, and how they are changed. Pure: a seeded Random goes in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

TOPICS = (
    b"devices/d1/data",
    b"devices/d1/status",
    b"devices/d1/heartbeat",
    b"devices/D-1.a_b:c/status",
    b"devices/" + b"u" * 36 + b"/data",
    b"devices/" + b"u" * 37 + b"/data",
    b"devices//data",
    b"devices/a/b/data",
    b"other/d1/data",
    b"$SYS/broker",
    b"",
    b"/",
    "devices/设备/status".encode(),
    b"devices/\xff/data",
)
PAYLOADS = (
    b"",
    b"{}",
    b'{"t": 21.5, "on": true, "n": null}',
    b'{"status": "online"}',
    b'{"status": "Offline", "a": []}',
    b'{"status": "", "status": "ok"}',
    b'{"status": 18446744073709551616}',
    b'{"status": 1e-7}',
    b"offline",
    b' "online" ',
    b"NaN",
    b"[1, 2]",
    b'{"a":' * 31 + b"1" + b"}" * 31,
    b'{"a":' + b"[" * 31 + b"]" * 31 + b"}",
    b'{"a":' + b"[" * 31 + b"]" * 31 + b',"a":1}',
    b'{"k": "\\ud83d\\ude00", "\\u0000": "\xf0\x9f\x98\x80"}',
)
TOKENS = (
    *(b'"status":', b'"offline"', b"NaN", b"-Infinity", b"1e400", b"-0", b"0.1e-400", b"true", b"null", b'"', b"\\"),
    *(
        b"9" * 20,
        b"1" * 310,
        b"\\ud800",
        b"\\udc00",
        b"\\u0000",
        b"\xed\xa0\x80",
        b"\xc0\x80",
        b"\xef\xbb\xbf",
        b"\xff",
    ),
    *(b"[" * 31, b"]" * 31, b"[" * 1100, b",", b":", b"{", b"}", b"\x00", b"\x0b", b"\x1f", b"\x7f", b"\xe2\x80\xa8"),
    *(b"/", b"devices/", b"/data", b"/status", b"/heartbeat", b"+", b"#"),
)
TEXTS = ("", "status", "offline", "OFFLINE", "online", "温度", "\0", "\x7f", "\U0001f600", '"\\/', "a" * 20, "a" * 21)
NUMBERS = (
    0,
    -1,
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    2**64 - 1,
    2**64,
    -(2**63) - 1,
    0.1,
    1e22,
    5e-324,
    1.7976931348623157e308,
)
SPECIAL_BYTES = b"\x00\x01\x02\x7f\x80\x81\xfe\xff"
LONGEST = 4096  # bytes of a changed input


def document(random: Random, levels: int = 4) -> object:
    """A value that JSON can say, with what lies at the edges of texts and numbers."""
    choice = random.random()
    if levels and choice < 0.4:
        names = [random.choice(TEXTS) for _ in range(random.randrange(4))]
        return {name: document(random, levels - 1) for name in names}
    if levels and choice < 0.5:
        return [document(random, levels - 1) for _ in range(random.randrange(4))]
    if choice < 0.7:
        return random.choice(NUMBERS)
    return random.choice((*TEXTS, True, False, None))


def report_payload(random: Random) -> bytes:
    """A JSON object, often with a status."""
    members = {"status": document(random, 1), "v": document(random)} if random.random() < 0.5 else {}
    return json.dumps(members | {random.choice(TEXTS): document(random)}, ensure_ascii=random.random() < 0.5).encode()


def changed(random: Random, data: bytes, others: Sequence[bytes], tokens: Sequence[bytes] = TOKENS) -> bytes:
    """Some bytes made a little different, once or a few times.

    :param others: what pieces are taken from.
    """
    result = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        at = random.randrange(len(result) + 1)
        end = at + random.choice((1, 1, 2, 4, 16, 64))
        match random.randrange(9):
            case 0 if at < len(result):
                result[at] ^= 1 << random.randrange(8)
            case 1:
                result[at:end] = bytes((random.choice(SPECIAL_BYTES),))
            case 2:
                result[at:at] = random.randbytes(random.choice((1, 1, 2, 8)))
            case 3:
                del result[at:end]
            case 4:
                result[at:at] = result[at:end]
            case 5:
                del result[at:]
            case 6:
                other = random.choice(others)
                start = random.randrange(len(other) + 1)
                result[at:end] = other[start : start + random.choice((2, 8, 64))]
            case _:
                result[at : random.choice((at, end))] = random.choice(tokens)
    return bytes(result[:LONGEST])
