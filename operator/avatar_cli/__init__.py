"""The `avatar` command: one talking video from a manifest or a few flags, on this machine."""
