"""The long run of faults: controllers that are cut off, lied to, frozen and killed, and edits.

`python -m hack.chaos` prints what was not as in a calm run, if anything was, and the figures.
"""
