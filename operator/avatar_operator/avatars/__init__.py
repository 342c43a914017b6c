"""Avatars: a face is prepared once by a Job, and stays for as long as sessions use it."""
