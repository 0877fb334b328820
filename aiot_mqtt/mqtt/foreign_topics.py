"""Which subscriptions of an older program a kept session may hold. Pure."""

from __future__ import annotations

LONGEST_FILTER = 65_535  # bytes
MOST_LEVELS = 8  # above which a wildcard is tried


def likely_filters(topic: str) -> set[str]:
    """Filters that may have brought a message on a topic that is none of ours.

    Nobody tells which one it was, so all that is likely is tried: the topic, one of our form under another prefix, and
    the wildcards above it.
    """
    before, _, kind = topic.rpartition("/")
    prefix = before.rpartition("/")[0]
    levels = before.split("/")
    above = ["#", *("/".join([*levels[:depth], "#"]) for depth in range(1, min(len(levels), MOST_LEVELS) + 1))]
    # Not every topic name makes a filter: that has 1 to 65,535 bytes (section 4.7.3), and some of these are longer
    # than the topic.
    return {name for name in (topic, f"{prefix}/+/{kind}", *above) if 0 < len(name.encode()) <= LONGEST_FILTER}
