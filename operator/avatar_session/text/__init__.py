"""From what an LLM writes to what can be spoken, sentence by sentence. Pure functions."""
