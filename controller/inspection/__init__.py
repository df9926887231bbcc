"""A look inside for people: `status`, a table of storages, and `doctor`, what is wrong and why.

Both only read. What they say is worked out by pure functions of API objects, a module for each
subject; `listing` and `doctor` read the cluster and print. The controller imports none of it.
"""
