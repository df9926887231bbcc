"""How fast and how small the data plane is, and what one tenant feels of another.

`python -m hack.bench.dataplane` prints every figure beside its yardstick of the same run.
"""
