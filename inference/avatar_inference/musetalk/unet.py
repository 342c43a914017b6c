"""The UNet, once, at t = 0: what a face's lower half looks like, as a latent, while this sound is heard.

MuseTalk has no diffusion loop: the network of Stable Diffusion 1.4 was trained to give the clean latent
at once.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn


class OneStepUNet(nn.Module):
    """diffusers' UNet2DConditionModel with its time embedding at t = 0 folded into biases.

    A residual block adds proj(silu(e(t))) to its first convolution; with t always 0 that is a constant of
    each channel, so it joins the convolution's bias. Nothing else changes.

    Args:
        unet: weights loaded, in float32 (folding in half precision would round twice). It is taken over and
            can't be used alone any more.
    """

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        _fold_time(unet)
        self.conv_in = unet.conv_in
        self.down_blocks = unet.down_blocks
        self.mid_block = unet.mid_block
        self.up_blocks = unet.up_blocks
        self.conv_norm_out = unet.conv_norm_out
        self.conv_act = unet.conv_act
        self.conv_out = unet.conv_out

    def forward(self, latents: Tensor, tokens: Tensor) -> Tensor:
        """One pass.

        Args:
            latents: [B, 8, 32, 32]: of the picture with its lower half black, then of the whole picture, both
                scaled by 0.18215.
            tokens: [B, 50, 384], positions added (`audio.positions`).

        Returns:
            [B, 4, 32, 32]: the clean latent, scaled alike.
        """
        hidden = self.conv_in(latents)
        skips: tuple[Tensor, ...] = (hidden,)
        for block in self.down_blocks:
            hidden, more = _call(block, hidden, tokens)
            skips += more
        hidden = _call(self.mid_block, hidden, tokens)
        for block in self.up_blocks:
            used = len(block.resnets)
            skips, taken = skips[:-used], skips[-used:]
            hidden = _call(block, hidden, tokens, res_hidden_states_tuple=taken)
        return cast("Tensor", self.conv_out(self.conv_act(self.conv_norm_out(hidden))))


def _call(block: nn.Module, hidden: Tensor, tokens: Tensor, **more: Any) -> Any:
    """A block with cross-attention hears the tokens. None stands for the folded time."""
    if getattr(block, "has_cross_attention", False):
        more["encoder_hidden_states"] = tokens
    return block(hidden, temb=None, **more)


@torch.no_grad()
def _fold_time(unet: UNet2DConditionModel) -> None:
    zero = torch.zeros(1, dtype=torch.long, device=unet.device)
    embedding = unet.time_embedding(unet.time_proj(zero).to(unet.dtype))
    for block in unet.modules():
        if isinstance(block, ResnetBlock2D) and block.time_emb_proj is not None:
            block.conv1.bias += block.time_emb_proj(nn.functional.silu(embedding))[0]
            block.time_emb_proj = None
