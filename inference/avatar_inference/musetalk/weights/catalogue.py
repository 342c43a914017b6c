"""The published weights: what each part is for, where it comes from, what may be done with it.

Sizes, revisions and SHA-256 are those on which several independent public records of these files agree. A
file that differs is refused, so a wrong entry here can stop a download but never let something else in.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Origin:
    """One published file.

    Attributes:
        repository: "owner/name" on the Hugging Face hub.
        revision: the commit it is taken from.
        file: path in the repository.
        bytes: its size.
        sha256: of its content, 64 hex digits.
    """

    repository: str
    revision: str
    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """One network's weights.

    Attributes:
        name: of the part, and of its file, `<name>.safetensors`.
        purpose: what it does, for people.
        origins: files that hold the same weights; the first is fetched, the others are taken from a folder.
        licence: as its publisher states it.
        caution: what to mind before it is used; empty if there is nothing.
        optional: it is fetched only when asked for; avatars are prepared and drawn without it.
    """

    name: str
    purpose: str
    origins: tuple[Origin, ...]
    licence: str
    caution: str = ""
    optional: bool = False


_VAE = ("stabilityai/sd-vae-ft-mse", "31f26fdeee1355a5c34592e401dd41e45d25a493")
_WHISPER = ("openai/whisper-tiny", "169d4a4341b33bc18d8881c4b69c2e104e1cc0af")

PARTS = (
    Part(
        name="unet",
        purpose="repaints the mouth from the sound (MuseTalk 1.5)",
        origins=(
            Origin(
                "TMElyralab/MuseTalk",
                "3ef28bc5cff08c90ad8178a25f1b570cd800170f",
                "musetalkV15/unet.pth",
                3_400_074_924,
                "7ebf6c98c181e20838e4c0054e96e944ac60d5d692cc01db42839fe11b787007",
            ),
        ),
        licence="any use, commercial included, says its README; its model card says CreativeML OpenRAIL-M",
    ),
    Part(
        name="vae",
        purpose="pictures to latents and back (sd-vae-ft-mse)",
        origins=(
            Origin(
                *_VAE,
                "diffusion_pytorch_model.safetensors",
                334_643_276,
                "a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
            ),
            Origin(
                *_VAE,
                "diffusion_pytorch_model.bin",
                334_707_217,
                "1b4889b6b1d4ce7ae320a02dedaeff1780ad77d415ea0d744b476155c6377ddc",
            ),
        ),
        licence="MIT",
    ),
    Part(
        name="whisper",
        purpose="hears the sound (encoder of whisper-tiny)",
        origins=(
            Origin(
                *_WHISPER,
                "model.safetensors",
                151_061_672,
                "7ebd0e69e78190ffe1438491fa05cc1f5c1aa3a4c4db3bc1723adbb551ea2395",
            ),
            Origin(
                *_WHISPER,
                "pytorch_model.bin",
                151_095_027,
                "9607f98a2b22d9e229ae43c52ecea79dcede9e0c5cfae67e8da6eda86d8aac1d",
            ),
        ),
        licence="MIT; its model card says Apache-2.0",
    ),
    Part(
        name="landmarks",
        purpose="finds 68 points of a face (RTMPose-L of DWPose)",
        origins=(
            Origin(
                "yzd-v/DWPose",
                "1a7144101628d69ee7a3768d1ee3a094070dc388",
                "dw-ll_ucoco_384.pth",
                406_878_486,
                "0d9408b13cd863c4e95a149dd31232f88f2a12aa6cf8964ed74d7d97748c7a07",
            ),
        ),
        licence="Apache-2.0, says its publisher",
        caution="its training data, COCO-WholeBody, is for research and non-commercial use only",
    ),
    Part(
        name="detector",
        purpose="finds faces (S3FD of face-alignment)",
        origins=(
            Origin(
                "ByteDance/LatentSync-1.5",
                "32a20d29aead0498e3e885e90dbbe8027da1b61b",
                "auxiliary/s3fd-619a316812.pth",
                89_843_225,
                "619a31681264d3f7f7fc7a16a42cbbe8b23f31a256f75a366e5a1bcd59b33543",
            ),
        ),
        licence="none named for the weights; the code around them is BSD-3-Clause",
        caution="no licence is named for these weights",
        optional=True,
    ),
    Part(
        name="parser",
        purpose="tells skin, lips and hair apart for upstream's mask (BiSeNet)",
        origins=(
            Origin(
                "ManyOtherFunctions/face-parse-bisent",
                "0073b233a5a3c4b1377d4dbf49245017938a72b5",
                "79999_iter.pth",
                53_289_463,
                "468e13ca13a9b43cc0881a9f99083a430e9c0a38abd935431d1c28ee94b26567",
            ),
        ),
        licence="MIT for the code; trained on CelebAMask-HQ, whose terms allow research only",
        caution="its training data, CelebAMask-HQ, is for non-commercial research only",
        optional=True,
    ),
)
BY_NAME = MappingProxyType({part.name: part for part in PARTS})
REQUIRED = tuple(part.name for part in PARTS if not part.optional)
OPTIONAL = tuple(part.name for part in PARTS if part.optional)
DRAWING = ("unet", "vae", "whisper")
"""What the engine needs to draw; the rest is for preparing avatars."""


def is_published(part: str, sha256: str) -> bool:
    """Whether a file of this hash is the part as it was published."""
    return part in BY_NAME and any(origin.sha256 == sha256 for origin in BY_NAME[part].origins)
