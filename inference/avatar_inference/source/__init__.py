"""Photographs and videos from strangers: opened, looked through for a face, judged. Engines share it."""
