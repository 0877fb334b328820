"""The whole service, from PUBLISH to row, among a broker, a database, a disk and clocks that a seed moves."""
