"""How a connection is opened: to which server, within what time, and set up as a session of ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pymysql

from .connection import DatabaseConnection
from .donor import refuse_donor
from .errors import Busy, known_meaning
from .nodes import Nodes

CONNECT_TIMEOUT = 10  # s
# Where another server may take over, less patience with one that says nothing. A frozen host takes connections, so each
# answer to a login is waited for as long as one. The last is still above the lock waits, which MySQL looks at once a
# second, and above the 5 s after which a cluster goes on without a member that is silent.
CONNECT_TIMEOUT_OF_SEVERAL, OPENING_TIMEOUT_OF_SEVERAL, READ_TIMEOUT_OF_SEVERAL = 3, 6, 5.5  # s
# A server counts a connection for a moment after it was closed.
CLOSING = 0.1  # s
CLOSING_ATTEMPTS = 5


class Opening:
    """Opens connections to the one of the servers whose turn it is."""

    def __init__(self, nodes: Nodes, open_session: Callable[[Any], None]) -> None:
        """:param open_session: called with each new connection."""
        self.nodes = nodes
        self._open_session = open_session
        self._timeout = OPENING_TIMEOUT_OF_SEVERAL if nodes.are_several else None

    def timeouts(self, read_timeout: float) -> dict[str, float | None]:
        """Of a ``DatabaseConnection``.

        :param read_timeout: seconds after which a silent server is given up, where there is one only.
        """
        connect_timeout: float = CONNECT_TIMEOUT
        login_timeout: float | None = None
        if self.nodes.are_several:
            connect_timeout = login_timeout = CONNECT_TIMEOUT_OF_SEVERAL
            read_timeout = min(read_timeout, READ_TIMEOUT_OF_SEVERAL)
        return {
            "connect_timeout": connect_timeout,
            "login_timeout": login_timeout,
            "read_timeout": read_timeout,
            "write_timeout": read_timeout,
        }

    def begin(self, arguments: dict[str, Any]) -> DatabaseConnection:
        """A connection that is not open yet. :param arguments: PyMySQL's."""
        node = self.nodes.index
        arguments = {**arguments, **self.nodes.arguments(node)}
        when_silent = partial(refuse_donor, arguments) if self.nodes.are_several else None
        connection = DatabaseConnection(when_silent=when_silent, **arguments)
        connection.node = node
        return connection

    def log_in(self, connection: DatabaseConnection, *, is_first: bool) -> None:
        """Dial, log in, and set the session up; more than once where the server may count what was just closed.

        :param is_first: there is no other connection that could be waited for instead.
        :raises StoreError: we do not go on with this server. :raises pymysql.err.Error: it refuses, or is not there.
        """
        for attempt in range(1, CLOSING_ATTEMPTS + 1):
            try:
                with connection.opening(self._timeout):
                    connection.connect()
                    self._open_session(connection)
            except pymysql.err.Error as error:
                if known_meaning(error) is not Busy or not is_first or attempt == CLOSING_ATTEMPTS:
                    raise
                time.sleep(CLOSING)
            else:
                return
