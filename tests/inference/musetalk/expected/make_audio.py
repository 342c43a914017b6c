"""Makes audio.npz by running MuseTalk's own AudioProcessor and PositionalEncoding with seeded weights.

Needs torch, transformers 4.39.2, diffusers 0.30.2 (MuseTalk's own versions), librosa, soundfile and einops.
From the root of the project, PYTHONPATH holding it and inference/:

    python tests/inference/musetalk/expected/make_audio.py MUSETALK

where MUSETALK is a checkout of MuseTalk at 0a89dec. The window arithmetic is recorded with an encoder whose
states are numbers: each tells which audio frame and layer it is.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import librosa
import numpy as np
import soundfile
import torch
import transformers
from tests.inference.musetalk.expected import drawing_cases as cases
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

from avatar_inference.musetalk.layout import TINY


class Numbers:
    """An encoder of numbers, counted over the blocks: 1500 audio frames a block, 5 layers."""

    def __init__(self) -> None:
        self.encoder = self
        self.hidden_states: Any = None
        self.blocks = 0

    def __call__(self, mel: torch.Tensor, output_hidden_states: bool) -> Numbers:
        first = self.blocks * 1500
        self.blocks += 1
        rows = torch.arange(first, first + 1500, dtype=torch.float32) * 5 + 1
        self.hidden_states = [(rows + layer)[None, :, None] for layer in range(5)]
        return self


def windows(processor: Any, samples: int, fps: float) -> np.ndarray:
    """int16 [F, 50]; nothing where MuseTalk gives up."""
    blocks = [torch.zeros(1, 1, 1)] * -(-samples // 480_000)
    try:
        chunks = processor.get_whisper_chunk(blocks, "cpu", torch.float32, Numbers(), samples, fps)
    except (SystemExit, RuntimeError, ValueError):  # too short a sound, or nothing to join
        return np.zeros((0, 50), np.int16)
    return chunks[..., 0].numpy().astype(np.int16)


def whisper() -> WhisperModel:
    model = WhisperModel(WhisperConfig(**TINY.whisper(), decoder_layers=1, decoder_ffn_dim=8)).eval()
    shapes = {name: tuple(tensor.shape) for name, tensor in model.encoder.state_dict().items()}
    made = cases.whisper_weights(shapes, cases.WHISPER_SEED)
    model.encoder.load_state_dict({name: torch.from_numpy(value) for name, value in made.items()})
    return model


def main(musetalk: Path) -> None:
    sys.path.insert(0, str(musetalk))
    from musetalk.models.unet import PositionalEncoding
    from musetalk.utils.audio_processor import AudioProcessor

    out: dict[str, np.ndarray] = {}
    with TemporaryDirectory() as folder:
        WhisperFeatureExtractor().save_pretrained(folder)
        processor = AudioProcessor(folder)
        wav = Path(folder) / "sound.wav"
        soundfile.write(wav, cases.sound(int(cases.SOUND_SECONDS * 16_000)), 16_000, subtype="FLOAT")
        mels, length = processor.get_audio_feature(str(wav))
    out["length"] = np.array(length)
    for number, mel in enumerate(mels):
        out[f"mel_{number}"] = mel[0, ::7, ::61].numpy()
        out[f"mel_{number}_sum"] = mel.double().sum().numpy()

    for fps in (*cases.RATES, 29.97):
        for samples in cases.LENGTHS:
            found = windows(processor, samples, fps)
            # Five layers of ten audio frames follow from their first, which keeps this small.
            first = np.where(found == 0, 0, (found - 1) // 5 + 1)[:, ::5]
            silent = found.reshape(-1, 10, 5) == 0
            layers = found.reshape(-1, 10, 5) - (first[..., None] - 1) * 5
            assert (silent.all(2) == silent.any(2)).all()
            assert (np.where(silent, 1, layers) == np.where(silent, 1, np.arange(1, 6))).all()
            out[f"windows_{fps}_{samples}"] = np.diff(first, axis=0, prepend=np.int16(0))  # packs well
            print(fps, samples, len(first), "frames")

    model = whisper()
    with torch.no_grad():
        states = [model.encoder(mel, output_hidden_states=True).hidden_states for mel in mels]
    for number, each in enumerate(states):
        out[f"states_{number}"] = torch.stack(each, 2)[0, ::101, :, ::11].numpy()
        print("spread of states", [round(float(layer.std()), 2) for layer in each])
    for fps in cases.REAL_RATES:
        with torch.no_grad():
            tokens = processor.get_whisper_chunk(mels, "cpu", torch.float32, model, length, fps)
        out[f"tokens_{fps}"] = tokens[::45, ::7, ::12].numpy()
        out[f"tokens_{fps}_frames"] = np.array(len(tokens))

    encoding = PositionalEncoding(d_model=384)
    out["positions"] = encoding.pe[0, :50:7].numpy()
    half = encoding.half()
    out["placed_half"] = half(torch.from_numpy(cases.tokens(5)).half())[:2, ::7, ::3].numpy()
    versions = (torch, transformers, librosa)
    out["made_with"] = np.array([f"{module.__name__} {module.__version__}" for module in versions])
    np.savez_compressed(Path(__file__).with_name("audio.npz"), **out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
