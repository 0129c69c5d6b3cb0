"""Is the chain of thought in the language that was asked for? DeepSeek-R1's language consistency reward."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from threading import Lock

from .extract import split_thought
from .types import Completion, Problem, Verdict, not_judged

# The letters of each script and the marks that go with them, as the inside of a character class. No digits.
SCRIPTS: Mapping[str, str] = {
    "latin": "A-Za-z\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u1d00-\u1dbf\u1e00-\u1eff\u2c60-\u2c7f"
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

# Written without spaces: so many characters are one word, the rest of a run one more.
CHARACTERS_PER_WORD: Mapping[str, int] = {
    "han": 1, "kana": 2, "thai": 4, "lao": 4, "khmer": 4, "burmese": 4, "tibetan": 4
}  # fmt: skip
UNSPACED = "".join(SCRIPTS[script] for script in CHARACTERS_PER_WORD)

_LANGUAGES_OF = {
    "latin": "af az bs ca cs cy da de en eo es et eu fi fr ga gl hr hu id is it la lt lv ms mt nb nl nn no pl pt ro sk"
    " sl so sq sv sw tl tr uz vi xh yo zu",
    "cyrillic": "be bg kk ky mk mn ru sr tg uk",
    "arabic": "ar fa ps ur",
    "devanagari": "hi mr ne sa",
    "bengali": "as bn",
} | {
    "armenian": "hy", "burmese": "my", "ethiopic": "am", "georgian": "ka", "greek": "el", "gujarati": "gu",
    "gurmukhi": "pa", "han": "zh", "hangul": "ko", "hebrew": "he", "kannada": "kn", "khmer": "km", "lao": "lo",
    "malayalam": "ml", "oriya": "or", "sinhala": "si", "tamil": "ta", "telugu": "te", "thai": "th", "tibetan": "bo",
}  # fmt: skip
# ISO 639-1 code -> the scripts whose words count for it.
LANGUAGES: Mapping[str, frozenset[str]] = {
    **{code: frozenset({script}) for script, codes in _LANGUAGES_OF.items() for code in codes.split()},
    "ja": frozenset({"han", "kana"}),
}

_START_OF_THOUGHT = re.compile(
    r"\s*(?:<think>|<\|begin_of_thought\|>|<thinking>|<thought>|<seed:think>|\[THINK\]|◁think▷"
    r"|<\|channel\|>analysis<\|message\|>)"
)
# Marks that join or decorate letters without being one: accents on their own, zero-width marks, variation selectors.
_INVISIBLE = re.compile("[\u00ad\u0300-\u036f\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff]+")
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s|[。！？।؟\n]")
_LONGEST_SENTENCE = 50  # words; a longer one is cut, so that no "sentence" hides a change of language


@cache
def _runs() -> re.Pattern[str]:
    """Runs of letters by script. Compiled when first needed: it is large."""
    return re.compile(
        "(?P<identifier>[A-Za-z\u00b5]*+[0-9_][A-Za-z0-9_\u00b5]*+)"
        + "".join(f"|(?P<{script}>[{letters}]+)" for script, letters in SCRIPTS.items())
        + rf"|(?P<other>[^\W\d_\u2070-\u218f\U0001d400-\U0001d7ff{''.join(SCRIPTS.values())}]+)"
    )


_OPERATORS = frozenset({
    "arccos", "arcsin", "arctan", "cos", "cosh", "cot", "csc", "deg", "det", "dim", "exp", "gcd", "inf", "ker", "lcm",
    "lim", "ln", "log", "max", "min", "mod", "sec", "sin", "sinh", "sup", "tan", "tanh",
})  # fmt: skip


@cache
def _tokens() -> re.Pattern[str]:
    return re.compile(
        r"""^[ \t]{0,8}(?P<fence>`{3,}+|~{3,}+)[^`\n]*+$
          | (?P<code>`+)
          | (?P<math>\$\$? | \\[\[\]()] | \\(?:begin|end)\{(?:equation|align|alignat|aligned|gather|gathered|multline
              |split|eqnarray|array|cases|[bBpvV]?matrix|smallmatrix|tabular|tikzpicture|asy)\*?\})
          | \\.
          | (?P<gap>\n(?:[^\S\n]*+\n)?)""",
        re.VERBOSE | re.MULTILINE | re.DOTALL,
    )


_CLOSERS = {"$": "$", "$$": "$$", r"\(": r"\)", r"\[": r"\]"}
_NOISE = (
    r"(?:https?://|www\.)[!-~]+"
    r"|</?[A-Za-z|][^<>\s]{0,40}>"
    r"|\\(?:text[a-z]{0,6}|[mf]box|emph|underline|(?:sub){0,2}section|caption|footnote)\*?\s?\{([^{}]*+)\}"
    r"|\\[A-Za-z]+\*?(?:\s?(?:\[[^][]*+\]|\{[^{}]*+(?:\{[^{}]*+\}[^{}]*+)*+\}))*"
)
_IN_PROSE = re.compile(_NOISE)


@cache
def _in_formula() -> re.Pattern[str]:
    return re.compile(rf"{_NOISE}|[{SCRIPTS['latin']}{SCRIPTS['greek']}]+")


_CHUNK = 25  # words that are enough to tell languages apart
_MOST_CHUNKS = 1000
_DOUBT = 1e-5  # so probable the target language counts: jargon and siblings are in doubt, other languages are not

# Nobody is inside lingua while the process forks: its own locks would stay locked in the child for ever.
_LINGUA = Lock()
os.register_at_fork(before=_LINGUA.acquire, after_in_parent=_LINGUA.release, after_in_child=_LINGUA.release)

_Word = tuple[str, str, int]  # script, text, how many words it counts as


def verify_language(
    problem: Problem,
    completion: Completion,
    /,
    *,
    language: str = "en",
    identify: bool = False,
    at_least: float = 1.0,
    without_words: float | None = None,
) -> Verdict:
    r"""The share of words in the chain of thought that are in `language` (an ISO 639-1 code, a key of `LANGUAGES`).

    `status` is `correct` when the share is `at_least` that much, else `wrong`; the score is the share either way. The
    problem is not looked at. Without words the score is `without_words` (reason `no_words`): None, not judged, for a
    measurement; 0 in a reward, or a policy that writes no words is paid what the trainer pays for faults of ours.

    The chain of thought is what stands before the last end-of-thought mark (`</think>` and its like), without its
    opening mark; without an end mark, the whole text.

    A word is a run of letters. Chinese counts by the character, Japanese kana by two, and Thai, Lao, Khmer, Burmese and
    Tibetan by four, a rest being one more; Korean by spaces. No words, neither for nor against any language, are:

    - code (closed fences, inline code), URLs, tags, digits, symbols;
    - letters beside a digit (`3cm`, `x1`), a single letter (`x`, so also "I" and "a"; a Hangul syllable does count), up
      to four capitals (`AB`, `GCD`), names of functions (`sin`, `max`);
    - Latin and Greek letters in formulas: `$…$` on one line, `$$…$$`, `\(…\)`, `\[…\]` in one paragraph, environments
      of mathematics. Other scripts are words there too, and so is the text of `\text{…}`, `\textbf{…}` and their like
      where it is two words or more: `\text{cm}` is a unit, `\text{for all}` is language;
    - `\command{…}` outside formulas, with the same exception.

    Words are told apart by script, so `en` asks for Latin script, `ru` for Cyrillic and `ar` for Arabic: English and
    French, Russian and Ukrainian, Arabic and Persian look the same. Han counts for `zh` and for `ja`; in a sentence
    with kana it is Japanese and does not count for `zh`.

    `identify=True` also tells languages of one script apart, by lingua (`pip install 'rlvr[language]'`). The words of
    the right script are put to it in chunks of whole sentences of 25 words or more (1,000 chunks at most). A chunk
    counts unless lingua's confidence in `language` is under 1e-5: jargon gets more, another language much less. Latin
    and Esperanto do not compete, technical English looks like them. Under 25 words in all the script alone decides.
    Siblings (Indonesian and Malay, Bosnian and Croatian, Hindi and Marathi) often pass for each other, and a chunk that
    mixes two languages goes to either.

    Raises ValueError for an unknown language (with `identify`, also one that lingua does not know) and unless
    `at_least` and `without_words` are from 0 to 1; ImportError when `identify` needs lingua and it is not installed.
    Source: DeepSeek-R1, arXiv:2501.12948, section 2.3.2, "the proportion of target language words in the CoT".

    >>> from rlvr.verifiers import Completion, Problem, verify_language
    >>> verify_language(Problem("1"), Completion("<think>First add them, 然后 $x$ is even.</think>4")).detail
    '5 of 7 words are in en; han 2'
    """
    if not 0 <= at_least <= 1:
        raise ValueError(f"at_least is a share from 0 to 1, not {at_least}")
    if without_words is not None and not 0 <= without_words <= 1:
        raise ValueError(f"without_words is a score from 0 to 1 or None, not {without_words}")
    if language not in LANGUAGES:
        raise ValueError(f"unknown language {language!r}; known are {', '.join(sorted(LANGUAGES))}")
    is_target = _identifier(language) if identify else None
    scripts = LANGUAGES[language]
    sentences = [_words(sentence) for sentence in _sentences(_prose(_chain_of_thought(completion.text)))]
    counts: Counter[str] = Counter()
    for script, _, size in (word for sentence in sentences for word in sentence):
        counts[language if script in scripts else script] += size
    total = counts.total()
    if total == 0:
        nothing = "the chain of thought holds no words"
        if without_words is None:
            return not_judged("no_words", nothing)
        status = "correct" if without_words >= at_least else "wrong"
        return Verdict(without_words, status, "no_words", detail=nothing)
    if is_target:
        foreign = _foreign_words(sentences, scripts, is_target)
        counts.update({language: -foreign, "another language": foreign})
    share = counts[language] / total
    others = ", ".join(f"{name} {size}" for name, size in counts.most_common() if size and name != language)
    detail = f"{counts[language]} of {total} words are in {language}" + (f"; {others}" if others else "")
    if share >= at_least:
        return Verdict(share, "correct", "language_consistent", detail=detail)
    return Verdict(share, "wrong", "language_mixed", detail=detail)


def _chain_of_thought(text: str) -> str:
    thought, answer = split_thought(text)
    chain = thought if len(answer) < len(text) else text  # an answer as long as the text: there is no end mark
    opening = _START_OF_THOUGHT.match(chain)
    return chain[opening.end() :] if opening else chain


def _prose(text: str) -> str:
    """The text without code, formulas, commands, URLs and tags, but with the words that stand in formulas."""
    pieces: list[str] = []
    kept, opened, closer = 0, None, None
    for token in _tokens().finditer(text):
        if opened is None or closer is None:
            opened, closer = token, _closer(token)
        elif _closes(token, opened, closer):
            inside = text[opened.end() : token.start()] if opened.lastgroup == "math" else ""
            pieces += [text[kept : opened.start()], _in_formula().sub(_phrase, inside)]
            kept, opened = token.end(), None
        elif _breaks_off(token, opened):
            opened = None
    return _INVISIBLE.sub("", _IN_PROSE.sub(_phrase, " ".join([*pieces, text[kept:]])))


def _closer(token: re.Match[str]) -> str | None:
    """What ends the code or the formula that a token starts, None when it starts none."""
    if token.lastgroup in ("fence", "code"):
        return token[token.lastgroup]
    if token[0].startswith("\\begin"):
        return token[0].replace("begin", "end", 1)
    return _CLOSERS.get(token[0])


def _closes(token: re.Match[str], opened: re.Match[str], closer: str) -> bool:
    if opened.lastgroup == "fence":  # it ends at a line of at least as many marks and nothing else
        return token.lastgroup == "fence" and token[0].strip() == token["fence"] and token["fence"].startswith(closer)
    return token[0] == closer


def _breaks_off(token: re.Match[str], opened: re.Match[str]) -> bool:
    """Whether what was opened was no code and no formula after all: it reached the end of its line or paragraph."""
    if token.lastgroup != "gap" or opened.lastgroup == "fence":
        return False
    return opened.lastgroup == "code" or opened[0] == "$" or token[0].count("\n") == 2


def _phrase(noise: re.Match[str]) -> str:
    """What stays of a command or a symbol: its text when that is at least two words."""
    text = noise[1] or ""
    return f" {text} " if sum(size for _, _, size in _words(text)) >= 2 else " "


def _sentences(text: str) -> Iterator[str]:
    """Sentences and lines, their white space collapsed."""
    for sentence in filter(None, _SENTENCE_END.split(text)):
        words = sentence.split()
        for start in range(0, len(words), _LONGEST_SENTENCE):
            yield " ".join(words[start : start + _LONGEST_SENTENCE])


def _words(sentence: str) -> list[_Word]:
    """The words of a sentence. Han beside kana counts as kana: it is Japanese."""
    words: list[_Word] = []
    for run in _runs().finditer(sentence):
        script, text = run.lastgroup or "", run[0]
        if script in CHARACTERS_PER_WORD:
            words.append((script, text, -(-len(text) // CHARACTERS_PER_WORD[script])))
        elif script == "hangul" or not _is_symbol(script, text):
            words.append((script, text, 1))
    if any(script == "kana" for script, _, _ in words):
        return [("kana" if script == "han" else script, text, size) for script, text, size in words]
    return words


def _is_symbol(script: str, text: str) -> bool:
    """Letters that are no word: a variable, a point, an abbreviation, a function, an identifier, a numeral."""
    if script == "identifier" or len(text) == 1 or text in _OPERATORS:
        return True
    return (len(text) <= 4 and text.isupper()) or (script == "other" and not text.isalpha())


def _foreign_words(sentences: list[list[_Word]], scripts: frozenset[str], is_target: Callable[[str], bool]) -> int:
    """How many words of the right script stand in chunks of another language."""
    own = [[word for word in sentence if word[0] in scripts] for sentence in sentences]
    total = sum(size for sentence in own for _, _, size in sentence)
    chunks: list[tuple[list[str], int]] = []
    texts: list[str] = []
    words = 0
    for sentence in own:
        texts += [text for _, text, _ in sentence]
        words += sum(size for _, _, size in sentence)
        if words >= max(_CHUNK, total / _MOST_CHUNKS):
            chunks.append((texts, words))
            texts, words = [], 0
    if chunks and words:  # the rest is too short to stand alone
        last, size = chunks.pop()
        chunks.append((last + texts, size + words))
    return sum(size for texts, size in chunks if not is_target(" ".join(texts)))


@cache
def _identifier(language: str) -> Callable[[str], bool]:
    """Whether a text is in a language rather than in another one of its script."""
    with _LINGUA:
        try:
            from lingua import Language, LanguageDetectorBuilder
        except ImportError as error:
            raise ImportError("verify_language(identify=True) needs lingua: pip install 'rlvr[language]'") from error

        known = {member.iso_code_639_1.name.lower(): member for member in Language.all()}
        if language not in known:
            codes = ", ".join(sorted(known.keys() & LANGUAGES.keys()))
            raise ValueError(f"lingua cannot identify {language!r}; it knows {codes}")
        target = known.pop(language)
        competing = sorted((known.keys() & LANGUAGES.keys()) - {"la", "eo"})
        rivals = [known[code] for code in competing if LANGUAGES[code] & LANGUAGES[language]]
        if not rivals:
            return lambda text: True
        # Not preloaded: lingua does that in a pool of threads, which hangs in a forked process. In low accuracy mode
        # (70 MB instead of 900) it is as good on texts of 120 characters and more.
        detector = LanguageDetectorBuilder.from_languages(target, *rivals).with_low_accuracy_mode().build()

    def is_target(text: str) -> bool:
        with _LINGUA:
            return detector.compute_language_confidence(text, target) >= _DOUBT

    return is_target
