"""The long run of certificates: many storages through renewals and rotations, under handshakes.

`python -m hack.soak` prints what failed, if anything did, and the figures.
"""
