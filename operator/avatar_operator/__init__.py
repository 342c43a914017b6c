"""The controller: what a session's objects look like now, what is to be done about it, and doing it."""
