"""`rlvr eval` against a server that fails at random: what came is kept, what did not is counted, and is had later."""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rlvr.evals.engines.seeds import seed_of

PROBLEMS, N = 12, 4
ACTS = ("refuse", "cut", "429-after", "malformed", "fewer", "none", "500", "503", "error-in-stream", "html")
COMMAND = "import sys; from rlvr.evals.cli import main; sys.exit(main())"
Row = dict[str, Any]
Behave = Callable[[int, dict[str, Any]], str]


def failing(seed: int, share: float) -> Behave:
    """By chance, but the same for the k-th time that one thing is asked, in whatever order requests come."""
    times: Counter[str] = Counter()
    stalls: set[str] = set()

    def behave(_: int, body: dict[str, Any]) -> str:
        asked = json.dumps(body, sort_keys=True)
        times[asked] += 1
        chance = random.Random(f"{seed} {times[asked]} {asked}")
        if len(stalls) < 2 and asked not in stalls and chance.random() < 0.2:  # each costs the whole silence_s
            stalls.add(asked)
            return "stall"
        return chance.choice(ACTS) if chance.random() < share else "good"

    return behave


async def rlvr(folder: Path, *words: object) -> tuple[int | None, str, str]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COMMAND, *map(str, words), cwd=folder, stdout=pipe, stderr=pipe
    )
    out, err = await asyncio.wait_for(process.communicate(), 300)
    return process.returncode, out.decode(), err.decode()


def rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def keys(found: list[Row]) -> list[tuple[str, int]]:
    return [(row["id"], row["sample"]) for row in found]


@pytest.mark.parametrize("batch_n", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
def test_what_could_not_be_had_is_counted_and_had_the_next_time(
    seed: int, batch_n: bool, tools: Any, tmp_path: Path
) -> None:
    problems = [{"id": f"p{i}", "problem": f"What is 2 + {i}?", "answer": str(2 + i)} for i in range(PROBLEMS)]
    (tmp_path / "aime24.jsonl").write_text("".join(json.dumps(row) + "\n" for row in problems), encoding="utf-8")
    asked = sorted((row["id"], sample) for row in problems for sample in range(N))
    samples = tmp_path / "run/samples.jsonl"
    server = tools.Server(failing(seed, share=0.7))

    def command(out: str) -> list[object]:
        options = ("backoff_s=0.01", "silence_s=3", "retries=2", "concurrency=8", f"batch_n={str(batch_n).lower()}")
        return [
            "eval", "aime24", "--data", "aime24.jsonl", "--model", "tiny", "--n", N, "--backend", "openai",
            "--base-url", f"{server.base}/v1", *(word for one in options for word in ("--engine-option", one)),
            "--out", out,
        ]  # fmt: skip

    async def main() -> None:
        async with server.running():
            code, out, err = await rlvr(tmp_path, *command("run"))
            assert code == 1, err
            assert "Traceback" not in err
            had, failed = rows(samples), rows(tmp_path / "run/errors.jsonl")
            assert 0 < len(failed) < len(asked)
            assert sorted(keys(had) + keys(failed)) == asked, "twice, or neither had nor counted"
            assert all(row["error"] for row in failed)
            assert f"{len(failed)} of {len(asked)} samples are missing\n" in out
            for error, number in Counter(row["error"] for row in failed).most_common(2):
                assert f"  {number} x {error}\n" in out
            summary = json.loads((tmp_path / "run/summary.json").read_text(encoding="utf-8"))
            assert (summary["samples"], summary["run"]["missing"]) == (len(had), len(failed))
            assert (tmp_path / "run/report.html").exists()

            server.behave = lambda k, body: "good"
            server.bodies.clear()
            before = samples.read_bytes()
            code, out, err = await rlvr(tmp_path, *command("run"))
            assert code == 0, err
            assert f"continuing run: {len(had)} samples are there already" in err
            assert samples.read_bytes().startswith(before)
            assert sorted(keys(rows(samples))) == asked
            assert "missing" not in out
            assert keys(rows(tmp_path / "run/scored.jsonl")) == [
                (row["id"], sample) for row in problems for sample in range(N)
            ]
            if not batch_n:  # every sample has its own seed: the end is that of a run that never failed
                asked_again = {body["seed"] for body in server.bodies}
                assert asked_again == {seed_of(0, *key) for key in keys(failed)}, "asked for what was there"
                assert (await rlvr(tmp_path, *command("whole")))[0] == 0
                same = [sorted(samples_of.read_bytes().splitlines()) for samples_of in
                        (samples, tmp_path / "whole/samples.jsonl")]  # fmt: skip
                assert same[0] == same[1]
                scored = [(tmp_path / out / "scored.jsonl").read_bytes() for out in ("run", "whole")]
                assert scored[0] == scored[1]

    asyncio.run(main())
