"""Where the API server is and who we are there.

The `kubernetes` package finds out. What it leaves open is closed here: credentials and trust
that are read anew while the program runs, by the clock of the caller and when the server no
longer takes the old ones.
"""

import contextlib
import copy
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import urllib3
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject
from kubernetes.config import ConfigException, incluster_config

from informers.errors import ConfigError, ConnectionFailed, one_line
from informers.rest.connections import socket_options
from informers.rest.kubeconfig import Headers, Kubeconfig
from informers.rest.tls import Tls, files
from informers.rest.tokenfile import TokenFile
from informers.rest.trouble import Trouble

LOOK_AFTER = 60.0
"""Seconds between two looks at the files of CA and client pair. client-go looks at a CA every five
minutes, and at a pair at each handshake; a look is three small reads."""


_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a request says that we are, and how often that had been renewed before.

    `generation` counts changes that need new connections, `renewals` those that were looked for.
    """

    authorization: str | None = field(repr=False)
    generation: int
    renewals: int


class ClusterConfig:
    """A server, the way to trust it, and credentials that can be renewed. Thread safe.

    `load` gives a fresh `kubernetes.client.Configuration`, or raises `ConfigError`; a
    `token_file` stands above its token; `headers` go with every request; `plugin` is what `load`
    runs, for messages. One thread at a time looks for credentials and may have to wait for a
    plugin; the others wait as long as they say, and then raise a `ConnectionFailed`.
    """

    def __init__(
        self,
        load: Callable[[], Configuration],
        *,
        token_file: TokenFile | None = None,
        headers: Headers = (),
        plugin: str | None = None,
    ) -> None:
        self._load = load
        self._token_file = token_file
        self.headers = headers
        self._plugin = plugin
        self._lock = threading.Lock()
        configuration = load()
        self._settings = _Settings(configuration, _read_tls(configuration), 0)
        self._looked_at: float | None = None
        self._authorization: str | None = None
        self._asked = 0
        self._renewals = 0
        server = self.server
        self._refresh_trouble = Trouble("credentials_unusable", server=server)
        self._renewal_trouble = Trouble("credentials_unusable", server=server)
        self._tls_trouble = Trouble("tls_files_unusable", server=server)

    def __repr__(self) -> str:
        return f"ClusterConfig({self.server})"

    @property
    def server(self) -> str:
        """The URL that paths are appended to, without a slash at its end."""
        return str(self._settings.configuration.host).rstrip("/")

    @property
    def generation(self) -> int:
        """How many times the credentials were renewed; tells a pool that it is outdated."""
        return self._settings.generation

    def identity(self, now: float, longest: float) -> Identity:
        """Say who the next request is of; `now` is monotonic time, `longest` seconds to wait.

        What has grown old is looked at again here: a token file, the files of TLS, and by the
        package's refresh hook an exec plugin whose token has expired. When that fails what is
        at hand stays in use, and the server decides whether it still counts.
        """
        asked = self._asked
        with self._alone(longest):
            # Else another thread has asked while this one waited.
            if asked == self._asked:
                self._ask(now)
            return self._identity()

    def renewed(self, refused: Identity, now: float, longest: float) -> Identity | None:
        """Read everything again because the server answered 401 to `refused`.

        That is done once for all who were refused as the same. None if nothing else came of it.
        """
        with self._alone(longest):
            if refused.renewals == self._renewals:
                self._renew(now)
                self._renewals += 1
                self._ask(now)
            fresh = self._identity()
        changed = fresh.authorization != refused.authorization
        return fresh if changed or fresh.generation != refused.generation else None

    def renew_trust(self, generation: int, longest: float) -> bool:
        """Look at the files of TLS because what `generation` had did not match the server.

        True if they have changed since.
        """
        with self._alone(longest):
            self._look()
            return generation != self.generation

    def new_pool(self, size: int) -> urllib3.PoolManager:
        """A connection pool with the TLS and proxy settings; it keeps `size` idle connections."""
        settings = self._settings
        configuration = copy.copy(settings.configuration)
        configuration.connection_pool_maxsize = size
        configuration.socket_options = socket_options()
        configuration.retries = False
        context = settings.tls.context if settings.tls else None
        configuration.proxy_ssl_context = context
        pool: urllib3.PoolManager = RESTClientObject(configuration).pool_manager
        # In their place the context that was made of them when they were good.
        for name in ("ca_certs", "cert_file", "key_file"):
            pool.connection_pool_kw.pop(name, None)
        pool.connection_pool_kw["ssl_context"] = context
        return pool

    @contextlib.contextmanager
    def _alone(self, longest: float) -> Iterator[None]:
        """Hold the lock; whoever has it may be waiting for a plugin."""
        if not self._lock.acquire(timeout=max(longest, 0.0)):
            source = f" from the exec plugin {self._plugin}" if self._plugin else ""
            raise ConnectionFailed(self.server, f"no credentials{source} in time", timed_out=True)
        try:
            yield
        finally:
            self._lock.release()

    def _identity(self) -> Identity:
        return Identity(self._authorization, self.generation, self._renewals)

    def _ask(self, now: float) -> None:
        """Find out the header of the next request."""
        self._look_if_due(now)
        if self._token_file is not None:
            self._authorization = f"Bearer {self._token_file.token(now)}"
        else:
            found = self._auth_settings()
            self._authorization = found.strip() if found else None
        self._asked += 1

    def _auth_settings(self) -> str | None:
        configuration = self._settings.configuration
        try:
            found = configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        except (ConfigError, ConfigException, OSError) as error:
            self._refresh_trouble.tell(one_line(error))
            return configuration.api_key.get("BearerToken")
        self._refresh_trouble.tell(None)
        return found

    def _renew(self, now: float) -> None:
        """Take over what is loaded, if it differs from what is there."""
        if self._token_file is not None:
            self._token_file.reread(now)
        try:
            configuration = self._load()
            fresh = _Settings(configuration, _read_tls(configuration), self.generation + 1)
        except ConfigError as error:
            self._renewal_trouble.tell(str(error))
            return
        self._renewal_trouble.tell(None)
        if self._says(fresh) != self._says(self._settings):
            self._settings = fresh
            _log.info("credentials_renewed", server=self.server)

    def _says(self, settings: "_Settings") -> object:
        """Who we are, for comparison; a token file tells by itself when it changes."""
        token = None if self._token_file else settings.configuration.api_key.get("BearerToken")
        return token, settings.tls and settings.tls.content

    def _look_if_due(self, now: float) -> None:
        if self._looked_at is None:
            self._looked_at = now
        elif now - self._looked_at >= LOOK_AFTER:
            self._looked_at = now
            self._look()

    def _look(self) -> None:
        """Take over the files of TLS if they have changed and are good."""
        configuration, tls = self._settings.configuration, self._settings.tls
        if tls is None:
            return
        try:
            fresh = tls.reread(configuration)
        except (OSError, ValueError) as error:
            self._tls_trouble.tell(one_line(error), files=_given(configuration))
            return
        self._tls_trouble.tell(None)
        if fresh is not tls:
            self._settings = _Settings(configuration, fresh, self.generation + 1)
            _log.info("tls_files_renewed", server=self.server, files=_given(configuration))


@dataclass(frozen=True, slots=True)
class _Settings:
    """What connections of one generation are made with; replaced as a whole."""

    configuration: Configuration
    tls: Tls | None
    generation: int


def load_config(kubeconfig: str | None, context: str | None = None) -> ClusterConfig:
    """Read the kubeconfig file, or files joined by ":"; None means the in-cluster mount.

    `context` None is the current one of these files. Raises `ConfigError`.
    """
    if kubeconfig is None:
        return _in_cluster()
    source = Kubeconfig(kubeconfig, context)
    try:
        return ClusterConfig(
            source.configuration,
            token_file=source.token_file(),
            headers=source.impersonation(),
            plugin=source.plugin(),
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


def _given(configuration: Configuration) -> list[str]:
    return [path for path in files(configuration) if path]
