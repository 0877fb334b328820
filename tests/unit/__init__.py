"""Units on pure values and a clock that the test moves: no network, no global reactor, no sleep."""
