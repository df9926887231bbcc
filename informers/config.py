"""Where the API server is and who we are there, as the `kubernetes` package reads it.

That package knows kubeconfig files, exec plugins, token files and the in-cluster mount. What it
leaves open is closed here: one clear line per mistake, and credentials that can be read anew
when the server no longer takes the old ones.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import urllib3
import yaml
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject
from kubernetes.config import ConfigException, load_incluster_config
from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

from informers.connections import socket_options


class ConfigError(Exception):
    """The configuration cannot be used; the message is one line that says why."""


class ClusterConfig:
    """A server, the way to trust it, and credentials that can be renewed. Thread safe.

    `load` gives a fresh `kubernetes.client.Configuration`, or raises `ConfigError`.
    """

    def __init__(self, load: Callable[[], Configuration]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._configuration = load()
        self._certificate = _certificate(self._configuration)
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

    def authorization(self) -> str | None:
        """The Authorization header of the next request, or None.

        The package's refresh hook runs here: it reads a service account's token again every
        minute and runs an exec plugin again when its token has expired. When that fails the
        credentials at hand stay in use, and the server decides whether they still count.
        """
        with self._lock:
            settings = _auth_settings(self._configuration)
        # Token files end in a newline more often than not.
        return settings.strip() if settings else None

    def renew(self, generation: int) -> bool:
        """Read everything again because the server answered 401 to what `generation` had.

        True if the request is worth another try: other credentials are at hand now.
        """
        with self._lock:
            if generation != self._generation:
                return True
            try:
                fresh = self._load()
            except ConfigError:
                return False
            certificate = _certificate(fresh)
            same = certificate == self._certificate
            if same and fresh.api_key == self._configuration.api_key:
                return False
            self._configuration, self._certificate = fresh, certificate
            self._generation += 1
            return True

    def new_pool(self, size: int) -> urllib3.PoolManager:
        """A connection pool with the TLS and proxy settings; it keeps `size` idle connections.

        Files of the CA and of a client certificate are read again for each new connection.
        """
        with self._lock:
            configuration = self._configuration
            configuration.connection_pool_maxsize = size
            configuration.socket_options = socket_options()
            configuration.retries = False
            pool: urllib3.PoolManager = RESTClientObject(configuration).pool_manager
        return pool


def load_config(kubeconfig: str | None) -> ClusterConfig:
    """Read the kubeconfig file, or files joined by ":"; None means the in-cluster mount.

    Raises `ConfigError`.
    """
    if kubeconfig is None:
        return ClusterConfig(_in_cluster)
    return ClusterConfig(lambda: _from_file(kubeconfig))


def _in_cluster() -> Configuration:
    configuration = Configuration()
    try:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise ConfigError(f"not in a cluster and no kubeconfig given: {_line(error)}") from error
    return configuration


def _from_file(kubeconfig: str) -> Configuration:
    paths = [Path(part).expanduser() for part in kubeconfig.split(os.pathsep) if part]
    if not any(path.exists() for path in paths):
        raise ConfigError(f"kubeconfig {kubeconfig}: no such file")
    try:
        merger = KubeConfigMerger(kubeconfig)  # type: ignore[no-untyped-call]
        return _from_merged(merger.config)
    except ConfigError as error:
        raise ConfigError(f"kubeconfig {kubeconfig}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"kubeconfig {kubeconfig}: not valid YAML: {_line(error)}") from error
    except OSError as error:
        raise ConfigError(f"kubeconfig {kubeconfig}: {error.strerror or error}") from error
    except ConfigException as error:
        raise ConfigError(f"kubeconfig {kubeconfig}: {_line(error)}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # The package trusts the file's shape and fails by whatever the wrong one leads to.
        raise ConfigError(f"kubeconfig {kubeconfig}: not a kubeconfig ({_line(error)})") from error


def _from_merged(merged: Any) -> Configuration:
    """Turn the merged files' content into a configuration of its current context."""
    if not merged.value.get("current-context"):
        raise ConfigError("no current-context is set")
    loader = KubeConfigLoader(config_dict=merged)  # type: ignore[no-untyped-call]
    configuration = Configuration()
    configuration.host = ""
    loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
    if not configuration.host:
        raise ConfigError(f"the cluster of context {merged['current-context']} has no server")
    _require_plugin_answer(merged, configuration)
    return configuration


def _require_plugin_answer(merged: Any, configuration: Configuration) -> None:
    """The package logs a failed exec plugin and goes on without credentials; we do not."""
    context = merged["contexts"].get_with_name(merged["current-context"])["context"]
    user = merged["users"].get_with_name(context.safe_get("user"), safe=True)
    plugin = user["user"].safe_get("exec") if user else None
    if plugin and not configuration.api_key and not configuration.cert_file:
        # Its arguments may hold a secret.
        raise ConfigError(f"the exec plugin gave no credentials: {plugin['command']}")


def _auth_settings(configuration: Configuration) -> str | None:
    try:
        return configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
    except (ConfigException, OSError):
        return configuration.api_key.get("BearerToken")


def _certificate(configuration: Configuration) -> tuple[bytes, bytes]:
    """The client certificate and its key by content: a file may change under its name."""
    return _content(configuration.cert_file), _content(configuration.key_file)


def _content(path: str | None) -> bytes:
    try:
        return Path(path).read_bytes() if path else b""
    except OSError:
        return b""


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
