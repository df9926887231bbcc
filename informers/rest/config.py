"""Where the API server is and who we are there.

The `kubernetes` package finds out. What it leaves open is closed here: credentials and trust
that are read anew while the program runs, by the clock of the caller and when the server no
longer takes the old ones.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import urllib3
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject
from kubernetes.config import ConfigException, incluster_config

from informers.errors import ConfigError, one_line
from informers.rest.connections import socket_options
from informers.rest.kubeconfig import Headers, Kubeconfig
from informers.rest.tls import Tls
from informers.rest.tokenfile import TokenFile

LOOK_AFTER = 60.0
"""Seconds between two looks at the files of CA and client pair. client-go looks at a CA every five
minutes, and at a pair at each handshake; a look is three small reads."""


class ClusterConfig:
    """A server, the way to trust it, and credentials that can be renewed. Thread safe.

    `load` gives a fresh `kubernetes.client.Configuration`, or raises `ConfigError`; a
    `token_file` stands above its token; `headers` go with every request.
    """

    def __init__(
        self,
        load: Callable[[], Configuration],
        *,
        token_file: TokenFile | None = None,
        headers: Headers = (),
    ) -> None:
        self._load = load
        self._token_file = token_file
        self.headers = headers
        self._lock = threading.Lock()
        self._configuration = load()
        self._tls = _read_tls(self._configuration)
        self._looked_at: float | None = None
        self._generation = 0

    def __repr__(self) -> str:
        return f"ClusterConfig({self.server})"

    @property
    def server(self) -> str:
        """The URL that paths are appended to, without a slash at its end."""
        return str(self._configuration.host).rstrip("/")

    @property
    def generation(self) -> int:
        """How many times the credentials were renewed; tells a pool that it is outdated."""
        return self._generation

    def authorization(self, now: float) -> str | None:
        """The Authorization header of the next request, or None; `now` is monotonic time.

        What has grown old is looked at again here: a token file, the files of TLS, and by the
        package's refresh hook an exec plugin whose token has expired. When that fails what is
        at hand stays in use, and the server decides whether it still counts.
        """
        with self._lock:
            self._look_if_due(now)
            if self._token_file is not None:
                return f"Bearer {self._token_file.token(now)}"
            settings = _auth_settings(self._configuration)
        return settings.strip() if settings else None

    def renew(self, generation: int, now: float) -> bool:
        """Read everything again because the server answered 401 to what `generation` had.

        True if the request is worth another try for other credentials than a token file's, which
        show in the next `authorization`.
        """
        with self._lock:
            if self._token_file is not None:
                self._token_file.reread(now)
            if generation != self._generation:
                return True
            try:
                fresh = self._load()
                tls = _read_tls(fresh)
            except ConfigError:
                return False
            if self._says(fresh, tls) == self._says(self._configuration, self._tls):
                return False
            self._configuration, self._tls = fresh, tls
            self._generation += 1
            return True

    def renew_trust(self, generation: int) -> bool:
        """Look at the files of TLS because what `generation` had did not match the server.

        True if they have changed since.
        """
        with self._lock:
            self._look()
            return generation != self._generation

    def new_pool(self, size: int) -> urllib3.PoolManager:
        """A connection pool with the TLS and proxy settings; it keeps `size` idle connections."""
        with self._lock:
            configuration = self._configuration
            configuration.connection_pool_maxsize = size
            configuration.socket_options = socket_options()
            configuration.retries = False
            context = self._tls.context if self._tls else None
            configuration.proxy_ssl_context = context
            pool: urllib3.PoolManager = RESTClientObject(configuration).pool_manager
            # In their place the context that was made of them when they were good.
            for name in ("ca_certs", "cert_file", "key_file"):
                pool.connection_pool_kw.pop(name, None)
            pool.connection_pool_kw["ssl_context"] = context
        return pool

    def _says(self, configuration: Configuration, tls: Tls | None) -> object:
        """Who we are, for comparison; a token file tells by itself when it changes."""
        token = None if self._token_file else configuration.api_key.get("BearerToken")
        return token, tls and tls.content

    def _look_if_due(self, now: float) -> None:
        if self._looked_at is None:
            self._looked_at = now
        elif now - self._looked_at >= LOOK_AFTER:
            self._looked_at = now
            self._look()

    def _look(self) -> None:
        """Take over the files of TLS if they have changed and are good."""
        if self._tls is None:
            return
        before, self._tls = self._tls, self._tls.reread(self._configuration)
        if self._tls is not before:
            self._generation += 1


def load_config(kubeconfig: str | None) -> ClusterConfig:
    """Read the kubeconfig file, or files joined by ":"; None means the in-cluster mount.

    Raises `ConfigError`.
    """
    if kubeconfig is None:
        return _in_cluster()
    files = Kubeconfig(kubeconfig)
    try:
        return ClusterConfig(
            files.configuration, token_file=files.token_file(), headers=files.impersonation()
        )
    except ConfigError as error:
        raise ConfigError(f"kubeconfig {kubeconfig}: {error}") from error


def _in_cluster() -> ClusterConfig:
    _load_in_cluster()  # says it best if this is no cluster
    path = Path(incluster_config.SERVICE_TOKEN_FILENAME)
    return ClusterConfig(_load_in_cluster, token_file=TokenFile(path))


def _load_in_cluster() -> Configuration:
    configuration = Configuration()
    try:
        incluster_config.load_incluster_config(configuration, try_refresh_token=False)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise ConfigError(
            f"not in a cluster and no kubeconfig given: {one_line(error)}"
        ) from error
    return configuration


def _read_tls(configuration: Configuration) -> Tls | None:
    if not str(configuration.host).startswith("https:"):
        return None
    try:
        return Tls.read(configuration)
    except (OSError, ValueError) as error:
        raise ConfigError(f"certificates cannot be used: {one_line(error)}") from error


def _auth_settings(configuration: Configuration) -> str | None:
    try:
        return configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
    except (ConfigException, OSError):
        return configuration.api_key.get("BearerToken")
