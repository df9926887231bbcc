"""Templates of pods that somebody edited under the revision that we gave them.

What is edited is restored at once, but pods may have been made of it meanwhile, and they carry the
revision of those that are right. Nor does a pod show what it was made of: whoever admits pods may
change any field of each, an image's registry for one. So what is restored gets a revision of its
own, by which every pod from before is an old one and rolled.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from controller.dataplane import Desired
from controller.dataplane.interface import REVISION_LABEL
from controller.dataplane.rolling import pod_revision, same_template
from controller.ownership import overlay
from controller.transforms import without_contents

Json = Mapping[str, Any]


def remarked(desired: Desired, replica_set: Json | None) -> Desired:
    """Return `desired` with the revision that its template is to have in `replica_set`.

    That is the one there if the template is as desired, and one that no pod has if it was edited.
    Nothing is counted: the generation tells this edit from every other.
    """
    if replica_set is None:
        return desired
    there, own = pod_revision(replica_set["spec"]["template"]), desired.revision
    if there is None or not same_template(there, own):
        return desired
    kept = _marked(desired, there)
    if _holds(replica_set, kept):
        return kept
    return _marked(desired, f"{own}.{replica_set['metadata'].get('generation', 0)}")


def _holds(replica_set: Json, desired: Desired) -> bool:
    """Whether the template has every field as it is desired; what others added is no edit."""
    template = without_contents(replica_set)["spec"]["template"]
    wanted = without_contents(desired.replica_set)["spec"]["template"]
    return bool(overlay(template, wanted) == template)


def _marked(desired: Desired, revision: str) -> Desired:
    replica_set = desired.replica_set
    template = replica_set["spec"]["template"]
    metadata = template["metadata"]
    labels = {**metadata["labels"], REVISION_LABEL: revision}
    template = {**template, "metadata": {**metadata, "labels": labels}}
    spec = {**replica_set["spec"], "template": template}
    return replace(desired, replica_set={**replica_set, "spec": spec})
