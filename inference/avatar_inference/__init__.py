"""The gRPC server that draws faces: scheduler, engines, compositor, encoder and a small client."""
