"""What is counted and what is logged: counters, refusals, outages, lines in two languages, streams."""
