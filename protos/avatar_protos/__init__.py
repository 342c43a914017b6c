"""Generated code of the gRPC contract; `protos/generate.py` makes it."""
