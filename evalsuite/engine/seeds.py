"""Seeds for engines that sample by themselves."""

from evalsuite.types import GenerateRequest, sha256_of


def seed_of(request: GenerateRequest) -> int:
    """The request's own seed, so that no two samples are alike: 31 bits, which every engine takes."""
    return int(sha256_of([list(request.context), request.seed, request.sample])[:15], 16) % 2**31
