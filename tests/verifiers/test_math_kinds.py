"""Every rule of DESIGN.md's section on mathematics: gold | answer, kind by kind, both ways where it is symmetric.

The symbolic tail is shut: all of this is decided by our own parser.
"""

import pytest
from rlvr.verifiers import Completion, Problem, verify_math
from rlvr.verifiers.math import compare

# equal, whichever is the gold
BOTH = [
    # numbers
    (r"0.\overline{3}", "1/3"),
    ("-1", "i^2"),
    ("0", r"e^{i\pi}+1"),
    ("(1+√5)/4", r"\cos36^\circ"),
    ("2-√3", r"\tan15^\circ"),
    ("1234", r"1\,234"),
    ("1234", "1,234"),
    ("1234", "1{,}234"),
    ("1234", "1 234"),
    ("5", "101_2"),
    (r"\frac{3}{16}", "0.0011_2"),
    ("√2", r"\sqrt{2}"),
    ("x²", "x^2"),
    ("½", r"\frac12"),
    ("√2", "sqrt(2)"),
    (r"2\pi", "2π"),
    ("300000", "3*10^5"),
    ("314000", "3.14e5"),
    (r"3\cdot10^5", "300000"),
    (r"2\frac{1}{3}", r"\frac{7}{3}"),
    ("２.5", "2.5"),
    ("10!", "3628800"),
    (r"\binom{5}{2}", "10"),
    ("|-3|", "3"),
    (r"\lfloor 3.7\rfloor", "3"),
    (r"\lceil 3.2\rceil", "4"),
    (r"\log_2 8", "3"),
    (r"\sqrt[3]{8}", "2"),
    (r"\frac{\sqrt3}{3}", r"\frac{1}{\sqrt3}"),
    (r"\frac{1}{1+\sqrt2}", r"\sqrt2-1"),
    (r"\sqrt{12}", r"2\sqrt3"),
    (r"\sqrt{8}+\sqrt{2}", r"3\sqrt2"),
    (r"\sqrt{\frac12}", r"\frac{\sqrt2}{2}"),
    ("2^{100}", "4^{50}"),
    ("2^{-2}", "0.25"),
    ("-5", "−5"),
    ("1e3", "1000"),
    ("0.5", r"\frac{1}{2}"),
    (r"\sin 30^\circ", r"\frac12"),
    (r"\ln e", "1"),
    (r"\sqrt{3+2\sqrt2}", r"1+\sqrt2"),
    (r"\arctan 1", r"\frac{\pi}{4}"),
    (r"\frac{6}{4}", r"\frac{3}{2}"),
    ("10^{20}", "100000000000000000000"),
    # expressions
    ("x^2+2x+1", "(x+1)^2"),
    ("x+y", "y+x"),
    ("2x", r"x\cdot 2"),
    ("2x", "2*x"),
    (r"\frac{x+2}{7}", r"\frac{x}{7}+\frac{2}{7}"),
    ("x(x+1)", "x^2+x"),
    (r"\tan^2 y+1", r"\sec^2 y"),
    (r"\sin 2x", r"2\sin x\cos x"),
    (r"\frac{x^2-1}{x-1}", "x+1"),
    (r"x^{\frac12}", r"\sqrt{x}"),
    ("a+b+c", "c+b+a"),
    ("e^{x+y}", "e^x e^y"),
    (r"\frac{a}{b}", "a/b"),
    ("x^{-1}", r"\frac1x"),
    (r"\cos^2\theta", r"1-\sin^2\theta"),
    # equations, assignments
    ("y=2x+3", "2x-y+3=0"),
    ("x=5", "5"),
    ("5", "x = 5"),
    ("y=2x+3", "2x+3"),
    ("f(x)=x^2", "x^2"),
    ("34x+45y-20z+100=0", "-34x-45y+20z-100=0"),
    ("x^2+y^2=4", "y^2+x^2=4"),
    (r"\frac{x^2}{4}+y^2=1", "x^2+4y^2=4"),
    # intervals
    ("x>2", r"(2,\infty)"),
    ("x≤3", "(-∞,3]"),
    (r"2<x\le5", "(2,5]"),
    (r"x\in[1,2]", "[1,2]"),
    (r"5\ge x>2", "(2,5]"),
    (r"x<1 \text{ or } x>2", r"(-\infty,1)\cup(2,\infty)"),
    (r"(-\infty,1)\cup(2,\infty)", r"(2,\infty)\cup(-\infty,1)"),
    (r"x\ne3", r"(-\infty,3)\cup(3,\infty)"),
    (r"-2\le x\le 7", r"x \in [-2,7]"),
    ("2<x", "x>2"),
    ("2x>4", "x>2"),
    # tuples, vectors, sets, lists
    ("(1,2)", r"\begin{pmatrix}1\\2\end{pmatrix}"),
    ("(1,2)", r"\langle1,2\rangle"),
    ("(1,2)", r"\begin{pmatrix}1&2\end{pmatrix}"),
    (r"\{1,2\}", r"\{2,1\}"),
    ("1,2", "2,1"),
    ("1,2", r"\{2,1\}"),
    ("1,2", "1 and 2"),
    ("1,2", r"1 \text{ or } 2"),
    ("1,2", "1; 2"),
    (r"x=1 \text{ or } x=2", "1,2"),
    (r"\pm 2", "2,-2"),
    (r"1\pm\sqrt2", r"1+\sqrt2,1-\sqrt2"),
    (r"x=\pm2", r"x=2 \text{ or } x=-2"),
    (r"2,3,\frac{3+i\sqrt3}{2},\frac{3-i\sqrt3}{2}", r"2,3,\frac{3\pm i\sqrt3}{2}"),
    ("(1,2),(3,4)", "(3,4),(1,2)"),
    (r"\{5\}", "5"),
    (r"\emptyset", r"\{\}"),
    (r"\varnothing", "∅"),
    (r"\{(1,2),(3,4)\}", "(3,4),(1,2)"),
    (r"\left\{\frac12,3\right\}", r"\{3,0.5\}"),
    ("(0.5,1)", r"(\frac12,1)"),
    ("x=1,y=2", "(1,2)"),
    # matrices
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1&2\\3&4\end{bmatrix}"),
    (r"\begin{pmatrix}0.5&2\\3&4\end{pmatrix}", r"\begin{pmatrix}\frac12&2\\3&4\end{pmatrix}"),
    # units, percent, money, time, ratio
    (r"5\text{ cm}", "5"),
    ("5 cm", "5"),
    (r"100\text{ cm}", r"1\text{ m}"),
    ("100 cm", "1 m"),
    (r"2\text{ hours}", r"120\text{ minutes}"),
    (r"90^\circ", "90"),
    (r"90^\circ", r"90\text{ degrees}"),
    (r"50\%", "50"),
    (r"50\%", "0.5"),
    ("50", r"50.0\%"),
    (r"50\%", r"\frac12"),
    (r"\$5", "5"),
    (r"\$5.00", "5"),
    ("5", r"5\text{ dollars}"),
    ("08:34 P.M.", "20:34"),
    ("2:3", "4:6"),
    ("2:3", "2 : 3"),
    (r"12\text{ cm}^2", "12"),
    (r"12\text{ cm}^2", r"12\text{ square centimeters}"),
    (r"60\text{ mph}", "60"),
    (r"180^\circ", r"\pi"),
    # complex
    ("3+4i", "4i+3"),
    (r"\frac{1}{i}", "-i"),
    ("(1+i)^2", "2i"),
    (r"\sqrt{-4}", "2i"),
    # choices, words
    ("C", "(C)"),
    ("C", r"\text{(C)}"),
    ("C", r"\textbf{(C) }12"),
    ("C", "C."),
    (r"\text{even}", "Even"),
    (r"\text{the cat}", "cat"),
    (r"\text{Yes}", "yes."),
    # chains
    # no solution, bounds joined by `and`, rates, sums of units, all real numbers
    (r"\emptyset", r"\text{no solution}"),
    (r"\emptyset", r"\text{No solutions.}"),
    (r"\emptyset", r"\text{None}"),
    (r"\emptyset", "no solution"),
    (r"\emptyset", "no real solutions"),
    (r"\text{No real solutions}", r"\{\}"),
    (r"\text{None}", r"\varnothing"),
    ("(2,5)", r"x>2 \text{ and } x<5"),
    (r"x>2 \text{ and } x<5", "2<x<5"),
    ("2<x<5", r"x<5 \text{ and } x>2"),
    ("[2,5)", r"x\geq 2 \land x<5"),
    (r"x>2 \text{ or } x<-5", r"(-\infty,-5)\cup(2,\infty)"),
    (r"(2,3)\cup(3,\infty)", r"x>2 \text{ and } x\neq 3"),
    (r"x>2 \text{ and } x>3", "x>3"),
    (r"(2,\pi)", r"x>2 \text{ and } x<\pi"),
    ("1,2", r"x=1 \text{ and } x=2"),
    (r"10\text{ m/s}", r"36\text{ km/h}"),
    ("10 m/s", "36 km/h"),
    (r"60\text{ miles per hour}", r"60\text{ mph}"),
    (r"60\text{ mph}", r"1\text{ mile per minute}"),
    (r"10\text{ m/s}", "10"),
    (r"2\text{ hours }30\text{ minutes}", r"150\text{ minutes}"),
    (r"2\text{ hours }30\text{ minutes}", r"2.5\text{ hours}"),
    ("2 hours 30 minutes", "150 minutes"),
    (r"5\text{ feet }6\text{ inches}", r"66\text{ inches}"),
    (r"2\text{ hours and }30\text{ minutes}", r"150\text{ minutes}"),
    ("f(x)=x^2", "f(y)=y^2"),
    (r"(-\infty,\pi)", r"x<\pi"),
    (r"\text{no solution}", r"x>3 \text{ and } x<2"),
    (r"f(t)=\sin t", r"f(x)=\sin x"),
    (r"\mathbb{R}", r"(-\infty,\infty)"),
    (r"\text{all real numbers}", r"\mathbb{R}"),
    (r"(-\infty,\infty)", r"\text{all real numbers}"),
    (r"x\in\mathbb{R}", r"\text{all real numbers}"),
    (r"\mathbb{R}\setminus\{0\}", r"x\neq 0"),
    ("x<5", r"x<5 \text{ and } x<7"),
    ("30 deg", "30"),
    (r"\frac12", "0.5"),
    (r"\max(1,2)", "2"),
    (r"\gcd(4,6)", "2"),
    (r"\log_2(8)", "3"),
    (r"5\text{ apples per day}", "5"),
]

# equal, the gold first
ACCEPT = [
    ("16", "2^4 = 16"),
    ("16", "x = 2^4 = 16"),
    (r"\pi", r"\pi \approx 3.14"),
    ("11", r"x \approx 11"),
    ("16", "f(4)=16"),
    (r"\frac13", "0.333333"),
    (r"\frac23", "0.666667"),
    ("0.3333", r"\frac13"),
    ("3.1416", r"\pi"),
    (r"\pi", "3.14159"),
    (r"\sqrt2", "1.41421"),
    ("1.4142", r"\sqrt2"),
]

# different, whichever is the gold
NEITHER = [
    (r"\frac \pi4+2-\sqrt2", "2"),
    (r"\frac \pi4+2-\sqrt2", r"\frac \pi5+2-\sqrt2"),
    ("1/2004!", "1/2006!"),
    ("2^{-99}", "2^{-98}"),
    ("0.1", "0.1000001"),
    ("1e-7", "2e-7"),
    ("(1,2)", r"\{1,2\}"),
    ("5 cm", "5 m"),
    (r"5\text{ cm}", r"5\text{ m}"),
    (r"5\text{ cm}", r"5\text{ cm}^2"),
    (r"5\text{ cm}", r"5\text{ kg}"),
    ("10^{20}", "10^{20}+1"),
    ("(a+5)(b+2)", "(+5)(b+2)"),
    ("x>2", r"x\ge2"),
    ("(1,2)", "(2,1)"),
    ("(1,2)", "[1,2]"),
    ("(1,2]", "[1,2)"),
    ("x>2", "x<2"),
    (r"\{1,2\}", r"\{1,3\}"),
    (r"\{1,2\}", r"\{1,2,3\}"),
    ("(1,2),(3,4)", "(2,1),(3,4)"),
    ("x^2", "x^3"),
    ("x+1", "x-1"),
    ("2x", "x^2"),
    ("y=2x+3", "y=2x-3"),
    ("y=2x", "x=2y"),
    ("3+4i", "3-4i"),
    (r"50\%", "5"),
    (r"50\%", r"5\%"),
    (r"50\%", r"0.5\%"),
    ("2:3", "3:2"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"),
    ("C", "D"),
    ("C", "(D)"),
    (r"\text{even}", r"\text{odd}"),
    ("08:34 P.M.", "08:34 A.M."),
    (r"\sqrt2", r"\sqrt3"),
    (r"\pi", "3"),
    (r"\frac13", "0.333"),
    ("0.33", r"\frac13"),
    (r"\pi", "3.14"),
    ("1", "i"),
    (r"90^\circ", r"91^\circ"),
    (r"\emptyset", "0"),
    (r"\emptyset", r"\{0\}"),
    ("101_2", "101_3"),
    ("5!", "5"),
    (r"\binom52", r"\binom53+1"),
    (r"2\frac13", r"\frac23"),
    (r"\sqrt{x^2}", "x"),
    (r"\sin x", r"\cos x"),
    (r"\log_2 8", r"\log_3 8"),
    ("e^x", "e^{2x}"),
    (r"\infty", r"-\infty"),
    ("x=5", "6"),
    ("x=1,y=2", "(2,1)"),
    (r"\frac14", "0.250001"),
    ("ab", "ba+1"),
    ("5", "5x"),
    ("m", "n"),
    ("A", "B"),
    ("AB", "BC"),
    # no solution, bounds joined by `and`, rates, sums of units, all real numbers
    (r"30^\circ", r"30\text{ cm}"),
    (r"90^\circ", r"90\text{ kg}"),
    (r"5\%", r"5\text{ kg}"),
    (r"\emptyset", r"\text{no}"),
    (r"\emptyset", r"\text{one solution}"),
    (r"\text{no solution}", "0"),
    ("[2,5]", r"x\geq 2 and x<5"),
    (r"x>2 \text{ or } x<-5", r"x>2 \text{ and } x<-5"),
    (r"x>2 \text{ and } x<5", r"x>2 \text{ or } x<5"),
    (r"(-\infty,-2)\cup(3,\infty)", r"x<-2 \text{ and } x>3"),
    (r"10\text{ m/s}", r"10\text{ km/h}"),
    (r"10\text{ m/s}", r"10\text{ m}"),
    (r"2\text{ hours }30\text{ minutes}", r"151\text{ minutes}"),
    (r"5\text{ feet }6\text{ inches}", r"66\text{ minutes}"),
    (r"2\text{ hours} 30\text{ kg}", r"150\text{ minutes}"),
    ("f(x)=x^2", "f(y)=x^2"),
    ("f(x)=x^2", "g(x)=x^2"),
    ("f(x)=x^2", "f(e)=e^2"),
    ("(2,5)", r"x>2 \text{ and } y<5"),
    (r"x<\pi", r"x<\pi+1"),
    ("f(x)=x^2", "f(y)=y^3"),
    ("f(x)=ax", "f(a)=a^2"),
    ("x=5", "y=5"),
    ("x^2", "y^2"),
    (r"\mathbb{R}", r"(0,\infty)"),
    (r"\mathbb{R}", "5"),
    (r"\mathbb{R}", r"\mathbb{Z}"),
    (r"\text{all real numbers}", r"\text{no solution}"),
    (r"10\text{ cm/s}", r"10\text{ m/s}"),
    (r"20\text{ m/s}^2", r"20\text{ m/s}"),
    (r"\text{None}", r"\text{none of the above}"),
]

# different, the gold first
REJECT = [
    ("3", "1=2=3"),
    ("5", "x=5 or x=6"),
    ("42", "42\x00 and more"),
    ("43", "43=42"),
    ("42", "43=42"),
    ("42", "42 or 43"),
    ("42", r"\pm 42"),
    ("42", "40<x<44"),
    ("42", r"\{42,43\}"),
    ("42", "42,43"),
    ("42", "42 and 42.5"),
    ("42", "42;43"),
    ("42", r"42\text{ or }43"),
    ("42", ""),
    ("42", "x>42"),
    ("42", "(42,43)"),
    ("42", "x=42, y=43"),
    ("2", r"x=2 \text{ or } x=-2"),
    ("1,2", "1"),
    ("1,2", "1,2,3"),
    ("1,2", "1,1"),
    (r"\pm2", "2"),
    ("42", r"42\text{ million}"),
    ("42", "42!"),
    ("0.25", "0.2500001"),
    (r"\frac13", "0.333334"),
    ("3.14", r"\pi"),
    ("42", "x=y=43"),
    ("C", "A, B, C"),
    ("C", "(A) (B) (C)"),
]


@pytest.fixture(autouse=True)
def _no_tail(monkeypatch):
    def shut(gold, answer, timeout_s):
        raise AssertionError(f"{gold} | {answer} reached the tail")

    monkeypatch.setattr(compare, "symbolically_equal", shut)


def judge(gold, answer):
    return verify_math(Problem("1", answer=gold), Completion(rf"\boxed{{{answer}}}")).score


@pytest.mark.parametrize(("gold", "answer"), BOTH)
def test_equal_in_both_directions(gold, answer):
    assert judge(gold, answer) == judge(answer, gold) == 1.0


@pytest.mark.parametrize(("gold", "answer"), ACCEPT)
def test_equal(gold, answer):
    assert judge(gold, answer) == 1.0


@pytest.mark.parametrize(("gold", "answer"), NEITHER)
def test_different_in_both_directions(gold, answer):
    assert judge(gold, answer) == judge(answer, gold) == 0.0


@pytest.mark.parametrize(("gold", "answer"), REJECT)
def test_different(gold, answer):
    assert judge(gold, answer) == 0.0


def test_an_empty_gold_is_not_judged():
    assert judge("", "1") is None


def test_equal_integers_of_5000_digits():
    assert judge("7" * 5000, "7" * 5000) == 1.0
    assert judge("7" * 5000, "7" * 4999 + "8") == 0.0


def test_the_last_box_wins():
    text = r"\boxed{10} and then \boxed{42}"
    assert verify_math(Problem("1", answer="42"), Completion(text)).score == 1.0
    many = "so ".join(rf"\boxed{{{i}}} " for i in range(10_000))
    assert verify_math(Problem("1", answer="9999"), Completion(many)).score == 1.0
    assert verify_math(Problem("1", answer="9998"), Completion(many)).score == 0.0
