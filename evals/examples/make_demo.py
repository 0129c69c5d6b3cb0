"""Writes demo.jsonl: 24 problems x 8 completions, made by rule from a seed in the manner of models of mixed skill.

    python evals/examples/make_demo.py > evals/examples/demo.jsonl

No model was asked. Each problem has an answer in several correct spellings, and wrong answers that a slip would give; a
skill per problem decides how often a completion is right. Some are cut, hedge, or forget the box: what real dumps hold.
"""

import json
import random
import sys
from collections.abc import Iterator

Problem = tuple[str, str, list[str], list[str], list[str]]  # prompt, gold, correct spellings, slips, steps

PROBLEMS: list[Problem] = [
    ("What is the sum of the solutions of $2x^2 - 3x - 5 = 0$?", r"\frac{3}{2}", ["1.5", r"\dfrac32", "3/2"],
     [r"-\frac{3}{2}", r"\frac{5}{2}", "3"], ["By Vieta, the sum of the roots is $-b/a$.", "Here $a = 2$ and $b = -3$."]),
    ("A train covers 180 km in 2.5 hours. What is its average speed in km/h?", "72", ["72", r"72\text{ km/h}", "72.0"],
     ["75", "450", "60"], ["Speed is distance over time.", "$180 / 2.5 = 72$."]),
    ("Compute $\\binom{12}{5}$.", "792", ["792", r"792", "792."], ["495", "924", "95040"],
     [r"$\binom{12}{5} = \frac{12!}{5!\,7!}$.", r"$\frac{12 \cdot 11 \cdot 10 \cdot 9 \cdot 8}{120} = 792$."]),
    ("Write $0.\\overline{27}$ as a fraction in lowest terms.", r"\frac{3}{11}", [r"\frac{3}{11}", "3/11", r"\tfrac{3}{11}"],
     [r"\frac{27}{100}", r"\frac{2}{7}", r"\frac{1}{4}"], ["Let $x = 0.2727\\ldots$, so $100x - x = 27$.", "$x = 27/99$."]),
    ("How many seconds are there in one week?", r"604{,}800", ["604800", "604,800", r"604{,}800\text{ seconds}"],
     ["86400", "60480", "25200"], ["A day has 86,400 seconds.", r"$7 \cdot 86400 = 604800$."]),
    ("A shirt costs \\$40 after a 20% discount. What was the price before?", r"\$50", ["50", r"\$50", r"50\text{ dollars}"],
     ["48", "32", r"\$60"], ["The price after is 80% of the price before.", "$40 / 0.8 = 50$."]),
    ("Simplify $\\sqrt{72}$.", r"6\sqrt{2}", [r"6\sqrt{2}", r"6\sqrt2", r"\sqrt{72}"], [r"2\sqrt{6}", r"36\sqrt{2}", "8.5"],
     ["$72 = 36 \\cdot 2$.", "$\\sqrt{36} = 6$."]),
    ("What is the probability of a sum of 7 with two fair dice?", r"\frac{1}{6}", [r"\frac16", r"\frac{6}{36}", "1/6"],
     [r"\frac{7}{36}", r"\frac{1}{7}", "0.17"], ["There are 36 outcomes.", "Six of them sum to 7."]),
    ("Solve $3^{x} = 81$.", "4", ["4", "x = 4", "x=4"], ["27", "3", "5"], ["$81 = 3^4$.", "So $x = 4$."]),
    ("Find the area of a circle of circumference $10\\pi$.", r"25\pi", [r"25\pi", r"\pi \cdot 25", r"25 \pi"],
     [r"100\pi", r"10\pi", "25"], ["$2\\pi r = 10\\pi$, so $r = 5$.", "The area is $\\pi r^2$."]),
    ("What are the roots of $x^2 = 5x - 6$?", r"\{2, 3\}", [r"\{2,3\}", r"\{3, 2\}", "2, 3"], ["2", "-2, -3", "1, 6"],
     ["$x^2 - 5x + 6 = 0$.", "$(x - 2)(x - 3) = 0$."]),
    ("Evaluate $|{-3}| - |{-8}|$.", "-5", ["-5", "-5.0", "−5"], ["5", "11", "-11"], ["$|-3| = 3$ and $|-8| = 8$.", "$3 - 8$."]),
    ("What is the remainder when $7^{100}$ is divided by 5?", "1", ["1", "1.", "1"], ["2", "4", "3"],
     ["$7 \\equiv 2 \\pmod 5$ and $2^4 \\equiv 1$.", "$100 = 4 \\cdot 25$."]),
    ("Expand $(x - 2)(x + 5)$.", "x^2+3x-10", ["x^2 + 3x - 10", "x^{2}+3x-10", "-10+3x+x^2"], ["x^2-3x-10", "x^2+3x+10", "x^2+7x-10"],
     ["Multiply term by term.", "$x^2 + 5x - 2x - 10$."]),
    ("A recipe for 4 people needs 250 g of flour. How much do 10 people need?", r"625\text{ g}", ["625", r"625\text{ g}", "625.0"],
     ["600", "1000", "2500"], ["Per person it is 62.5 g.", "Ten people need ten times that."]),
    ("What is the least common multiple of 12 and 18?", "36", ["36", "36", "lcm = 36"], ["6", "216", "72"],
     ["$12 = 2^2 \\cdot 3$ and $18 = 2 \\cdot 3^2$.", "Take the larger powers."]),
    ("Find the midpoint of $(1, -4)$ and $(7, 2)$.", "(4,-1)", ["(4, -1)", r"\left(4,-1\right)", "(4,-1)"], ["(3,3)", "(-1,4)", "(8,-2)"],
     ["Average the coordinates.", "$(1+7)/2 = 4$ and $(-4+2)/2 = -1$."]),
    ("Compute $i^{2026}$.", "-1", ["-1", "-1", "i^2 = -1"], ["1", "i", "-i"], ["$i^4 = 1$.", "$2026 = 4 \\cdot 506 + 2$."]),
    ("For which $x$ is $2x - 1 > 5$?", r"(3, \infty)", [r"(3,\infty)", "x > 3", r"x>3"], [r"[3,\infty)", "x < 3", "x > 2"],
     ["Add 1: $2x > 6$.", "Divide by 2."]),
    ("In a class of 28, three quarters walk to school. How many do?", "21", ["21", r"21\text{ pupils}", "21"], ["7", "24", "14"],
     ["A quarter is 7.", "Three quarters are 21."]),
    ("What is $\\cos 60^\\circ$?", r"\frac{1}{2}", ["0.5", r"\frac12", "1/2"], [r"\frac{\sqrt{3}}{2}", "1", r"\frac{\sqrt{2}}{2}"],
     ["Halve an equilateral triangle.", "The short side is half the hypotenuse."]),
    ("How many diagonals has a regular nonagon?", "27", ["27", "27", "27"], ["36", "18", "72"],
     ["Each vertex has $9 - 3 = 6$ diagonals.", "$9 \\cdot 6 / 2 = 27$."]),
    ("Find the determinant of $\\begin{pmatrix} 3 & 1 \\\\ 4 & 2 \\end{pmatrix}$.", "2", ["2", "2", "6 - 4 = 2"], ["10", "-2", "14"],
     ["$ad - bc$.", "$3 \\cdot 2 - 1 \\cdot 4$."]),
    ("Express 8:15 p.m. on the 24-hour clock.", r"\text{20:15}", ["20:15", r"\text{20:15}", "20:15"], ["8:15", "18:15", "21:15"],
     ["Add twelve hours.", "$8 + 12 = 20$."]),
]  # fmt: skip


def completion(problem: Problem, skill: float, chance: random.Random) -> tuple[str, str]:
    """(text, finish reason) of one completion; with probability `skill` it is right."""
    _, _, right, slips, steps = problem
    answer = chance.choice(right if chance.random() < skill else slips)
    thought = " ".join(steps if chance.random() < 0.8 else [*steps, "Wait, let me check that.", *steps, "Yes."])
    form = chance.random()
    if form < 0.05:
        return f"<think>\n{thought[: len(thought) // 2]}", "length"
    if form < 0.09:
        return f"<think>\n{thought}\n</think>\nI am not sure.", "stop"
    if form < 0.12:
        return (
            f"<think>\n{thought}\n</think>\nIt is $\\boxed{{{answer}}}$ or $\\boxed{{{chance.choice(slips)}}}$.",
            "stop",
        )
    if form < 0.30:
        return f"<think>\n{thought}\n</think>\nThe answer is ${answer}$.", "stop"
    if form < 0.45:
        return f"<think>\n{thought}\n</think>\n<answer>{answer}</answer>", "stop"
    return f"<think>\n{thought}\n</think>\n{steps[-1]}\n\nTherefore the answer is $\\boxed{{{answer}}}$.", "stop"


def rows() -> Iterator[dict[str, object]]:
    """One row per problem, with its list of completions."""
    chance = random.Random(8)
    for number, problem in enumerate(PROBLEMS):
        skill = min(max(chance.gauss(0.65, 0.3), 0.05), 0.98)
        texts = [completion(problem, skill, chance) for _ in range(8)]
        yield {
            "id": f"demo-{number:02d}",
            "problem": problem[0],
            "answer": problem[1],
            "completions": [text for text, _ in texts],
            "finish_reason": [reason for _, reason in texts],
        }


if __name__ == "__main__":
    for row in rows():
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
