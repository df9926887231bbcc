"""How long the controller takes to have many storages deployed, beside bare writes of the same.

`python -m hack.bench.controller` prints every figure of one run.
"""
