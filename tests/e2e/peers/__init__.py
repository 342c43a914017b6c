"""Servers of other people, as pods of the cluster: an LLM proxy, a speech server, an S3 server."""
