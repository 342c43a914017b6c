"""The `musetalk` engine: MuseTalk 1.5, a face repainted from the sound in one pass of a diffusion UNet.

Drawing, in this order: `layout` (sizes), `windows` (which sound a frame hears), `audio` (sound to states),
`hearing` (one encoder for all streams), `listener` (tokens as sound arrives), `unet` and `vae` (tokens and
latents to pictures), `model` (both on a device), `fused` (norms on a GPU), `engine` (all of it behind the
protocol of `avatar_inference.engine`).

Preparing: `landmarks` and `points` (68 points of a face, by `rtmpose`), `faces` (`s3fd`), `labels`
(`bisenet`), `smoothing` and `facebox` (where a face is repainted), `crop`, `polygon` and `mask` (how it is
cut out and put back), `pose`, `finders` (the networks as plain functions), `prepare` (all of it).

`weights` holds how weights are fetched, converted and read. Nothing outside this folder imports torch,
diffusers or transformers.
"""
