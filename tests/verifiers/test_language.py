"""verify_language: what counts as a word, which words count for a language, and identification by lingua."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rlvr.verifiers import REASONS, Completion, Problem, language, verify_language

PROBLEM = Problem("1")


def judge(text: str, code: str = "en", **options):
    return verify_language(PROBLEM, Completion(text), language=code, **options)


SENTENCES = {
    "en": "Since the remainder must be smaller than the divisor, only three and five are left, so let me check both.",
    "de": "Da der Rest kleiner als der Teiler sein muss, kommen nur drei und fünf in Frage, also prüfe ich beide.",
    "fr": "Puisque le reste doit être plus petit que le diviseur, seuls trois et cinq conviennent, vérifions les deux.",
    "es": "Como el resto debe ser menor que el divisor, solo quedan tres y cinco, así que voy a comprobar los dos.",
    "it": "Poiché il resto deve essere minore del divisore, restano solo tre e cinque, quindi li controllo entrambi.",
    "pt": "Como o resto deve ser menor que o divisor, sobram apenas três e cinco, então vou verificar os dois.",
    "vi": "Vì số dư phải nhỏ hơn số chia nên chỉ còn lại ba và năm, vậy ta hãy kiểm tra cả hai.",
    "ru": "Так как остаток должен быть меньше делителя, остаются только три и пять, поэтому проверю оба.",
    "uk": "Оскільки остача має бути меншою за дільник, залишаються лише три і п'ять, тому перевірю обидва.",
    "ar": "بما أن الباقي يجب أن يكون أصغر من القاسم، فإن المرشحين الوحيدين هما ثلاثة وخمسة.",
    "fa": "چون باقی‌مانده باید از مقسوم‌علیه کوچک‌تر باشد، تنها سه و پنج باقی می‌مانند.",
    "hi": "चूँकि शेषफल भाजक से छोटा होना चाहिए, इसलिए केवल तीन और पाँच बचते हैं।",
    "th": "เนื่องจากเศษต้องน้อยกว่าตัวหาร จึงเหลือเพียงสามและห้า",
    "el": "Αφού το υπόλοιπο πρέπει να είναι μικρότερο από τον διαιρέτη, μένουν μόνο το τρία και το πέντε.",
    "he": "מכיוון שהשארית חייבת להיות קטנה מהמחלק, נשארים רק שלוש וחמש.",
    "ko": "나머지는 나누는 수보다 작아야 하므로 셋과 다섯만 남습니다.",
    "zh": "由于余数必须小于除数，所以只剩下三和五。",
    "ja": "余りは割る数より小さいので、候補は三と五だけです。",
    "hy": "Քանի որ մնացորդը պետք է փոքր լինի բաժանարարից, մնում են միայն երեքը և հինգը։",
    "ka": "რადგან ნაშთი გამყოფზე ნაკლები უნდა იყოს, რჩება მხოლოდ სამი და ხუთი.",
    "bn": "যেহেতু ভাগশেষ ভাজকের চেয়ে ছোট হতে হবে, শুধু তিন ও পাঁচ থাকে।",
    "ta": "மீதி வகுப்பானை விடச் சிறியதாக இருக்க வேண்டும், எனவே மூன்றும் ஐந்தும் மட்டுமே மீதம்.",
    "am": "ቀሪው ከአካፋዩ ማነስ ስላለበት ሦስት እና አምስት ብቻ ይቀራሉ።",
}


@pytest.mark.parametrize("code", SENTENCES)
def test_a_text_is_in_its_own_language(code):
    verdict = judge(SENTENCES[code], code)
    assert (verdict.score, verdict.status, verdict.reason) == (1.0, "correct", "language_consistent")


def test_languages_of_other_scripts_share_no_word():
    for code, text in SENTENCES.items():
        for other in SENTENCES:
            if not language.LANGUAGES[code] & language.LANGUAGES[other]:
                verdict = judge(text, other)
                assert (verdict.score, verdict.reason) == (0.0, "language_mixed"), (code, other)


def test_every_language_has_a_script():
    assert set().union(*language.LANGUAGES.values()) == set(language.SCRIPTS)
    assert all(len(code) == 2 for code in language.LANGUAGES)


COUNTS = [
    # text, language, words of the language, words in all
    ("First add them, 然后 it is even", "en", 6, 8),
    ("先算 add 再乘", "zh", 4, 5),
    # variables, points, abbreviations, functions, quantities and identifiers are no words
    ("I have a number n and x", "en", 3, 3),
    ("设 x 和 n 为整数", "zh", 5, 5),
    ("在三角形 ABC 中 AB = 5cm, sin x = max y", "zh", 5, 5),
    ("в треугольнике ABC сторона AB", "ru", 2, 2),
    ("计算 my_var + x1 + 2ab", "zh", 2, 2),
    ("we get 10km, 2nd, F16 there", "en", 3, 3),
    ("有5个苹果和3支笔", "zh", 7, 7),
    ("α and β are angles, Δ too", "en", 4, 4),
    ("x² + y₂³ ≤ ℝ𝑥 ①② Ⅷ ok fine", "en", 2, 2),
    ("厚 5µm 和 3μm", "zh", 2, 2),
    # scripts without spaces
    ("中文", "zh", 2, 2),
    ("これは解く", "ja", 4, 4),  # これは: 3 kana, 2 words; 解: 1; く: 1
    ("カタカナ", "ja", 2, 2),
    ("ภาษาไทย", "th", 2, 2),
    # Korean by spaces, a syllable is a word
    ("이 수 는 짝수 입니다", "ko", 5, 5),
    # kana makes the Han of its sentence Japanese
    ("这是中文。これは日本語です。", "zh", 4, 10),
    ("这是中文。これは日本語です。", "ja", 10, 10),
    # accents on their own and joiners do not split words
    ("re\u0301sume\u0301 cafe\u0301", "fr", 2, 2),
    ("می\u200cخواهم", "fa", 1, 1),
    ("ｆｕｌｌ ｗｉｄｔｈ", "en", 2, 2),
    # a script that no language here is written in
    ("ꀀꀁtwo words", "en", 2, 3),
]

LATEX = [
    (r"so $f(abc) = \frac{num}{den}$ holds", "en", 2, 2),
    (r"so \(speed = way/time\) holds", "en", 2, 2),
    (r"所以 $speed = way$ 成立", "zh", 4, 4),
    ("所以\n\\[\nspeed = \\frac{way}{time}\n\\]\n成立", "zh", 4, 4),
    ("所以 $$speed = way$$ 成立", "zh", 4, 4),
    ("所以 \\begin{align*} speed &= way \\\\ mass &= rho \\end{align*} 成立", "zh", 4, 4),
    ("所以 \\begin{cases} abc & def \\end{cases} 成立", "zh", 4, 4),
    (r"所以 \frac{\sqrt{abc}}{def} 和 \boxed{abc def} 成立", "zh", 5, 5),
    (r"\begin{itemize} \item 第一 \end{itemize}", "zh", 2, 2),
    # text in formulas: a unit is none, a phrase is language, and so are other scripts
    (r"长 $5 \text{ cm}$ 和 $3\,\mathrm{kg}$", "zh", 2, 2),
    (r"长 $x > 0 \text{ for all such }$ 好", "zh", 2, 5),
    (r"so $x > 0 \text{ 对所有 }$ holds", "en", 2, 5),
    (r"so $面积 = 5$ holds", "en", 2, 4),
    (r"\textbf{Step one:} we add", "en", 4, 4),
    (r"\underline{先把它们} then we add", "en", 3, 7),
    # what does not close is no formula
    ("costs $5 today\nand nothing else", "en", 5, 5),
    ("open \\[ speed\n\nnext paragraph", "en", 4, 4),
    ("it costs \\$5 or \\$7 today", "en", 4, 4),
]

NOT_PROSE = [
    ("先写代码\n```python\nprint(hello world)\n```\n然后运行", "zh", 8, 8),
    ("先写代码\n~~~\nhello ``` world\n~~~\n然后运行", "zh", 8, 8),
    ("````\nhello\n```\nworld\n````\n好", "zh", 1, 1),
    ("用 `hello world` 函数", "zh", 3, 3),
    ("用 ``hello ` world`` 函数", "zh", 3, 3),
    ("```\nhello world", "en", 2, 2),  # a fence that does not close is no code
    ("a lone ` tick stays\nhere", "en", 4, 4),
    ("见https://example.org/some/page?x=y。好", "zh", 2, 2),
    ("见 www.example.org 好", "zh", 2, 2),
    ("好<br><answer>", "zh", 1, 1),
    ("x < y and z > w", "en", 1, 1),
]


@pytest.mark.parametrize(("text", "code", "own", "total"), [*COUNTS, *LATEX, *NOT_PROSE])
def test_words(text, code, own, total):
    verdict = judge(text, code)
    assert verdict.detail is not None
    assert verdict.detail.startswith(f"{own} of {total} words are in {code}")
    assert verdict.score == own / total
    assert verdict.reason in REASONS


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("<think>add them</think>然后", 1.0),
        ("add them</think>然后", 1.0),  # the opening tag stood in the prompt
        ("  <think>\nadd them", 1.0),  # cut: all is thought
        ("<|begin_of_thought|>add them<|end_of_thought|>然后", 1.0),
        ("<|channel|>analysis<|message|>add them<|channel|>final<|message|>然后", 1.0),
        ("[THINK]add them[/THINK]然后", 1.0),
        ("add them 然后", 0.5),
        ("<think>add them</think>然后</think>", 0.5),  # up to the last mark
    ],
)
def test_only_the_chain_of_thought_is_judged(text, score):
    assert judge(text).score == score


@pytest.mark.parametrize("text", ["", " \n", "42", "x = 1", "$a + b$", "`a b`", "</think>然后", "\0", "\ud800", "😀 ✓"])
def test_without_words_there_is_no_score(text):
    verdict = judge(text)
    assert (verdict.score, verdict.status, verdict.reason) == (None, "error", "no_words")


@pytest.mark.parametrize(("score", "status"), [(0.0, "wrong"), (0.5, "wrong"), (1.0, "correct")])
def test_unless_it_is_said_what_that_is_worth(score, status):
    verdict = judge("<think>42</think>4", without_words=score)
    assert (verdict.score, verdict.status, verdict.reason) == (score, status, "no_words")
    assert judge("add them 好", without_words=score) == judge("add them 好")


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_worth_outside_0_to_1_is_refused(score):
    with pytest.raises(ValueError, match="without_words"):
        judge("text", without_words=score)


@pytest.mark.parametrize(("at_least", "status"), [(1.0, "wrong"), (0.76, "wrong"), (0.75, "correct"), (0.0, "correct")])
def test_status_asks_for_a_share_and_the_score_is_the_share(at_least, status):
    verdict = judge("add them again 好", at_least=at_least)
    assert (verdict.score, verdict.status) == (0.75, status)


def test_detail_names_the_other_scripts():
    assert judge("we add 然后再乘 слова 好").detail == "2 of 8 words are in en; han 5, cyrillic 1"


def test_an_unknown_language_names_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown language 'xx'; known are af, am, ar"):
        judge("text", "xx")


@pytest.mark.parametrize("at_least", [-0.1, 1.1, float("nan")])
def test_a_share_outside_0_to_1_is_refused(at_least):
    with pytest.raises(ValueError, match="at_least"):
        judge("text", at_least=at_least)


def test_it_pickles_with_its_options():
    verifier = pickle.loads(pickle.dumps(partial(verify_language, language="zh", at_least=0.5)))
    assert verifier(PROBLEM, Completion("好")).status == "correct"


SOUP = [
    "$", "$$", "\\[", "\\]", "\\(", "\\)", "\\", "`", "```\n", "~~~\n", "\n", "\n\n", " ", "{", "}", "<", ">", "[", "]",
    "\\begin{align}", "\\end{align}", "\\text{", "\\frac{", "http://", "word", "AB", "x1", "中", "の", "ไ", "글", "и",
    "\u0301", "\u200d", "\0", "\ud800", "<think>", "</think>",
]  # fmt: skip
soup = st.lists(st.sampled_from(SOUP), max_size=30).map("".join)


@given(st.one_of(st.text(), soup), st.sampled_from(["en", "zh", "ja", "ru", "th"]))
def test_any_text_gets_a_share_or_no_score(text, code):
    verdict = judge(text, code)
    assert (verdict.score is None) == (verdict.reason == "no_words")
    if verdict.score is not None:
        assert 0 <= verdict.score <= 1
        assert (verdict.score == 1) == (verdict.status == "correct")


@given(st.lists(st.sampled_from(["add", "them", "好", "слово"]), min_size=1, max_size=20))
def test_the_share_is_that_of_the_words(words):
    for code, own in (("en", ("add", "them")), ("zh", ("好",)), ("ru", ("слово",))):
        assert judge(" ".join(words), code).score == pytest.approx(sum(word in own for word in words) / len(words))


@given(st.text("abc 中文の{}.\n"), st.sampled_from(["$x$", "`some code`", "42", "\\frac{ab}{cd}", "https://a.bc/de"]))
def test_noise_in_a_paragraph_of_its_own_changes_nothing(text, noise):
    assert judge(f"{text}\n\n{noise}\n\nall done").detail == judge(f"{text}\n\nall done").detail


HOSTILE = [
    "$", "\\", "`", "```\n", "~", "\u0300", "\u093f", "a", "中", "の。", "a ", ". ", "\n ", "\\a{", "\\a[", "\\a{{x}",
    "\\text{", "\\begin{align}", "\\[", "<a", "<think>", "</think>", "http://", "\ud800", "\0", "a1", "{",
    "аб $x$ `c`\n",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_text_is_judged(unit):
    for code in ("en", "zh"):
        judge(unit * (300_000 // len(unit)), code)


def test_a_megabyte():
    text = "We add $x^2$ and 中文 `code` \\frac{a}{b} words.\n" * 22_000
    assert judge(text).score == pytest.approx(4 / 6)


# ---- identification by lingua


@pytest.fixture(name="lingua")
def _lingua():
    return pytest.importorskip("lingua")


@pytest.mark.usefixtures("lingua")
@pytest.mark.parametrize("code", [code for code in SENTENCES if code not in ("hy", "ka", "bn", "ta", "am")])
def test_identify_accepts_the_language(code):
    assert judge(f"{SENTENCES[code]} " * 4, code, identify=True).score == 1.0


LATIN = [(text, target) for text in ("en", "de", "fr", "es", "it", "pt", "vi") for target in ("en", "de", "fr")]
OTHER = [("ru", "uk"), ("uk", "ru"), ("ar", "fa"), ("fa", "ar"), ("zh", "ja"), ("ja", "zh")]


@pytest.mark.usefixtures("lingua")
@pytest.mark.parametrize(("text", "target"), [pair for pair in LATIN + OTHER if pair[0] != pair[1]])
def test_identify_tells_languages_of_one_script_apart(text, target):
    verdict = judge(f"{SENTENCES[text]} " * 4, target, identify=True)
    assert (verdict.score, verdict.status, verdict.reason) == (0.0, "wrong", "language_mixed")


@pytest.mark.usefixtures("lingua")
def test_identify_finds_the_share_of_a_mixed_text():
    text = "\n".join([SENTENCES["en"]] * 10 + [SENTENCES["de"]] * 10)
    verdict = judge(text, identify=True)
    assert verdict.score == pytest.approx(0.5, abs=0.1)
    assert verdict.detail is not None
    assert "another language" in verdict.detail
    assert judge(text).score == 1.0


@pytest.mark.usefixtures("lingua")
def test_identify_counts_other_scripts_as_ever():
    verdict = judge(f"{SENTENCES['en']} 好 " * 10, identify=True)
    assert verdict.score == judge(f"{SENTENCES['en']} 好 " * 10).score
    assert verdict.detail is not None
    assert verdict.detail.endswith("; han 10")


@pytest.mark.usefixtures("lingua")
def test_identify_leaves_a_short_text_to_the_script():
    assert judge("Das prüfe ich noch einmal.", identify=True).score == 1.0


@pytest.mark.usefixtures("lingua")
@pytest.mark.parametrize(
    "text",
    [
        "Let the projection be orthogonal, isosceles triangle, angle bisector theorem, circumradius formula, incenter, "
        "Euler line, orthocenter, denominator, numerator, polynomial, quadratic discriminant, parabola, hyperbola. ",
        "Alice, Bob, Charlie, Dave, Eve, Mallory, Trent, Peggy, Victor and Walter have ten marbles each. ",
        "Case one: residue two mod seven, impossible. Case two: residue four, possible. Total count nine. ",
    ],
)
def test_identify_knows_technical_english(text):
    assert judge(text * 3, identify=True).score == 1.0


@pytest.mark.usefixtures("lingua")
def test_identify_without_rivals_is_the_script_test():
    assert judge(f"{SENTENCES['ko']} " * 4, "ko", identify=True) == judge(f"{SENTENCES['ko']} " * 4, "ko")


@pytest.mark.usefixtures("lingua")
def test_identify_refuses_a_language_that_lingua_does_not_know():
    with pytest.raises(ValueError, match=r"lingua cannot identify 'gl'; it knows af"):
        judge("texto", "gl", identify=True)


def test_identify_without_lingua_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "lingua", None)
    language._identifier.cache_clear()
    for text in ("text", ""):  # whatever the completion: the fault is ours
        with pytest.raises(ImportError, match=r"pip install 'rlvr\[language\]'"):
            judge(text, identify=True)


@pytest.mark.usefixtures("lingua")
@settings(deadline=None)
@given(st.one_of(st.text(), soup))
def test_identify_never_raises_and_never_scores_more(text):
    plain, identified = judge(text), judge(text, identify=True)
    assert (plain.score is None) == (identified.score is None)
    if plain.score is not None and identified.score is not None:
        assert identified.score <= plain.score


@pytest.mark.usefixtures("lingua")
@pytest.mark.parametrize("text", ["a" * 1_000_000, "abc def " * 60_000, "aé. " * 120_000, "\ud800\0 word " * 60_000])
def test_identify_is_bounded_on_long_text(text):
    judge(text, identify=True)


@pytest.mark.usefixtures("lingua")
def test_identify_says_the_same_in_threads():
    text = "\n".join(f"{SENTENCES['en']}\n{SENTENCES['de']}" for _ in range(5))
    with ThreadPoolExecutor(4) as pool:
        assert len({verdict.detail for verdict in pool.map(lambda _: judge(text, identify=True), range(16))}) == 1


FORK = """
import os, sys, threading, warnings
from rlvr.verifiers import Completion, Problem, verify_language

warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: what is tested

def score(text, language):
    return verify_language(Problem("1"), Completion(text), language=language, identify=True).score

english, russian = sys.argv[1:]
threading.Thread(target=lambda: [score(english, "en") for _ in range(100_000)], daemon=True).start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        os._exit(0 if score(english, "en") == score(russian, "ru") == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
os._exit(0)
"""


@pytest.mark.usefixtures("lingua")
@pytest.mark.skipif(not hasattr(sys, "setdlopenflags"), reason="needs fork")
def test_identify_works_in_a_child_forked_while_a_thread_is_loading_it():
    texts = [f"{SENTENCES[code]} " * 4 for code in ("en", "ru")]
    subprocess.run([sys.executable, "-c", FORK, *texts], check=True, timeout=120)
