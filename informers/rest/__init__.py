"""The way to the API server: configuration, credentials, connections, calls and watches.

`load_config` reads who we are and where, `Client` makes calls and opens watches. The names are
those of client-go's `rest` package where it has the thing.
"""
