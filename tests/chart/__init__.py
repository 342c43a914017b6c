"""The Helm chart: what its values make of it, and what a real API server says of that."""
