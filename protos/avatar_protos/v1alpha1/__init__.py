"""Generated from protos/avatars/inference/v1alpha1/lip_sync.proto."""
