"""Sound to what the UNet hears: log-mel spectrum, five hidden states of whisper-tiny's encoder, positions.

The encoder always sees 30 s. It attends to all of them, the silence after the sound included, so the same
sound at another place among the 30 s gives slightly different states.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from transformers import WhisperConfig
from transformers.audio_utils import mel_filter_bank
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from avatar_inference.musetalk.layout import BLOCK_SAMPLES, MELS, SAMPLE_RATE, ModelLayout

FFT, HOP = 400, 160


def empty_encoder(layout: ModelLayout) -> WhisperEncoder:
    """whisper's encoder in float32 on the CPU, freshly initialised by the torch seed."""
    return WhisperEncoder(WhisperConfig(**layout.whisper())).eval()


class LogMel(nn.Module):
    """Whisper's log-mel spectrum, of many blocks at once (Radford et al. 2022; transformers' torch path).

    25 ms Hann windows every 10 ms, power, 80 Slaney mels of 0..8000 Hz, log10 floored 8 below the block's
    loudest value, then (x + 4) / 4.
    """

    window: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        filters = mel_filter_bank(FFT // 2 + 1, MELS, 0.0, SAMPLE_RATE / 2, SAMPLE_RATE, "slaney", "slaney")
        self.register_buffer("window", torch.hann_window(FFT), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters).float().T.contiguous(), persistent=False)

    def forward(self, blocks: Tensor) -> Tensor:
        """float32 [B, 480000], -1..1, silence after the sound, to float32 [B, 80, 3000]."""
        spectrum = torch.stft(blocks, FFT, HOP, window=self.window, return_complex=True)
        power = spectrum[..., :-1].abs() ** 2
        mel = (self.filters @ power).clamp(min=1e-10).log10()
        loudest = mel.amax(dim=(1, 2), keepdim=True)
        return (torch.maximum(mel, loudest - 8) + 4) / 4


class AudioEncoder(nn.Module):
    """Log-mel spectra to hidden states.

    Args:
        encoder: whisper's, weights loaded.
    """

    def __init__(self, encoder: WhisperEncoder) -> None:
        super().__init__()
        self.conv1 = encoder.conv1
        self.conv2 = encoder.conv2
        self.embed_positions = encoder.embed_positions
        self.layers = encoder.layers
        self.layer_norm = encoder.layer_norm

    def forward(self, mel: Tensor) -> Tensor:
        """[B, 80, 3000] in the encoder's dtype to [B, 1500, 5, 384]: 20 ms each, one state a layer.

        The states are the stem's with positions, then each layer's; the last one passes the final norm
        (the convention of transformers' `hidden_states`).
        """
        hidden = nn.functional.gelu(self.conv2(nn.functional.gelu(self.conv1(mel))))
        hidden = hidden.permute(0, 2, 1) + self.embed_positions.weight
        states = [hidden]
        for layer in self.layers:
            hidden = layer(hidden, None)
            states.append(hidden)
        states[-1] = self.layer_norm(hidden)
        return torch.stack(states, dim=2)


class Ear(nn.Module):
    """Sound to hidden states; the spectrum in float32, the encoder in whatever it was cast to.

    Args:
        encoder: whisper's, weights loaded.
    """

    def __init__(self, encoder: WhisperEncoder) -> None:
        super().__init__()
        self.mel = LogMel()
        self.encoder = AudioEncoder(encoder)

    @torch.inference_mode()
    def forward(self, blocks: Tensor) -> Tensor:
        """float32 [B, n <= 480000], padded with silence to 30 s, to [B, 1500, 5, 384]."""
        padded = nn.functional.pad(blocks.float(), (0, BLOCK_SAMPLES - blocks.shape[1]))
        mel = self.mel(padded).to(self.encoder.conv1.weight.dtype)
        return cast("Tensor", self.encoder(mel))


def positions(count: int, width: int) -> Tensor:
    """The positional encoding that is added to the tokens: float32 [count, width].

    PE[p, 2k] = sin(p exp(-2k ln 10000 / width)), PE[p, 2k + 1] = cos of the same (Vaswani et al. 2017, 3.5);
    p counts tokens, not time. Computed in float32, in this order, as the published weights were trained.
    """
    steps = torch.arange(count, dtype=torch.float32).unsqueeze(1)
    angles = steps * torch.exp(torch.arange(0, width, 2).float() * (-math.log(10000.0) / width))
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
