"""Kubeconfig files, as the `kubernetes` package reads them, and what it leaves out.

It does not know impersonation, reads a token file only once and only if there is no token
beside it, takes the files of a user to be relative to the working folder, and lets NO_PROXY
overrule a proxy-url. Here all of these are as in client-go, and each mistake is one clear line.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from kubernetes.client import Configuration
from kubernetes.config import ConfigException
from kubernetes.config.kube_config import KubeConfigMerger

from informers.errors import ConfigError, one_line
from informers.rest.execplugin import PluginLoader
from informers.rest.tokenfile import TokenFile

Headers = tuple[tuple[str, str], ...]

_FILES = {
    "clusters": ("cluster", ("certificate-authority",)),
    "users": ("user", ("client-certificate", "client-key", "tokenFile")),
}
"""What names a file relative to the kubeconfig that it stands in."""

_HEADER_NAME = "!#$&'*+-.^_`|~"
"""Of RFC 9110's tokens, what client-go does not escape in a header's name besides letters and
digits."""


class Kubeconfig:
    """One file, or several joined by ":"; each method reads them anew, or raises `ConfigError`.

    `context` stands above the current one of the files.
    """

    def __init__(self, paths: str, context: str | None = None) -> None:
        self._paths = paths
        self._context = context

    def configuration(self) -> Configuration:
        """The current context's server, trust and credentials; runs an exec plugin if need be."""
        with _mistakes_told():
            return _configuration(self._merged())

    def token_file(self) -> TokenFile | None:
        """The current user's token file, if there is one."""
        with _mistakes_told():
            user = _user(self._merged())
            path = user.get("tokenFile")
            return TokenFile(Path(path), str(user.get("token") or "")) if path else None

    def impersonation(self) -> Headers:
        """The headers that ask the server to take us for somebody else."""
        with _mistakes_told():
            return impersonation_headers(_user(self._merged()))

    def plugin(self) -> str | None:
        """The command of the current user's exec plugin, if there is one."""
        with _mistakes_told():
            plugin = _user(self._merged()).get("exec")
            return str(plugin["command"]) if plugin else None

    def _merged(self) -> Any:
        paths = [Path(part).expanduser() for part in self._paths.split(os.pathsep) if part]
        if not any(path.exists() for path in paths):
            raise ConfigError("no such file")
        merged = KubeConfigMerger(self._paths).config  # type: ignore[no-untyped-call]
        if self._context:
            merged.value["current-context"] = self._context
        if not merged.value.get("current-context"):
            raise ConfigError("no current-context is set")
        _resolve_files(merged.value)
        return merged


def impersonation_headers(user: Mapping[str, Any]) -> Headers:
    """Turn `as`, `as-uid`, `as-groups` and `as-user-extra` into headers, in this order."""
    found = [("Impersonate-User", user.get("as")), ("Impersonate-Uid", user.get("as-uid"))]
    found += [("Impersonate-Group", group) for group in user.get("as-groups") or []]
    for key, values in (user.get("as-user-extra") or {}).items():
        name = f"Impersonate-Extra-{quote(key, safe=_HEADER_NAME)}"
        found += [(name, value) for value in values]
    headers = tuple((name, _header_value(str(value))) for name, value in found if value)
    if headers and not user.get("as"):
        raise ConfigError("impersonation of a uid, groups or extras needs a user: `as` is missing")
    return headers


@contextlib.contextmanager
def _mistakes_told() -> Iterator[None]:
    """Turn whatever reading leads to into a `ConfigError`."""
    try:
        yield
    except ConfigException as error:
        raise ConfigError(one_line(error)) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {one_line(error)}") from error
    except OSError as error:
        raise ConfigError(error.strerror or one_line(error)) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # The package trusts the file's shape and fails by whatever the wrong one leads to.
        raise ConfigError(f"not a kubeconfig ({one_line(error)})") from error


def _configuration(merged: Any) -> Configuration:
    loader = PluginLoader(config_dict=merged)  # type: ignore[no-untyped-call]
    configuration = Configuration()
    configuration.host = ""
    loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
    if not configuration.host:
        raise ConfigError(f"the cluster of context {merged['current-context']} has no server")
    if _named(merged, "clusters", "cluster").get("proxy-url"):
        configuration.no_proxy = None
    if not str(configuration.api_key.get("BearerToken", "")).strip().isprintable():
        raise ConfigError("the token has a line break in it")
    return configuration


def _user(merged: Any) -> Mapping[str, Any]:
    return _named(merged, "users", "user")


def _named(merged: Any, section: str, kind: str) -> Mapping[str, Any]:
    """What the current context calls its user or cluster; empty if there is none."""
    context = merged["contexts"].get_with_name(merged["current-context"])["context"]
    name = context.safe_get(kind)
    node = merged[section].get_with_name(name, safe=True) if name else None
    return (node.value.get(kind) or {}) if node else {}


def _resolve_files(merged: Mapping[str, Any]) -> None:
    """Make the paths absolute, each from the kubeconfig that it stands in."""
    for section, (kind, keys) in _FILES.items():
        for node in merged[section]:
            folder = Path(node.path).absolute().parent
            values = node.value.get(kind) or {}
            values.update({key: str(folder / values[key]) for key in keys if values.get(key)})
            plugin = values.get("exec") or {}
            # A bare name is looked for in PATH.
            if os.sep in (plugin.get("command") or ""):
                plugin["command"] = str(folder / plugin["command"])


def _header_value(text: str) -> str:
    """The text as http.client wants it: its UTF-8 bytes, each as one character."""
    if not text.isprintable():
        raise ConfigError(f"{text!r} cannot be impersonated: it would break the header")
    return text.encode().decode("latin-1")
