"""Draw a few samples in a process of its own, as a run does, and print them as JSON lines, what the engine is first.

    python tests/evals/engines/draw_samples.py ENGINE MODEL SAMPLING_AS_JSON [key=value …]

vLLM starts processes that import the main module again, so this is a file and not a test.
"""

import asyncio
import dataclasses
import json
import sys

from rlvr.evals.engines.choose import make_engine, parse_options
from rlvr.evals.engines.types import EngineUnavailable, Prompt, Sampling

PROMPTS = [
    Prompt("short", messages=({"role": "user", "content": "What is 2 + 2?"},), prefix="<think>\n"),
    Prompt("long", messages=({"role": "user", "content": "Find the remainder. " * 60},)),
    Prompt("plain", text="User: what is 2 + 2? Assistant: "),
]
SAMPLES = range(4)


async def main(name: str, model: str, sampling: Sampling, options: list[str]) -> None:
    engine = make_engine(name, model, parse_options(options))
    try:
        print(json.dumps(dataclasses.asdict(await engine.start())), flush=True)
        async for one in engine.sample([(prompt, SAMPLES) for prompt in PROMPTS], sampling):
            print(json.dumps(dataclasses.asdict(one)), flush=True)
    finally:
        await engine.aclose()


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1], sys.argv[2], Sampling(**json.loads(sys.argv[3])), sys.argv[4:]))
    except EngineUnavailable as unavailable:
        sys.exit(f"unavailable: {unavailable}")
