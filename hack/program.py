"""The controller as the program that it is, beside a local control plane."""

import sys
from pathlib import Path
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from hack.cluster import ports
from hack.cluster.arguments import LOOPBACK
from hack.cluster.controlplane import ControlPlane
from hack.cluster.process import Process
from hack.dataplane import answers

ROOT = Path(__file__).parents[1]
CRD = ROOT / "artifacts" / "etcdstorage" / "crd.yaml"


class Program:
    """Started by `with`, in the main thread; its log lies in `folder`."""

    def __init__(self, folder: Path, plane: ControlPlane, namespace: str, *flags: str) -> None:
        self._metrics = f"{LOOPBACK}:{ports.free(1)[0]}"
        argv: list[str | Path] = [
            *(sys.executable, "-m", "controller"),
            f"--kubeconfig={plane.kubeconfig}",
            f"--namespace={namespace}",
            f"--metrics-bind-address={self._metrics}",
            "--log-format=json",
            *flags,
        ]
        self.process = Process("controller", argv, folder, directory=ROOT)

    def __enter__(self) -> Self:
        self.process.start()
        try:
            answers.await_answer(f"http://{self._metrics}/metrics", [self.process])
        except BaseException:
            self.process.stop(grace=0)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()

    def metrics(self) -> "Metrics":
        """Ask it for its metrics; raises OSError or HTTPException."""
        return Metrics(answers.get(f"http://{self._metrics}/metrics"))


class Metrics:
    """What a program of Prometheus's text format says at one moment."""

    def __init__(self, text: str) -> None:
        self._samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum over all series of this name that have these labels."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def install(plane: ControlPlane, *namespaces: str) -> None:
    """Make the namespaces, and the CRD known."""
    plane.kubectl("apply", "-f", str(CRD))
    plane.kubectl("wait", "--for=condition=Established", "crd/etcdstorages.etcd.xmudrii.com")
    for namespace in namespaces:
        plane.kubectl("create", "namespace", namespace)
