"""Credentials and trust over time, by the clock of the caller, and the identity of a pod."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from kubernetes.client import Configuration
from kubernetes.config import ConfigException, incluster_config
from structlog.testing import capture_logs

from informers.errors import ConfigError, ConnectionFailed
from informers.rest.config import LOOK_AFTER, ClusterConfig, Identity, load_config
from tests.support.apiserver import configuration
from tests.support.kubeconfig import answer, exec_plugin, kubeconfig
from tests.support.tls import authority, pair, write_pair


def authorization(config: ClusterConfig, now: float) -> str | None:
    return config.identity(now, 5).authorization


def renewed(config: ClusterConfig, now: float) -> bool:
    """Whether a request that is refused helps itself so."""
    return config.renewed(config.identity(now, 5), now, 5) is not None


def test_server_and_token_are_read(tmp_path: Path) -> None:
    config = load_config(kubeconfig(tmp_path, {"token": "abc"}))
    assert config.server == "https://example.com:6443"
    assert authorization(config, 0) == "Bearer abc"
    assert config.headers == ()


def test_a_token_loses_the_line_break_at_its_end(tmp_path: Path) -> None:
    config = load_config(kubeconfig(tmp_path, {"token": "abc\n"}))
    assert authorization(config, 0) == "Bearer abc"


def test_without_a_token_there_is_no_header(tmp_path: Path) -> None:
    assert authorization(load_config(kubeconfig(tmp_path)), 0) is None


def test_impersonation_goes_along(tmp_path: Path) -> None:
    config = load_config(kubeconfig(tmp_path, {"token": "abc", "as": "jane"}))
    assert config.headers == (("Impersonate-User", "jane"),)


class TestTokenFile:
    @pytest.fixture
    def token(self, tmp_path: Path) -> Path:
        path = tmp_path / "token"
        path.write_text("old\n")
        return path

    @pytest.fixture
    def config(self, tmp_path: Path, token: Path) -> ClusterConfig:
        return load_config(kubeconfig(tmp_path, {"tokenFile": str(token)}))

    def test_is_read_again_as_time_goes_by(self, token: Path, config: ClusterConfig) -> None:
        assert authorization(config, 0) == "Bearer old"
        token.write_text("new\n")
        assert authorization(config, 49) == "Bearer old"
        assert authorization(config, 50) == "Bearer new"

    def test_is_read_again_after_a_401(self, token: Path, config: ClusterConfig) -> None:
        authorization(config, 0)
        token.write_text("new\n")
        assert renewed(config, 1)
        assert authorization(config, 1) == "Bearer new"
        # Its connections are as good as before.
        assert config.generation == 0

    @pytest.mark.parametrize("content", [None, ""])
    def test_that_is_of_no_use_leaves_the_old_one(
        self, token: Path, config: ClusterConfig, content: str | None
    ) -> None:
        token.unlink() if content is None else token.write_text(content)
        assert not renewed(config, 1)
        assert authorization(config, 1) == authorization(config, 100) == "Bearer old"


class TestRenewal:
    def test_asks_a_plugin_again(self, tmp_path: Path) -> None:
        config = load_config(kubeconfig(tmp_path, exec_plugin(tmp_path, {"token": "old"})))
        assert not renewed(config, 0)
        answer(tmp_path, {"token": "new"})
        assert authorization(config, 1e6) == "Bearer old"
        assert renewed(config, 0)
        assert (authorization(config, 0), config.generation) == ("Bearer new", 1)

    def test_is_done_once_for_all_who_were_refused(self, tmp_path: Path) -> None:
        """Whether it helped or not."""
        user = exec_plugin(tmp_path, {"token": "old"})
        plugin = tmp_path / "plugin"
        plugin.write_text(f"{plugin.read_text()}echo run >> {tmp_path}/runs\n")
        config = load_config(kubeconfig(tmp_path, user))
        for token, helps in (("old", False), ("new", True)):
            answer(tmp_path, {"token": token})
            (tmp_path / "runs").unlink()
            refused = config.identity(0, 5)
            outcomes = [config.renewed(refused, 0, 5) for _ in range(8)]
            assert [one is not None for one in outcomes] == [helps] * 8
            assert (tmp_path / "runs").read_text() == "run\n"
        assert config.generation == 1

    def test_that_fails_keeps_what_is_there(self, tmp_path: Path) -> None:
        path = Path(kubeconfig(tmp_path, {"token": "abc"}))
        config = load_config(str(path))
        path.unlink()
        assert not renewed(config, 0)
        assert authorization(config, 0) == "Bearer abc"


@pytest.fixture
def slow() -> Iterator["Slow"]:
    made = Slow()
    yield made
    made.go_on.set()


class Slow:
    """Credentials behind a plugin that takes as long as the test wants, from `hang` on."""

    def __init__(self) -> None:
        self.asking = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()
        self.token = "old"
        self.runs = 0
        self.config = ClusterConfig(self.load, plugin="get-token")

    def load(self) -> Configuration:
        self.runs += 1
        self.asking.release()
        assert self.go_on.wait(5)
        made = configuration("http://127.0.0.1:1", self.token)
        made.refresh_api_key_hook = self.refresh  # type: ignore[assignment] # declared as None
        return made

    def refresh(self, made: Configuration) -> None:
        made.api_key["BearerToken"] = f"Bearer {self.token}"

    def hang(self) -> None:
        self.asking = threading.Semaphore(0)
        self.go_on.clear()

    def in_thread(self, refused: Identity) -> "Future[Identity | None]":
        """Renew in a thread of its own, once the plugin is running."""
        outcome: Future[Identity | None] = Future()

        def renew() -> None:
            outcome.set_result(self.config.renewed(refused, 0, 5))

        threading.Thread(target=renew).start()
        return outcome


class TestPluginThatHangs:
    def test_holds_nobody_longer_than_he_wants_to_wait(self, slow: Slow) -> None:
        refused = slow.config.identity(0, 5)
        slow.hang()
        outcome = slow.in_thread(refused)
        assert slow.asking.acquire(timeout=5)
        says = "http://127.0.0.1:1: no credentials from the exec plugin get-token in time"
        for ask in (
            lambda: slow.config.identity(0, 0.01),
            lambda: slow.config.renewed(refused, 0, 0.01),
            lambda: slow.config.renew_trust(0, -1),
        ):
            with pytest.raises(ConnectionFailed, match=says) as caught:
                ask()
            assert caught.value.timed_out
        slow.go_on.set()
        assert outcome.result(5) is None

    def test_holds_no_pool(self, slow: Slow) -> None:
        """One is built when an informer is made."""
        refused = slow.config.identity(0, 5)
        slow.hang()
        outcome = slow.in_thread(refused)
        assert slow.asking.acquire(timeout=5)
        slow.config.new_pool(3).clear()
        slow.go_on.set()
        outcome.result(5)

    def test_answers_all_who_waited_for_it(self, slow: Slow) -> None:
        refused = slow.config.identity(0, 5)
        slow.hang()
        slow.token = "new"
        outcomes = [slow.in_thread(refused) for _ in range(4)]
        assert slow.asking.acquire(timeout=5)
        slow.go_on.set()
        tokens = {identity and identity.authorization for identity in map(result, outcomes)}
        assert (tokens, slow.runs) == ({"Bearer new"}, 2)


def result(outcome: "Future[Identity | None]") -> Identity | None:
    return outcome.result(5)


def test_a_token_that_has_expired_is_asked_for_once_for_all_who_wait() -> None:
    """Even if it stays the same, as when the plugin fails."""
    entered, go_on = threading.Semaphore(0), threading.Event()
    asked: list[int] = []

    def refresh(_: Configuration) -> None:
        asked.append(1)
        entered.release()
        assert go_on.wait(5)

    def load() -> Configuration:
        made = configuration("http://127.0.0.1:1", "old")
        made.refresh_api_key_hook = refresh  # type: ignore[assignment] # declared as None
        return made

    config, lock = ClusterConfig(load), NotingLock()
    config._lock = lock  # type: ignore[assignment] # as far as it is used
    threads = [threading.Thread(target=config.identity, args=(0, 5)) for _ in range(4)]
    for thread in threads:
        thread.start()
        assert lock.come.acquire(timeout=5)
    assert entered.acquire(timeout=5)
    go_on.set()
    for thread in threads:
        thread.join(5)
    assert len(asked) == 1
    config.identity(0, 5)
    assert len(asked) == 2


class NotingLock:
    """A lock that tells when somebody comes to it."""

    def __init__(self) -> None:
        self.come = threading.Semaphore(0)
        self._lock = threading.Lock()

    def acquire(self, timeout: float) -> bool:
        self.come.release()
        return self._lock.acquire(timeout=timeout)

    def release(self) -> None:
        self._lock.release()


class TestFilesOfTls:
    @pytest.fixture
    def config(self, tmp_path: Path) -> ClusterConfig:
        ca = authority()
        (tmp_path / "ca.crt").write_bytes(ca.cert_pem)
        write_pair(tmp_path, pair(ca, "me"))
        cluster = {"server": "https://example.com", "certificate-authority": "ca.crt"}
        user = {"client-certificate": "tls.crt", "client-key": "tls.key"}
        return load_config(kubeconfig(tmp_path, user, cluster=cluster))

    @pytest.mark.parametrize("what", ["ca", "pair"])
    def test_are_looked_at_every_minute(
        self, tmp_path: Path, config: ClusterConfig, what: str
    ) -> None:
        authorization(config, 0)
        if what == "ca":
            (tmp_path / "ca.crt").write_bytes(authority().cert_pem)
        else:
            write_pair(tmp_path, pair(authority(), "new"))
        authorization(config, LOOK_AFTER - 1)
        assert config.generation == 0
        authorization(config, LOOK_AFTER)
        assert config.generation == 1
        authorization(config, 2 * LOOK_AFTER)
        assert config.generation == 1
        assert LOOK_AFTER == 60

    def test_are_looked_at_no_more_often(self, tmp_path: Path, config: ClusterConfig) -> None:
        authorization(config, 0)
        authorization(config, LOOK_AFTER)
        (tmp_path / "ca.crt").write_bytes(authority().cert_pem)
        generations = []
        for now in (LOOK_AFTER + 1, 2 * LOOK_AFTER - 1, 2 * LOOK_AFTER):
            authorization(config, now)
            generations.append(config.generation)
        assert generations == [0, 0, 1]

    def test_are_looked_at_when_the_server_does_not_match_them(
        self, tmp_path: Path, config: ClusterConfig
    ) -> None:
        assert not config.renew_trust(0, 5)
        (tmp_path / "ca.crt").write_bytes(authority().cert_pem)
        assert config.renew_trust(0, 5)
        assert config.renew_trust(0, 5)
        assert config.generation == 1

    def test_are_looked_at_after_a_401(self, tmp_path: Path, config: ClusterConfig) -> None:
        assert not renewed(config, 0)
        write_pair(tmp_path, pair(authority(), "new"))
        assert renewed(config, 0)
        assert not renewed(config, 0)

    def test_that_are_no_good_change_nothing(self, tmp_path: Path, config: ClusterConfig) -> None:
        authorization(config, 0)
        (tmp_path / "ca.crt").write_text("half of a cert")
        authorization(config, LOOK_AFTER)
        assert not config.renew_trust(0, 5)
        assert not renewed(config, 0)
        assert config.generation == 0


class TestLog:
    def test_a_renewal_is_told_and_one_that_fails_once(self, tmp_path: Path) -> None:
        path = Path(kubeconfig(tmp_path, {"token": "very-secret"}))
        config = load_config(str(path))
        with capture_logs() as logs:
            path.unlink()
            assert not renewed(config, 0)
            assert not renewed(config, 0)
            kubeconfig(tmp_path, {"token": "other-secret"})
            assert renewed(config, 0)
            path.unlink()
            assert not renewed(config, 0)
        server = "https://example.com:6443"
        failed = {
            "event": "credentials_unusable",
            "log_level": "warning",
            "server": server,
            "problem": "no such file",
        }
        done = {"event": "credentials_renewed", "log_level": "info", "server": server}
        assert logs == [failed, done, failed]

    def test_a_hook_that_fails_is_told_once(self) -> None:
        def refresh(_: Configuration) -> None:
            if not well:
                raise ConfigException("the provider is away")

        def load() -> Configuration:
            made = configuration("http://127.0.0.1:1", "very-secret")
            made.refresh_api_key_hook = refresh  # type: ignore[assignment] # declared as None
            return made

        well: list[bool] = []
        config = ClusterConfig(load)
        with capture_logs() as logs:
            for state in ([], [], [True], []):
                well[:] = state
                assert authorization(config, 0) == "Bearer very-secret"
        assert [(log["event"], log["problem"]) for log in logs] == [
            ("credentials_unusable", "the provider is away"),
        ] * 2
        assert "secret" not in str(logs)

    def test_files_of_tls_are_told_of_by_name(self, tmp_path: Path) -> None:
        ca = tmp_path / "ca.crt"
        ca.write_bytes(authority().cert_pem)
        cluster = {"server": "https://example.com", "certificate-authority": "ca.crt"}
        config = load_config(kubeconfig(tmp_path, cluster=cluster))
        with capture_logs() as logs:
            ca.write_text("half of a cert")
            for _ in range(3):
                config.renew_trust(0, 5)
            ca.write_bytes(authority().cert_pem)
            config.renew_trust(0, 5)
        assert [(log["log_level"], log["event"], log["files"]) for log in logs] == [
            ("warning", "tls_files_unusable", [str(ca)]),
            ("info", "tls_files_renewed", [str(ca)]),
        ]
        assert logs[0]["problem"]


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service account's mount, and the environment of a pod."""
    (tmp_path / "token").write_text("pod-token\n")
    (tmp_path / "ca.crt").write_bytes(authority().cert_pem)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    return tmp_path


class TestInCluster:
    @pytest.mark.usefixtures("mount")
    def test_server_and_token_come_from_the_mount(self) -> None:
        config = load_config(None)
        assert config.server == "https://[fd00::1]:443"
        assert authorization(config, 0) == "Bearer pod-token"

    def test_the_token_is_read_again_and_kept_if_that_fails(self, mount: Path) -> None:
        config = load_config(None)
        authorization(config, 0)
        (mount / "token").write_text("next-token")
        assert authorization(config, 49) == "Bearer pod-token"
        assert authorization(config, 50) == "Bearer next-token"
        (mount / "token").write_text("")
        assert authorization(config, 100) == "Bearer next-token"
        (mount / "token").unlink()
        assert authorization(config, 150) == "Bearer next-token"
        assert not renewed(config, 151)
        assert authorization(config, 151) == "Bearer next-token"

    @pytest.mark.parametrize(
        ("missing", "says"),
        [("token", "token file does not exist"), ("ca.crt", "certification file does not exist")],
    )
    def test_both_files_are_needed(self, mount: Path, missing: str, says: str) -> None:
        (mount / missing).unlink()
        with pytest.raises(ConfigError, match=says):
            load_config(None)

    @pytest.mark.usefixtures("mount")
    @pytest.mark.parametrize("name", ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"])
    def test_so_are_host_and_port(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.delenv(name)
        with pytest.raises(ConfigError) as caught:
            load_config(None)
        assert str(caught.value) == (
            "not in a cluster and no kubeconfig given: Service host/port is not set."
        )


def test_credentials_are_never_shown(tmp_path: Path) -> None:
    config = load_config(kubeconfig(tmp_path, {"token": "very-secret"}))
    assert repr(config) == "ClusterConfig(https://example.com:6443)"
    assert "secret" not in repr(config.identity(0, 5))
    assert isinstance(config, ClusterConfig)
