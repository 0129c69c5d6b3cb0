"""GRPO, top to bottom: config → load → loop {rollout → verify → advantages → loss → step → log}.

DeepSeek-R1-Zero's loop (arXiv:2501.12948; doi:10.1038/s41586-025-09422-z) as the equations in `losses` have it. What
changes an equation is there; what a run is made of stands in files of their own beside this one. A step is one rollout
and the updates that are made of it. Axes: P prompts, G completions of each, B rows, T positions.
"""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from ..evals.engines.seeds import seed_of
from ..evals.errors import UsageError
from . import checkpoint
from .advantages import ADVANTAGES, ESTIMATORS, has_spread, why_no_spread
from .asking import Asked, ask
from .batching import MicroBatch, Sample, idle, micro_batches
from .config import Config
from .data import Data, Question, load_data
from .distributed import Ranks, copy_weights, full, gradients_stay, wrap
from .evaluation import evaluate
from .judging import Judge
from .loading import Log, Scorer, load_policy, load_reference, load_sampler, open_log
from .losses import LOSSES, statistics, top_entropy
from .measures import MOST_SKIPS, add, averages, completion_row, measure, why_skipped
from .policy import Policy
from .rollout import Sampler, Sampling


@dataclass(eq=False)
class Run:
    """What the loop works with. The numbers at the end are, with weights and optimizer, what a checkpoint holds."""

    config: Config
    ranks: Ranks
    policy: Policy
    """Sampled from and saved."""
    scorer: nn.Module
    """Trained: the policy itself, or where that is sharded, the shards, from which it is refreshed after each step."""
    reference: nn.Module | None
    optimizer: torch.optim.Optimizer
    data: Data
    judge: Judge
    sampler: Sampler
    log: Log
    step: int = 0
    cursor: int = 0
    """Place in the stream of questions."""
    tokens: int = 0
    """Sampled so far."""
    skips: int = 0

    @property
    def trained(self) -> checkpoint.Trained:
        return checkpoint.Trained(self.scorer, self.optimizer, self.reference)


def train(config: Config, folder: Path, ranks: Ranks, *, quiet: bool = False) -> None:
    """Train, or go on from the last checkpoint in `folder`; the model ends up in its `final`.

    Raises UsageError for what the user has to mend.
    """
    with ExitStack() as stack:
        run = load(config, folder, ranks, stack, quiet=quiet)
        if run.step == 0:
            run.log.metrics(0, evaluation(run))
        while run.step < config.steps:
            run.step += 1
            take_step(run)
            if config.checkpoint_every and run.step % config.checkpoint_every == 0:
                run.log.sync()
                counters = {"step": run.step, "cursor": run.cursor, "tokens": run.tokens, "skips": run.skips}
                checkpoint.save(folder, counters, run.trained, config.keep_checkpoints, ranks)
        if ranks.rank == 0:
            run.policy.save(folder / "final")


def load(config: Config, folder: Path, ranks: Ranks, stack: ExitStack, *, quiet: bool) -> Run:
    """Everything that the loop needs, at the step of the last checkpoint if there is one."""
    if config.prompts % (ranks.size * config.minibatches):
        raise UsageError(
            f"prompts = {config.prompts}: does not divide into {config.minibatches} minibatches on {ranks.size} ranks"
        )
    found = checkpoint.latest(folder)
    policy = load_policy(config, ranks.device)
    scorer = wrap(Scorer(policy, config.temperature, config.logprob_chunk), config.parallel, ranks)
    reference = load_reference(config, ranks) if config.equation.kl_coef else None
    betas = (config.beta1, config.beta2)
    optimizer = torch.optim.AdamW(scorer.parameters(), betas=betas, weight_decay=config.weight_decay, fused=True)
    counters = checkpoint.load(found, checkpoint.Trained(scorer, optimizer, reference)) if found else {}
    if config.parallel == "fsdp" and ranks.size > 1:
        policy = load_policy(config, ranks.device)
    data = load_data(config, policy.tokenizer)
    judge = stack.enter_context(closing(Judge(config.reward, config.reward_options, config.reward_workers)))
    sampler = stack.enter_context(closing(load_sampler(config, policy)))
    log = stack.enter_context(open_log(config, folder, ranks, counters.get("step", -1), quiet=quiet))
    run = Run(config, ranks, policy, scorer, reference, optimizer, data, judge, sampler, log, **counters)
    refresh(run)
    return run


def refresh(run: Run) -> None:
    """Have what is sampled from be what is trained."""
    if run.config.parallel == "fsdp" and run.ranks.size > 1:
        copy_weights(run.scorer, cast(nn.Module, run.policy))
    run.sampler.sync(run.policy)


def evaluation(run: Run) -> dict[str, Any]:
    """What the policy can do now, on problems that it is not trained on."""
    with run.log.stage("eval"):
        row, rows = evaluate(run.config, run.data.held_out, run.policy, run.sampler, run.judge, run.ranks)
    run.log.evaluation(run.step, rows)
    return row


def take_step(run: Run) -> None:
    """One rollout, the updates made of it, and what is logged of both."""
    config, log = run.config, run.log
    groups = collect(run)
    give_advantages(run, groups)
    samples = [sample for group in groups for sample in group]
    with log.stage("train"):
        row = update(run, samples)
        refresh(run)
    row |= measure(groups, config, run.ranks)
    run.tokens += row["tokens"]
    row["tokens"] = run.tokens
    if run.reference is not None and config.refresh_reference and run.step % config.refresh_reference == 0:
        copy_weights(run.scorer, run.reference)
    if config.keep_completions_every and run.step % config.keep_completions_every == 0:
        rows = run.ranks.gather([[completion_row(sample) for sample in group] for group in groups])
        log.completions(run.step, [row for group in rows for row in group])
    if run.step == config.steps or (config.eval_every and run.step % config.eval_every == 0):
        row |= evaluation(run)
    log.metrics(run.step, row)


# ---- rollout → verify


def collect(run: Run) -> list[list[Sample]]:
    """This rank's groups of the step. Groups without spread give way to further ones if the run samples dynamically."""
    config, ranks = run.config, run.ranks
    wanted = config.prompts // ranks.size
    groups: list[list[Sample]] = []
    spare: list[list[Sample]] = []
    for _ in range(1 + config.dynamic_sampling):
        missing = wanted - len(groups)
        slots = ranks.longest(missing) * ranks.size
        if not slots:
            break
        questions = ranks.mine(run.data.at(config.seed, run.cursor, slots))[:missing]
        places = ranks.mine(range(run.cursor, run.cursor + slots))[:missing]
        run.cursor += slots
        for group in sample_and_judge(run, questions, places):
            keep = not config.dynamic_sampling or _spreads(group)
            (groups if keep else spare).append(group)
    return groups + spare[: wanted - len(groups)]


def sample_and_judge(run: Run, questions: Sequence[Question], places: Sequence[int]) -> list[list[Sample]]:
    """A group for each question, sampled in pieces; each piece is judged while the next one is sampled."""
    config, log = run.config, run.log
    sampling = Sampling(config.max_tokens, config.temperature, config.top_p)
    size = config.rollout_prompts or max(1, -(-len(questions) // 2))
    seeds = [seed_of(config.seed, "rollout", place) for place in places]
    asked: list[Asked] = []
    with log.stage("rollout"):
        for start in range(0, len(questions), size):
            piece = slice(start, start + size)
            asked.append(
                ask(
                    questions[piece], config.group, sampling, seeds[piece], run.sampler, run.policy.tokenizer, run.judge
                )
            )
    with log.stage("verify"):  # what was not done beside the rollout
        return [group for one in asked for group in one.groups()]


def _spreads(group: Sequence[Sample]) -> bool:
    """By correctness alone, as DAPO has it (arXiv:2503.14476, equation 11)."""
    right = [float("nan") if sample.verdict.score is None else sample.verdict.status == "correct" for sample in group]
    return bool(has_spread(torch.tensor([right], dtype=torch.float64)))


# ---- advantages


def give_advantages(run: Run, groups: Sequence[list[Sample]]) -> None:
    """Write each sample's advantage into it; what was not judged, or was cut off and is masked, counts for nothing."""
    config, ranks = run.config, run.ranks
    named = ranks.gather([(group[0].question.problem.id, [sample.reward for sample in group]) for group in groups])
    rewards_PG = torch.tensor([rewards for _, rewards in named], dtype=torch.float64)
    for (name, _), rewards_G in zip(named, rewards_PG, strict=True):
        why = why_no_spread(rewards_G)
        if why is not None:
            run.log.note(run.step, f"problem {name}: {why}")
    estimate = ESTIMATORS[config.advantage] if config.advantage else ADVANTAGES[config.algorithm]
    for group, advantages_G in zip(groups, ranks.mine(list(estimate(rewards_PG))), strict=True):
        for sample, advantage in zip(group, advantages_G, strict=True):
            sample.advantage = float(advantage) if sample.judged else 0.0
            sample.counts = sample.judged and (sample.finished or not config.mask_truncated)


# ---- loss → step


def update(run: Run, samples: list[Sample]) -> dict[str, Any]:
    """The updates of one rollout, and their averages for the log."""
    config = run.config
    annotate(run, samples)
    rate = config.rate(run.step)
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    size = len(samples) // config.minibatches
    sums: dict[str, float] = {}
    for _ in range(config.epochs):
        for start in range(0, len(samples), size):
            add(sums, one_update(run, samples[start : start + size]))
    return averages(run.ranks.total(sums), config.epochs * config.minibatches) | {"learning_rate": rate}


def one_update(run: Run, samples: Sequence[Sample]) -> dict[str, float]:
    """Loss and gradient over micro-batches, then one step of the optimizer, or none where a number is not finite."""
    config, ranks = run.config, run.ranks
    counting = [sample for sample in samples if sample.counts]
    whole_step = ranks.total({"sequences": len(counting), "tokens": sum(len(sample.ids) for sample in counting)})
    learning = [sample for sample in counting if sample.advantage or run.reference]  # the others' gradient is 0
    batches = _micro_batches(run, learning, samples[0])
    sums: dict[str, float] = {}
    bad: list[str] = []
    for number, micro in enumerate(batches, 1):
        with gradients_stay(run.scorer, stay=number < len(batches)):
            logps_BT, _ = run.scorer(micro.tokens_BT, micro.mask_BT)
            batch = micro.batch(logps_BT, whole_step["sequences"] / ranks.size, whole_step["tokens"] / ranks.size)
            loss_B = LOSSES[config.algorithm](batch, config.equation)
            cast(Any, loss_B.sum()).backward()
        if not bool(loss_B.isfinite().all()):  # one look at the GPU for the whole batch
            bad += [sample.name for sample, loss in zip(micro.samples, loss_B, strict=True) if not loss.isfinite()]
        add(sums, statistics(batch, config.equation))
        add(sums, {"loss": float(loss_B.detach().sum()) / ranks.size})
    norm = float(full(nn.utils.clip_grad_norm_(run.scorer.parameters(), config.max_grad_norm)))
    if ranks.longest(len(bad)) or not isfinite(norm):
        sums = {"skipped": _skip(run, bad, norm) / ranks.size}
    else:
        run.optimizer.step()
        run.skips = 0
        sums["grad_norm"] = norm / ranks.size
    run.optimizer.zero_grad()
    return sums


def _skip(run: Run, bad: Sequence[str], norm: float) -> int:
    """Say why an update is left out. Raises UsageError when that goes on and on."""
    why = why_skipped(bad, norm)
    run.log.note(run.step, f"update skipped: {why}")
    run.skips += 1
    if run.skips == MOST_SKIPS:
        raise UsageError(f"step {run.step}: {MOST_SKIPS} updates in a row had no finite gradient ({why}): a lower "
                         "learning_rate or max_grad_norm may help; the last checkpoint is kept")  # fmt: skip
    return 1


def annotate(run: Run, samples: Sequence[Sample]) -> None:
    """What the loss takes as given: the reference's log-probabilities, the policy's own before the first update, and
    which tokens are chosen by entropy."""
    config = run.config
    again = config.minibatches * config.epochs > 1 or config.entropy_share < 1
    counting = [sample for sample in samples if sample.counts]
    for scorer, wanted in ((run.scorer, again), (run.reference, run.reference is not None)):
        if not wanted or scorer is None:
            continue
        with torch.no_grad():
            for micro in _micro_batches(run, counting, samples[0]):
                logps_BT, entropies_BT = scorer(micro.tokens_BT, micro.mask_BT)
                micro.write("old_logps" if scorer is run.scorer else "ref_logps", logps_BT)
                if scorer is run.scorer:
                    micro.write("entropies", entropies_BT)
    if config.entropy_share < 1:
        found = [sample.entropies for sample in counting if sample.entropies is not None]
        entropies_1N = torch.cat([torch.empty(0), *run.ranks.all(found)])[None]
        chosen_1N = top_entropy(entropies_1N, torch.ones_like(entropies_1N, dtype=torch.bool), config.entropy_share)
        least = float(entropies_1N.masked_fill(~chosen_1N, torch.inf).amin()) if found else 0.0
        for sample, entropies in zip(counting, found, strict=True):
            sample.selected = entropies >= least


def _micro_batches(run: Run, samples: Sequence[Sample], any_sample: Sample) -> list[MicroBatch]:
    """Equally many on every rank: FSDP gathers weights in each, so a rank with fewer adds idle ones."""
    pad_id, device = run.policy.tokenizer.pad_id, run.ranks.device
    batches = micro_batches(samples, run.config.micro_batch_tokens, pad_id, device)
    missing = max(1, run.ranks.longest(len(batches))) - len(batches)
    return batches + [idle(any_sample, pad_id, device)] * missing
