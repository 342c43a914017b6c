"""The sizes of the networks. Names and numbers are those of the published configs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LATENT_SIDE = 32
"""Latents are [4, 32, 32]: a crop of 256 pixels, divided by 8."""
LATENT_SCALE = 0.18215
"""What VAE latents are multiplied by; absent from the VAE's config, so diffusers' default applies."""
SAMPLE_RATE = 16_000
BLOCK_SAMPLES = 480_000
"""The audio encoder hears 30 s at a time."""
MELS = 80


@dataclass(frozen=True, slots=True)
class ModelLayout:
    """Sizes of all networks; the defaults are MuseTalk 1.5's. Tests use smaller ones.

    Attributes:
        unet_channels: of the UNet's four levels.
        heads: attention heads at every UNet level (what the config calls `attention_head_dim`).
        unet_groups: of the UNet's group norms.
        vae_channels: of the VAE's four levels.
        vae_groups: of the VAE's group norms.
        width: of an audio token.
        audio_layers, audio_heads, audio_hidden: of the audio encoder (whisper-tiny).
        finder_width: channels of the first stage of the landmark network, the face detector and the face
            parser (RTMPose-L, S3FD, BiSeNet); all their other widths are multiples of it.
    """

    unet_channels: tuple[int, int, int, int] = (320, 640, 1280, 1280)
    heads: int = 8
    unet_groups: int = 32
    vae_channels: tuple[int, int, int, int] = (128, 256, 512, 512)
    vae_groups: int = 32
    width: int = 384
    audio_layers: int = 4
    audio_heads: int = 6
    audio_hidden: int = 1536
    finder_width: int = 64

    @property
    def states(self) -> int:
        """Hidden states of the audio encoder in a token window: after the stem and after each layer."""
        return self.audio_layers + 1

    def unet(self) -> dict[str, Any]:
        """Arguments of UNet2DConditionModel: Stable Diffusion 1.4's, but for `in_channels` and width."""
        return {
            "sample_size": 64,
            "in_channels": 8,
            "out_channels": 4,
            "down_block_types": (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
            "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
            "block_out_channels": self.unet_channels,
            "layers_per_block": 2,
            "attention_head_dim": self.heads,
            "cross_attention_dim": self.width,
            "norm_num_groups": self.unet_groups,
            "norm_eps": 1e-5,
            "act_fn": "silu",
            "flip_sin_to_cos": True,
            "freq_shift": 0,
            "downsample_padding": 1,
            "mid_block_scale_factor": 1,
            "center_input_sample": False,
        }

    def vae(self) -> dict[str, Any]:
        """Arguments of diffusers' AutoencoderKL (stabilityai/sd-vae-ft-mse)."""
        return {
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": 4,
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
            "block_out_channels": self.vae_channels,
            "layers_per_block": 2,
            "norm_num_groups": self.vae_groups,
            "act_fn": "silu",
            "sample_size": 256,
            "scaling_factor": LATENT_SCALE,
        }

    def whisper(self) -> dict[str, Any]:
        """Arguments of transformers' WhisperConfig that decide the encoder (openai/whisper-tiny)."""
        return {
            "d_model": self.width,
            "encoder_layers": self.audio_layers,
            "encoder_attention_heads": self.audio_heads,
            "encoder_ffn_dim": self.audio_hidden,
            "num_mel_bins": MELS,
            "max_source_positions": 1500,
        }


MUSETALK = ModelLayout()
TINY = ModelLayout(
    unet_channels=(16, 32, 32, 32),
    heads=2,
    unet_groups=8,
    vae_channels=(8, 16, 16, 16),
    vae_groups=4,
    audio_hidden=64,
    finder_width=8,
)
"""For tests: the same graph, a few thousandths of the weights. Tokens keep their width."""
