"""Weights on disk: what they are, where they come from, how they are read.

Read it in this order: `catalogue` (the parts and their origins), `record` (weights.json), `folder` and
`writing` (a folder of weights), `sample` (random ones for tests). Then `pickled`, `storage`, `checkpoint` and
`convert` (published files to ours) and `download`, all of which `fetch` puts together. Importing this package
does not import torch.
"""

from avatar_inference.musetalk.weights.folder import Weights, default_folder, open_weights
from avatar_inference.musetalk.weights.record import Source
from avatar_inference.musetalk.weights.sample import random_weights
from avatar_inference.musetalk.weights.writing import write_weights

__all__ = ["Source", "Weights", "default_folder", "open_weights", "random_weights", "write_weights"]
