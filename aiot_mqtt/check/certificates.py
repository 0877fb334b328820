"""How long a certificate is still good."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from cryptography import x509

from .findings import Findings
from .texts import Text
from .texts import broker as texts
from .texts import database as database_texts

SOON = 21  # days; what renews itself does so at 30


def probe_expiry(
    probe: str, certificate: x509.Certificate, which: Text, findings: Findings, *, is_ours: bool = False
) -> None:
    """Tell when it ends.

    :param which: what it is called.
    :param is_ours: the service has read it at its start.
    """
    name, _ = which.filled({})
    then, _ = (database_texts.THEN_RESTART if is_ours else database_texts.AT_NEXT_CONNECTION).filled({})
    ends = certificate.not_valid_after_utc
    days = (ends - datetime.now(timezone.utc)).days
    values = {"which": name, "days": days, "date": f"{ends:%Y-%m-%d %H:%M} UTC", "then": then}
    if days < 0:
        findings.error(probe, texts.CERTIFICATE_ENDED, **values)
    elif days < SOON:
        findings.warning(probe, texts.CERTIFICATE_ENDS, **values)
    else:
        findings.ok(probe, texts.CERTIFICATE, **values)


def probe_certificates(
    probe: str,
    shown: x509.Certificate | None,
    names: tuple[Text, Text],
    findings: Findings,
    *,
    pin: str,
    own_file: str,
) -> None:
    """Tell of the peer's, and of ours.

    :param shown: the peer's; None: it was not seen.
    :param names: what the peer's and ours are called.
    :param pin: the fingerprint that is all that counts of it; empty: none.
    :param own_file: PEM; empty: none.
    """
    theirs, ours = names
    if pin:
        which, _ = theirs.filled({})
        findings.ok(probe, texts.CERTIFICATE_PINNED, which=which)
    elif shown is not None:
        probe_expiry(probe, shown, theirs, findings)
    if own_file:
        own = x509.load_pem_x509_certificates(Path(own_file).read_bytes())[0]
        probe_expiry(probe, own, ours, findings, is_ours=True)
