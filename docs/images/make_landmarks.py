"""Draws landmarks.jpg: the 68 points with their numbers, and the mask they give.

From the root of the project: PYTHONPATH=. .venv/bin/python docs/images/make_landmarks.py
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from tests.support.landmarks import ASTRONAUT
from tests.support.portraits import astronaut

from avatar_inference.musetalk.facebox import corners, lowered, within
from avatar_inference.musetalk.polygon import polygon_mask

SCALE = 7
LEFT, TOP, RIGHT, BOTTOM = 168, 44, 284, 200
POINT, TEXT, BOX, MASK = (255, 60, 40), (255, 255, 255), (255, 196, 0), (0, 160, 255)


def enlarged(image: Image.Image) -> Image.Image:
    part = image.crop((LEFT, TOP, RIGHT, BOTTOM))
    return part.resize((part.width * SCALE // 2, part.height * SCALE // 2), Image.Resampling.LANCZOS)


def main() -> None:
    portrait = Image.fromarray(astronaut())
    half = SCALE / 2
    numbered = enlarged(portrait)
    draw, font = ImageDraw.Draw(numbered), ImageFont.load_default(9)
    for number, (x, y) in enumerate((ASTRONAUT + 0.5 - (LEFT, TOP)) * half):
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=POINT)
        draw.text((x + 3, y - 9), str(number), fill=TEXT, stroke_width=1, stroke_fill=(0, 0, 0), font=font)
    box = within(lowered(corners(ASTRONAUT), 10, 512), 512, 512)
    assert box is not None
    mask = Image.new("L", portrait.size, 0)
    mask.paste(Image.fromarray(polygon_mask(ASTRONAUT, box)).point(lambda value: value * 0.6), (box.x, box.y))
    masked = enlarged(Image.composite(Image.new("RGB", portrait.size, MASK), portrait, mask))
    edges = (box.x, box.y, box.x + box.width, box.y + box.height)
    place = [(edge - start) * half for edge, start in zip(edges, (LEFT, TOP, LEFT, TOP), strict=True)]
    ImageDraw.Draw(masked).rectangle(place, outline=BOX, width=2)
    sheet = Image.new("RGB", (2 * numbered.width + 8, numbered.height), (255, 255, 255))
    sheet.paste(numbered, (0, 0))
    sheet.paste(masked, (numbered.width + 8, 0))
    sheet.save(Path(__file__).with_name("landmarks.jpg"), quality=88)


if __name__ == "__main__":
    main()
