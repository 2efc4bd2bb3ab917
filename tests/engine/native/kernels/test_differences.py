"""No kernel differs from float64 by more than rounding explains."""

import pytest
import torch

from tests.engine.native.kernels.differences import KERNELS, difference

LARGEST = {torch.float32: 2e-6, torch.bfloat16: 4e-3}
"""Shares of the largest result; of bfloat16, half of its last bit is 2e-3 to 4e-3."""


@pytest.mark.parametrize("dtype", LARGEST)
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_is_as_near_to_float64_as_rounding_allows(kernel, dtype):
    assert difference(kernel, dtype, range(2)) <= LARGEST[dtype]
