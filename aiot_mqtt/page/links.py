"""Addresses within the page."""

from __future__ import annotations

from urllib.parse import urlencode

ASK_PLACE = "#why-head"  # where one is asked about, and answered


def ask_address(uuid: str, language: str) -> str:
    """Where one device is explained."""
    return "/?" + urlencode({"lang": language, "uuid": uuid}, errors="replace") + ASK_PLACE


def page_address(language: str, *, devices: bool = False, uuid: str = "") -> str:
    """The page itself; with what shows devices, for which a browser asks its user."""
    given = {"lang": language}
    if uuid:
        given["uuid"] = uuid
    elif devices:
        given["devices"] = ""
    return "/?" + urlencode(given, errors="replace")


def events_address(language: str, *, devices: bool) -> str:
    """Where what changes is sent."""
    return "/events?" + urlencode({"lang": language, **({"devices": ""} if devices else {})})
