"""The way to the API server: configuration, credentials, connections, calls and watches.

`load_config` of `config` reads who we are and where, from a `kubeconfig`, whose plugins
`execplugin` asks, or the pod's mount; `tls` and a `tokenfile` are read while the program runs.
`Client` of `client` makes `calls` and opens a `watch`, both by `attempts` over the `connections`
of a `transport`, as many at once as there are `slots`, and no faster than a `throttle` allows.
The names are those of client-go's `rest` package where it has the thing.
"""
