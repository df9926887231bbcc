"""The API server of artifacts/example-apiserver, by the commands of its README."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import images
from tests.e2e.product import ARTIFACTS, Product

NAME = "example-apiserver"
"""Of its folder, and of storage and namespace in its manifests."""
REGISTRATION = "apiservice/v1alpha1.wardle.example.com"
_SOURCE = ARTIFACTS / NAME
_FLUNDERS = "flunders.wardle.example.com"


@dataclass(frozen=True, slots=True)
class Example:
    """One copy of it, under a name of its own; `folder` has manifests and certificates."""

    product: Product
    name: str
    mode: str
    folder: Path

    @property
    def flunder(self) -> str:
        """The name of the object that its README creates."""
        return f"flunder-of-{self.name}"

    def copy_manifests(self) -> None:
        self.folder.mkdir()
        for path in _SOURCE.glob("*.yaml"):
            (self.folder / path.name).write_text(self._named(path.read_text()))

    def follow(self, section: str) -> str:
        """Run the commands of a section of the README, and return what they printed."""
        kubectl = shlex.join(self.product.node.kubectl_command())
        script = f'kubectl() {{ {kubectl} "$@"; }}\ncd {shlex.quote(str(self.folder))}\n'
        commands = self._commands(section)
        answer = self.product.node.exec(["bash", "-euc", script + commands])
        assert answer.returncode == 0, f"{commands}{answer.stdout}{answer.stderr}"
        return answer.stdout

    def restart(self) -> None:
        """Begin to replace its pods."""
        self.product.kubectl("rollout", "restart", f"-n{self.name}", "deployment/apiserver")

    def await_rollout(self) -> None:
        what = ("deployment/apiserver", "--timeout=240s")
        self.product.kubectl("rollout", "status", f"-n{self.name}", *what)

    def flunders(self) -> set[str]:
        """Ask it for its objects past the cluster's API server."""
        address = self.product.address("api", self.name)
        server = (f"--server=https://{address}", f"--tls-server-name=api.{self.name}.svc")
        trust = f"--certificate-authority={self.folder / 'ca.crt'}"
        return set(self.product.kubectl(*server, trust, "get", _FLUNDERS, "-oname").split())

    def _commands(self, section: str) -> str:
        text = (_SOURCE / "README.md").read_text()
        _, _, rest = text.partition(f"## {section}\n")
        found = re.findall(
            r"^```sh\n(.*?)^```$", rest.partition("\n## ")[0], re.DOTALL | re.MULTILINE
        )
        assert found, section
        here = "".join(found).replace(f"artifacts/{NAME}/", "")
        return self._named(here).replace("artifacts/", f"{ARTIFACTS}/")

    def _named(self, text: str) -> str:
        changes = {
            NAME: self.name,
            "my-first-flunder": self.flunder,
            "mode: Direct": f"mode: {self.mode}",
            "image: sample-apiserver:v0.37.2": f"image: {images.TENANTS}",
        }
        for old, new in changes.items():
            text = text.replace(old, new)
        return text


def flunders(product: Product) -> set[str]:
    """Ask the cluster's API server, which hands it on to whoever is registered."""
    return set(product.kubectl("get", _FLUNDERS, "-oname").split())


def resource(name: str) -> str:
    """Return how kubectl calls a Flunder."""
    return f"flunder.wardle.example.com/{name}"
