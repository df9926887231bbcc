"""EtcdStorage as the API serves it. Pure functions, no requests.

`storage` reads an object, `statusfields` what of its status can be read; `conditions`,
`durations`, `times` and `names` are what their fields are made of.
"""
