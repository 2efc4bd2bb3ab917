"""The recurrence of a Mamba-2 layer over a packed tree, in a few kernel launches for any tree.

The launches: time steps and sums of decays; the final states of chunks, once per level of chains (`chains`);
all outputs. The last two are repeated for each group of heads whose states fit into the workspace.

Chains are walked rather than computing every chunk's state apart and then passing states along the tree,
because states are the most bytes by far: 4 MiB per chunk in a layer of Nemotron-H-8B (128 heads x 64 channels
x 128, float32). Walking writes and reads each once, passing moves each four times. Reckoned, not measured, at
3.0 TB/s, for the first pack of up to 16,384 tokens of MMLU (5 shots) and of HellaSwag (10 shots):

    pack       blocks  chunks  dependent chunks by level  states passed    states walked
    MMLU       408     143     15 + 4 + 2                 2.2 GiB, 0.8 ms  1.1 GiB, 0.4 ms
    HellaSwag  320     254     18 + 17 + 13               4.0 GiB, 1.4 ms  2.0 GiB, 0.7 ms

A dependent chunk is a product of 64 x 64 x 64 and takes about 2 microseconds, so that the walks are bound by
bandwidth, too: 21 and 48 such steps, where the programs before walked 143 and 254 and, in between, computed
the outputs of every block. One sequence of 16,000 tokens is a single chain of 250 chunks: 0.5 ms.
"""

from dataclasses import dataclass
from typing import Any

import torch
import triton

from evalsuite.engine.native.trees.kernels.scan_programs import final_states, outputs, steps_and_sums
from evalsuite.engine.native.trees.kernels.tables import Tables
from evalsuite.engine.native.trees.kernels.workspace import heads_at_once
from evalsuite.engine.native.trees.walk import CHUNK

SMALLEST = 16
"""Smallest dimension of a matrix product, for tensor cores."""
LARGEST, LARGEST_FLOAT32 = 64, 32
"""Most columns of a head, and most values of a state per channel, of a matrix product: compiled for sm_80 and
sm_90, registers do not spill (but for 96 bytes of `outputs` in float32, by Triton 3.6 for sm_90)."""
HEADS = 8
"""Most heads of a group that one program computes, since they share C B."""
STEP_HEADS = 32
"""Heads whose time steps one program computes."""


@dataclass(frozen=True, eq=False, slots=True)
class RowStates:
    """The states of rows before their first tokens and after their last ones.

    The tables of such rows number `rows` initial states before the final states of chunks, of which each row
    has equally many.
    """

    initial: torch.Tensor | None
    """(rows, heads, width, state); None for zeros."""
    final: torch.Tensor
    """(rows, heads, width, state) float32, which the scan fills."""

    def begin(self, states: torch.Tensor, heads: slice) -> None:
        """Write some heads' initial states into `states` (rows + chunks, heads, state, width)."""
        first = states[: len(self.final), : heads.stop - heads.start]
        if self.initial is None:
            first.zero_()
        else:
            first.copy_(self.initial[:, heads].mT)

    def end(self, states: torch.Tensor, heads: slice) -> None:
        """Read some heads' final states from `states`."""
        rows = len(self.final)
        last = states[rows:].unflatten(0, (rows, -1))[:, -1, : heads.stop - heads.start]
        self.final[:, heads] = last.mT


def path_scan(
    tables: Tables,
    hidden_states: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None = None,
    dt_bias: torch.Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = (0.0, float("inf")),
    rows: RowStates | None = None,
    **options: Any,
) -> torch.Tensor:
    """`trees.mamba.tree_scan`, with the tree's tables instead of its walk.

    `rows` has the initial states of the rows that the tables were made for, and takes their final states.

    Time steps are float32 whatever the type of the inputs, as in mamba-ssm's kernels. Besides the result it
    takes at most `workspace.workspace_bytes` of memory.
    """
    x, dt, B, C = (_rows(part[0]) for part in (hidden_states, dt, B, C))
    tokens, heads, width = x.shape
    result = torch.empty(tokens, heads, width, device=x.device)
    if not tokens:
        return result[None]
    steps = torch.empty(heads, tokens, device=x.device)
    sums = torch.empty(heads, tokens, dtype=torch.float64, device=x.device)
    with torch.cuda.device_of(x):
        steps_and_sums[len(tables.sources), triton.cdiv(heads, STEP_HEADS)](
            dt,
            dt_bias,
            A,
            tables.ends,
            tables.edges,
            steps,
            sums,
            dt.stride(0),
            tokens,
            heads,
            *map(float, dt_limit),
            BIASED=dt_bias is not None,
            SOFTPLUS=dt_softplus,
            HEADS=STEP_HEADS,
            BLOCK=_block(),
        )
        _states_and_outputs(tables, x, B, C, D, steps, sums, result, rows)
    return result[None]


def _states_and_outputs(
    tables: Tables,
    x: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None,
    steps: torch.Tensor,
    sums: torch.Tensor,
    result: torch.Tensor,
    rows: RowStates | None,
) -> None:
    """Compute `result` from time steps and sums of decays, for one group of heads after the other."""
    tokens, heads, width = x.shape
    groups, state = B.shape[1:]
    blocks, chunks, shared = len(tables.sources), len(tables.chunks), heads // groups
    fitting = heads_at_once(chunks, heads, 4 * state * width)
    in_set = min(HEADS, shared, fitting)  # heads of a program: they are of one group
    sets_of_group = int(triton.cdiv(shared, in_set))
    sets = groups * sets_of_group
    passes = int(triton.cdiv(sets, fitting // in_set if fitting < heads else sets))
    sets_at_once = int(triton.cdiv(sets, passes))  # passes of equal size
    at_once = min(heads, sets_at_once * in_set)
    most = LARGEST_FLOAT32 if x.dtype == torch.float32 else LARGEST
    columns, values = _part(width, most), _part(state, most)
    state_parts = triton.cdiv(width, columns) * triton.cdiv(state, values)
    sizes: dict[str, Any] = {
        "BLOCK": _block(),
        "WIDTH": columns,
        "STATE": values,
        "PRECISION": "tf32x3" if x.dtype == torch.float32 else "tf32",
    }
    strides = x.stride(0), B.stride(0), C.stride(0)
    states = torch.empty(chunks, at_once, state, width, device=x.device)

    def heads_before(place: int) -> int:
        return place // sets_of_group * shared + min(place % sets_of_group * in_set, shared)

    for first in range(0, sets, sets_at_once):
        last = min(first + sets_at_once, sets)
        first_head, count = heads_before(first), heads_before(last) - heads_before(first)
        held = slice(first_head, first_head + count)
        if rows:
            rows.begin(states, held)
        for first_chain, last_chain in tables.levels:
            final_states[last_chain - first_chain, count, state_parts](
                x,
                B,
                steps,
                sums,
                tables.edges,
                tables.chunks,
                tables.chains,
                states,
                *strides[:2],
                tokens,
                first_chain,
                first_head,
                at_once,
                shared,
                width,
                state,
                **sizes,
            )
        outputs[blocks, last - first, triton.cdiv(width, columns)](
            x,
            B,
            C,
            D,
            steps,
            sums,
            tables.ends,
            tables.edges,
            tables.sources,
            states,
            result,
            *strides,
            tokens,
            first,
            first_head,
            at_once,
            heads,
            shared,
            width,
            state,
            SKIP=D is not None,
            HEADS=in_set,
            STATES=max(values, triton.next_power_of_2(state)),
            **sizes,
            num_warps=8,  # with 4, registers spill
        )
        if rows:
            rows.end(states, held)


def _rows(part: torch.Tensor) -> torch.Tensor:
    """The tensor (tokens, ...) itself if each of its rows is contiguous, else a contiguous copy."""
    return part if not part.numel() or part[0].is_contiguous() else part.contiguous()


def _block() -> int:
    """Tokens of a block in a program."""
    return max(SMALLEST, int(triton.next_power_of_2(CHUNK)))


def _part(size: int, most: int) -> int:
    """How much of a head's width, or of its state, a program has at a time."""
    return max(SMALLEST, min(most, int(triton.next_power_of_2(size))))
