"""Fine-tuning: packing changes nothing, only completions count, and what is written can be opened again."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from rlvr.evals.cli import main
from rlvr.evals.errors import UsageError
from rlvr.trainer.characters import Characters
from rlvr.trainer.hugging_face import HuggingFacePolicy
from rlvr.trainer.llama import ModelConfig
from rlvr.trainer.log import RunLog, read_rows
from rlvr.trainer.model import TinyTransformer
from rlvr.trainer.policy import Policy
from rlvr.trainer.puzzles import PUZZLES
from rlvr.trainer.sft import (
    Example,
    SftConfig,
    accumulate,
    fine_tune,
    learning_rate,
    make_example,
    micro_batches,
    packed,
    row_losses,
    tensors,
)

PUZZLE = PUZZLES["addition"]
CHARACTERS = Characters(PUZZLE.alphabet, PUZZLE.tags)
ROWS = PUZZLE.cold_start()[:12]


def tiny(dtype: torch.dtype = torch.float64) -> TinyTransformer:
    shape = ModelConfig(dim=32, layers=2, heads=4, kv_heads=2, inner=48)
    return TinyTransformer(shape, CHARACTERS, generator=torch.Generator().manual_seed(0)).to(dtype)


def examples(count: int = 12) -> list[Example]:
    """Of different lengths: each has another number of columns."""
    rows = [{**row, "completion": row["completion"] * (1 + n % 3)} for n, row in enumerate(ROWS[:count])]
    return [make_example(row, CHARACTERS, str(n)) for n, row in enumerate(rows)]


def plain_loss(policy: Policy, batch: list[Example]) -> torch.Tensor:
    """The definition, one example at a time, with all logits."""
    sums: list[torch.Tensor] = []
    for example in batch:
        tokens_1T = torch.tensor([example.ids])
        logits_TV = (policy.hidden(tokens_1T)[0] @ policy.head().weight_VD.T).log_softmax(-1)
        sums += [-logits_TV[t - 1, example.ids[t]] for t in range(example.start, len(example.ids))]
    return torch.stack(sums).mean()


def gradients(policy: Any) -> list[torch.Tensor]:
    found = [parameter.grad.clone() for parameter in policy.parameters()]
    policy.zero_grad()
    return found


# ---- exactness


@pytest.mark.parametrize("pack", [0, 64, 200, 4096])
@pytest.mark.parametrize("micro_batch_tokens", [1, 300, 100_000])
def test_packed_is_the_mean_over_completion_tokens(pack: int, micro_batch_tokens: int) -> None:
    policy, batch = tiny(), examples()
    expected = plain_loss(policy, batch)
    expected.backward()
    wanted = gradients(policy)
    loss, bad = accumulate(policy, batch, SftConfig(pack=pack, micro_batch_tokens=micro_batch_tokens, logprob_chunk=7))
    assert loss == pytest.approx(float(expected.detach()), abs=1e-10)
    assert not bad
    for got, gradient in zip(gradients(policy), wanted, strict=True):
        torch.testing.assert_close(got, gradient, rtol=0, atol=1e-10)


def test_packed_in_float32_is_within_1e_6() -> None:
    policy, batch = tiny(torch.float32), examples()
    alone, _ = accumulate(policy, batch, SftConfig(pack=0, micro_batch_tokens=1))
    together, _ = accumulate(policy, batch, SftConfig(pack=4096))
    assert together == pytest.approx(alone, abs=1e-6)


def test_an_example_does_not_see_its_neighbours() -> None:
    policy, (first, second, *_) = tiny(), examples()
    other = Example([*first.ids[:-2], 5, 1], first.start, "other")
    for before in (first, other):
        tokens_BT, positions_BT, _ = tensors([[before, second]], 0)
        hidden_TD = policy.hidden(tokens_BT, positions_BT)[0, len(before.ids) :]
        torch.testing.assert_close(hidden_TD, policy.hidden(torch.tensor([second.ids]))[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packing_is_exact_for_a_hugging_face_model(tmp_path: Path, attention: str) -> None:
    tiny(torch.float32).save(tmp_path)
    policy = HuggingFacePolicy.load(str(tmp_path), attention=attention).double()
    batch = examples()
    alone, _ = accumulate(policy, batch, SftConfig(pack=0, micro_batch_tokens=1))
    wanted = gradients(policy)
    together, _ = accumulate(policy, batch, SftConfig(pack=300))
    assert together == pytest.approx(alone, abs=1e-9)
    for got, gradient in zip(gradients(policy), wanted, strict=True):
        torch.testing.assert_close(got, gradient, rtol=0, atol=1e-9)


def test_prompt_tokens_and_padding_are_not_in_the_loss() -> None:
    policy, batch = tiny(), examples(3)
    _, _, mask_BT = tensors([[example] for example in batch], CHARACTERS.pad_id)
    assert [row.sum() for row in mask_BT] == [len(example.ids) - example.start for example in batch]
    assert not mask_BT[:, : batch[0].start].any()
    none = Example(batch[0].ids, len(batch[0].ids), "no completion")
    assert float(row_losses(policy, [[none]]).detach()) == 0


# ---- rows and micro-batches


def test_a_row_becomes_its_tokens_with_the_end() -> None:
    example = make_example({"prompt": "1+1=", "completion": "<think>2"}, CHARACTERS, "")
    assert CHARACTERS.decode(example.ids) == "1+1=<think>2"
    assert (example.start, example.ids[-1]) == (4, CHARACTERS.end_id)


def test_a_chat_for_the_tiny_model_is_joined() -> None:
    chat = {"messages": [{"role": "user", "content": "1+1="}, {"role": "assistant", "content": "2"}]}
    assert make_example(chat, CHARACTERS, "") == make_example({"prompt": "1+1=", "completion": "2"}, CHARACTERS, "")


def test_a_thought_that_the_prompt_opens_is_not_opened_twice() -> None:
    row = {"prompt": "1+1=<think>", "completion": "<think>2</think>2"}
    assert CHARACTERS.decode(make_example(row, CHARACTERS, "").ids) == "1+1=<think>2</think>2"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "1"}, "neither chat"),
        ({"prompt": "1", "completion": 2}, "neither chat"),
        ({"prompt": "1", "completion": ""}, "empty completion"),
        ({"prompt": "", "completion": "2"}, "empty prompt"),
        ({"messages": []}, "not a list of a question and an answer"),
        ({"messages": [{"role": "user"}, {"role": "assistant", "content": "2"}]}, "texts 'role' and 'content'"),
        ({"messages": [{"role": "assistant", "content": "1"}, {"role": "user", "content": "2"}]}, "not the assistant"),
    ],
)
def test_a_row_of_another_shape_is_refused(row: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_example(row, CHARACTERS, "")


def test_nothing_is_lost_in_packing_and_limits_hold() -> None:
    batch = examples()
    rows = packed(batch, 120)
    assert sorted(example.name for row in rows for example in row) == sorted(example.name for example in batch)
    assert all(len(row) == 1 or sum(len(example.ids) for example in row) <= 120 for row in rows)
    assert len(rows) < len(batch)
    for micro in micro_batches(rows, 250):
        longest = max(sum(len(example.ids) for example in row) for row in micro)
        assert len(micro) == 1 or len(micro) * longest <= 250


# ---- the run


def test_the_learning_rate_rises_and_falls_to_its_last_share() -> None:
    config = SftConfig(learning_rate=1.0, warmup_steps=4, final_learning_rate=0.1)
    rates = [learning_rate(config, step, 20) for step in range(1, 21)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[11] == pytest.approx(0.55)
    assert rates[19] == pytest.approx(0.1)
    assert rates[3:] == sorted(rates[3:], reverse=True)


def test_it_learns_and_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    ends: list[torch.Tensor] = []
    for name in ("a", "b"):
        policy = tiny(torch.float32)
        config = SftConfig(batch=4, steps=40, warmup_steps=2, learning_rate=0.02, pack=128)
        with RunLog(tmp_path / name, steps=40, loggers=(), quiet=True) as log:
            fine_tune(policy, examples(), config, log)
        rows = list(read_rows(tmp_path / name / "metrics.jsonl"))
        assert [row["step"] for row in rows] == list(range(1, 41))
        assert rows[0]["loss"] == pytest.approx(math.log(CHARACTERS.size), abs=0.3)
        assert rows[-1]["loss"] < 0.6 * rows[0]["loss"]
        assert {"learning_rate", "grad_norm", "tokens", "seconds/train"} <= rows[-1].keys()
        ends.append(torch.cat([parameter.detach().flatten() for parameter in policy.parameters()]))
    assert torch.equal(*ends)


def test_the_last_step_of_the_epochs_is_short(tmp_path: Path) -> None:
    batch = examples(10)
    with RunLog(tmp_path / "run", steps=5, loggers=(), quiet=True) as log:
        fine_tune(tiny(torch.float32), batch, SftConfig(batch=4, epochs=2), log)
    rows = list(read_rows(tmp_path / "run" / "metrics.jsonl"))
    assert len(rows) == 5
    assert rows[-1]["tokens"] == 2 * sum(len(example.ids) - example.start for example in batch)


def test_a_loss_that_is_not_finite_skips_the_step_and_says_where(tmp_path: Path) -> None:
    policy = tiny(torch.float32)
    with torch.no_grad():
        policy.embedding[CHARACTERS.encode("=")[0]] = torch.nan
    before = [parameter.detach().clone() for parameter in policy.parameters()]
    with (
        pytest.raises(UsageError, match="10 updates in a row"),
        RunLog(tmp_path / "run", steps=20, loggers=(), quiet=True) as log,
    ):
        fine_tune(policy, examples(2), SftConfig(batch=2, steps=20), log)
    for parameter, old in zip(policy.parameters(), before, strict=True):
        assert torch.equal(parameter.nan_to_num(), old.nan_to_num())
    rows = list(read_rows(tmp_path / "run" / "metrics.jsonl"))
    assert len(rows) == 10
    assert all("not finite" in row["skipped"] and "loss" not in row for row in rows)


@pytest.mark.parametrize("change", [{"batch": 0}, {"pack": -1}, {"beta2": 1.0}, {"max_grad_norm": 0.0}])
def test_settings_that_cannot_be_meant_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        SftConfig(**change)


# ---- the command


def write_data(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_command_trains_on_chats_and_saves_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny(torch.float32).save(tmp_path / "model")
    chats = [
        {"messages": [{"role": "user", "content": r["prompt"]}, {"role": "assistant", "content": r["completion"]}]}
        for r in ROWS
    ]
    data = write_data(tmp_path / "sft.jsonl", [*chats, {"prompt": "1+1=", "completion": "1" * 99}])
    settings = tmp_path / "cold_start.toml"
    settings.write_text(f'model = "{tmp_path / "model"}"\ndata = ["{data}"]\nmax_tokens = 60\nloggers = []\n')
    out = tmp_path / "run"
    assert main(["sft", str(settings), "--out", str(out), "--batch", "4", "--learning-rate", "0.003"]) == 0
    said = capsys.readouterr().err
    assert "12 examples; 1 longer than max_tokens = 60 are left out" in said
    assert "step 6/6  loss " in said
    assert len(list(read_rows(out / "metrics.jsonl"))) == 6
    assert "learning_rate = 0.003" in (out / "config.toml").read_text()
    trained = TinyTransformer.load(out / "final")
    assert not torch.equal(trained.embedding, tiny(torch.float32).embedding)
    assert main(["sft", str(settings), "--out", str(out)]) == 2
    assert "holds a run already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        ([{"prompt": "1", "completion": "2"}], [], "which model"),
        ([{"prompt": "1"}], ["--model", "model"], "data.jsonl:1: neither chat"),
        ([{"prompt": "x", "completion": "2"}], ["--model", "model"], "lacks the character 'x'"),
        ([{"prompt": "1", "completion": "2"}], ["--model", "model", "--max-tokens", "2"], "no example"),
        ([], ["--model", "model"], "no example"),
        ([{"prompt": "1", "completion": "2"}], ["--model", "model", "--batch", "many"], "whole number"),
    ],
)
def test_what_the_user_has_to_mend_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    rows: list[dict[str, Any]], arguments: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    tiny(torch.float32).save(tmp_path / "model")
    write_data(tmp_path / "data.jsonl", rows)
    assert main(["sft", "--data", "data.jsonl", "--quiet", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["sft", "--help"])
    said = capsys.readouterr().out
    assert "rlvr sft cold_start.toml" in said
    assert "--learning-rate" in said
