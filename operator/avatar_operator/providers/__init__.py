"""Providers: what is wrong with one is told before a session meets it."""
