"""Voices: text in, PCM out."""
