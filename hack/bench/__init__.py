"""How fast the informers and the work queue are, each figure beside its yardstick.

`python -m hack.bench` measures the `parts` and prints a `table`. What is timed runs in a process
of its own (`subjects`): `ours`, `official` and client-go (`hack/components/clientgo`).
"""
