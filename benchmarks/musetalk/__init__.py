"""MuseTalk with random full-size weights: how fast it draws, and how far half precision is from float32.

    python -m benchmarks.musetalk --out musetalk.json                     # on a GPU, about six minutes
    python -m benchmarks.musetalk --layout tiny --device cpu --seconds 0.2 --batches 1,2   # does it run

Nothing is downloaded or started. `reference` draws as the published real-time script does: diffusers' own
networks with `.half()`, batches stacked and concatenated, pictures to the host as float32, resized and
blended by one thread beside. `plain` is our model with launches and norms left to torch, `ours` is what the
engine runs.
"""
