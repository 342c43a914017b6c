"""The `preview` engine: procedural lips on the CPU, no weights, no torch."""
