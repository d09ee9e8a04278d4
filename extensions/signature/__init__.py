"""Writes the text in `extensions/signature/text.txt` into the lower right corner of every picture; without that file nothing.

The pictures of a zoom stay as they are: their seams would not match.
"""

from pathlib import Path

from app.extensions import hook

TEXT = Path(__file__).with_name("text.txt")


@hook
def change_image(image, request):
    text = TEXT.read_text(encoding="utf-8").strip()[:80] if TEXT.is_file() else ""
    return None if not text or request.task == "zoom" else signed(image, text)


def signed(image, text):
    """A copy with the text in white on a soft shadow, at about a thirtieth of the height."""
    from PIL import ImageDraw, ImageFont

    size = max(8, image.height // 30)
    image, font, margin = image.copy(), ImageFont.load_default(size), size // 2
    place = (image.width - margin, image.height - margin)
    draw = ImageDraw.Draw(image)
    draw.text((place[0] + 1, place[1] + 1), text, fill=(0, 0, 0), font=font, anchor="rs")
    draw.text(place, text, fill=(255, 255, 255), font=font, anchor="rs")
    return image
