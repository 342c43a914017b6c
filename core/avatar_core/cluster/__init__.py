"""The Kubernetes API as the services of this project use it."""
