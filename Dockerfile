# The controller's image. `docker build .`, `podman build .` and `buildah build .` make it of the
# images named here; `make image` of the same instructions, without a network, upon Debian's
# packages in their place (hack/cluster/bases.py).

# The Python of the last stage decides on the version: wheels and byte code are for that one.
FROM docker.io/library/python:3.11-slim-bookworm AS builder
ENV PACKAGES=/usr/local/lib/python3.11/dist-packages \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /source

# What it requires, apart from its own code, which changes more often.
FROM builder AS requirements
COPY setup.cfg ./
RUN python3 -c "from configparser import ConfigParser as P; p = P(); p.read('setup.cfg'); \
        print(p['options']['install_requires'])" >requirements.txt \
    && python3 -m pip install --quiet --no-compile --only-binary=:all: --target="$PACKAGES" \
        --requirement=requirements.txt
# Never imported here: the asyncio half of the package kubernetes, with what only that requires,
# and its generated API classes, 23 MB. RECORD is what pip would uninstall by.
RUN cd "$PACKAGES" \
    && rm -rf bin kubernetes/aio kubernetes/client/api *.dist-info/RECORD \
        aiohappyeyeballs* aiohttp* aiosignal* frozenlist* multidict* propcache* yarl*
# Nothing in an image changes, so byte code need not be checked against its source. The generated
# models, 12 MB, are read by nobody either, but an identity provider's client names them.
RUN python3 -m compileall -q -j0 -x "client/models/[a-z]" \
        --invalidation-mode=unchecked-hash "$PACKAGES"

FROM builder AS code
COPY . ./
# The command names the Python that ran pip: it is to be that of the last stage.
RUN python3 -m pip install --quiet --no-compile --no-deps --target="$PACKAGES" . \
    && python3 -m compileall -q -j0 --invalidation-mode=unchecked-hash "$PACKAGES" \
    && cd "$PACKAGES" \
    && sed -i '1s|.*|#!/usr/bin/python3|' bin/etcdproxy-controller \
    && mv bin/etcdproxy-controller /usr/local/bin/ \
    && rm -rf bin *.dist-info/RECORD *.dist-info/direct_url.json

# Debian's Python without a shell, pip or compiler.
FROM gcr.io/distroless/python3-debian12
# It comes without byte code, which nobody could write later: the container is read-only.
RUN ["/usr/bin/python3", "-m", "compileall", "-q", "-j0", "--invalidation-mode=unchecked-hash", "/usr/lib/python3.11"]
COPY --from=requirements /usr/local/lib/python3.11/dist-packages /usr/local/lib/python3.11/dist-packages
COPY --from=code /usr/local/lib/python3.11/dist-packages /usr/local/lib/python3.11/dist-packages
COPY --from=code /usr/local/bin/etcdproxy-controller /usr/local/bin/
ENV PYTHONUNBUFFERED=1
# By number, so that a kubelet can check runAsNonRoot.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/etcdproxy-controller"]
