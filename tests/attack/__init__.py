"""What a tenant may try against the others and the core, from its own place.

`methods` decides on every method that etcd serves, the other modules hold the attacks, each a
function of a `Scene` that fails where the attack gets through. `catalogue` lists them all.
"""
