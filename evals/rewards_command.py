"""`rlvr rewards`: the rewards that are ready to use, and what each part of them pays for."""

import argparse
import json
from collections.abc import Sequence
from textwrap import dedent

from ..verifiers.rewards import RECIPES, Recipe


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="rlvr rewards",
        description="The rewards that are ready to use, and what each part of them pays for.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=dedent("""\
            A reward is named wherever a command takes one, and imported in Python:
              rlvr score completions.jsonl --verifier r1_zero_math
              rlvr serve --reward r1
              from rlvr.verifiers.rewards import r1_zero_math"""),
    )
    parser.add_argument("--json", action="store_true", help="print them as one JSON object")
    return parser


def command(arguments: Sequence[str]) -> int:
    """List them."""
    options = parser().parse_args(arguments)
    if options.json:
        print(json.dumps({recipe.name: _row(recipe) for recipe in RECIPES}, indent=1))
    else:
        print("\n\n".join(map(_told, RECIPES)))
    return 0


def _row(recipe: Recipe) -> dict[str, object]:
    return {
        "says": recipe.says,
        "pays": dict(recipe.pays),
        "reads": recipe.reads,
        "source": recipe.source,
        "needs": recipe.needs or None,
    }


def _told(recipe: Recipe) -> str:
    width = max(map(len, recipe.pays))
    lines = [f"{recipe.name}  {recipe.says}"]
    lines += [f"    {part:<{width}}  {what}" for part, what in recipe.pays.items()]
    lines.append(f"    from {recipe.source}")
    if recipe.needs:
        lines.append(f"    needs {recipe.needs}")
    return "\n".join(lines)
