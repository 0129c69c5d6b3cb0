"""Is the chain of thought in the language that was asked for? DeepSeek-R1's language consistency reward."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

from .extract import split_thought
from .types import Completion, Problem, Verdict, not_judged

if TYPE_CHECKING:
    from lingua import LanguageDetector

# Letters and the marks that go with them, as the inside of a character class; digits and punctuation left out.
SCRIPTS: Mapping[str, str] = {
    "latin": "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u1d00-\u1dbf\u1e00-\u1eff\u2c60-\u2c7f"
    "\ua722-\ua7ff\uab30-\uab64\ufb00-\ufb06\uff21-\uff3a\uff41-\uff5a",
    "greek": "\u0370-\u037d\u037f-\u0386\u0388-\u03ff\u1f00-\u1fff",
    "cyrillic": "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f",
    "armenian": "\u0531-\u0556\u0560-\u0588",
    "hebrew": "\u0591-\u05f4",
    "arabic": "\u0610-\u061a\u0620-\u065f\u066e-\u06d3\u06d5-\u06ef\u06fa-\u06ff\u0750-\u077f\u08a0-\u08ff"
    "\ufb50-\ufdff\ufe70-\ufefc",
    "devanagari": "\u0900-\u0963\u0971-\u097f",
    "bengali": "\u0980-\u09e3\u09f0-\u09f1\u09fc",
    "gurmukhi": "\u0a01-\u0a5e\u0a70-\u0a75",
    "gujarati": "\u0a81-\u0ae3\u0af9-\u0aff",
    "oriya": "\u0b01-\u0b63\u0b71",
    "tamil": "\u0b82-\u0bd7",
    "telugu": "\u0c00-\u0c63",
    "kannada": "\u0c80-\u0ce3",
    "malayalam": "\u0d00-\u0d63\u0d7a-\u0d7f",
    "sinhala": "\u0d81-\u0ddf\u0df2-\u0df3",
    "thai": "\u0e01-\u0e3a\u0e40-\u0e4e",
    "lao": "\u0e81-\u0ecd\u0edc-\u0edf",
    "tibetan": "\u0f40-\u0fbc",
    "burmese": "\u1000-\u103f\u1050-\u108f",
    "georgian": "\u10a0-\u10fa\u10fc-\u10ff\u1c90-\u1cbf\u2d00-\u2d2d",
    "ethiopic": "\u1200-\u135f\u1380-\u138f\u2d80-\u2ddf",
    "khmer": "\u1780-\u17d3\u17dc-\u17dd",
    "hangul": "\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7fb",
    "kana": "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    "han": "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af",
}

# Scripts written without spaces between words: so many characters count as one word.
CHARACTERS_PER_WORD = {"han": 1, "kana": 2, "thai": 4, "lao": 4, "khmer": 4, "burmese": 4, "tibetan": 4}
UNSPACED = "".join(SCRIPTS[script] for script in CHARACTERS_PER_WORD)

# The scripts of each language, by its ISO 639-1 code.
LANGUAGES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        "af az bs ca cs cy da de en eo es et eu fi fr ga gl hr hu id is it la lt lv ms mt nb nl nn no pl pt ro sk sl so "
        "sq sv sw tl tr uz vi xh yo zu".split(),
        ("latin",),
    ),
    **dict.fromkeys("be bg kk ky mk mn ru sr tg uk".split(), ("cyrillic",)),
    **dict.fromkeys("ar fa ps ur".split(), ("arabic",)),
    **dict.fromkeys("hi mr ne sa".split(), ("devanagari",)),
    **{"as": ("bengali",), "bn": ("bengali",), "pa": ("gurmukhi",), "gu": ("gujarati",), "or": ("oriya",)},
    **{"ta": ("tamil",), "te": ("telugu",), "kn": ("kannada",), "ml": ("malayalam",), "si": ("sinhala",)},
    **{"th": ("thai",), "lo": ("lao",), "km": ("khmer",), "my": ("burmese",), "bo": ("tibetan",)},
    **{"el": ("greek",), "hy": ("armenian",), "ka": ("georgian",), "he": ("hebrew",), "am": ("ethiopic",)},
    **{"zh": ("han",), "ja": ("han", "kana"), "ko": ("hangul",)},
}
