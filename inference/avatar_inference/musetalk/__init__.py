"""The `musetalk` engine: MuseTalk 1.5, a face repainted from the sound in one pass of a diffusion UNet.

Read it in this order: `layout` (sizes), `windows` (which sound a frame hears), `audio` (sound to tokens),
`unet` and `vae` (tokens and latents to pictures), `model` (the three on a device), `listener` (tokens as sound
arrives), `engine` (all of it behind the protocol of `avatar_inference.engine`). Nothing outside this folder
imports torch, diffusers or transformers.
"""
