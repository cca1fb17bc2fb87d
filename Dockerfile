# One image for the operator and the MTA: `postern operator ...`, `postern mta ...`.
# A release pins the base: --build-arg BASE=node:24-bookworm-slim@sha256:... The same for every platform: nothing that is added
# to the base is machine code.
ARG BASE=node:24-bookworm-slim

FROM ${BASE} AS all
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# Scripts of packages are never run: none is needed.
RUN npm ci --ignore-scripts

FROM all AS packages
# Optional packages are native speed-ups, and Node itself, which the base has.
RUN npm prune --ignore-scripts --omit=dev --omit=optional
# Most of the packages' bytes are not for Node: declarations and sources, source maps, machine code for another runtime (*.bare),
# and what packages publish of their own workshops (test keys among it). The latter only in a package's top folder, where no
# program looks for parts of itself. Licences stay.
RUN find ./node_modules -type f \( -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.map' -o -name '*.bare' \) -delete \
 && find ./node_modules -type d \( -path '*/node_modules/@types' -o -path '*/node_modules/undici-types' \) -prune -exec rm -r {} + \
 && find ./node_modules -regextype posix-extended -type d \
      -regex '.*/node_modules/(@[^/]+/)?[^/@]+/(\.github|docs|examples?|tests?|benchmarks?)' -prune -exec rm -r {} + \
 && find ./node_modules -type d -empty -delete

FROM all AS build
COPY tsconfig.json tsconfig.build.json ./
COPY bundle ./bundle
COPY policy ./policy
COPY operator ./operator
COPY mta ./mta
COPY cli ./cli
RUN node_modules/.bin/tsc -p tsconfig.build.json

FROM ${BASE}
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="postern" \
      org.opencontainers.image.description="Mail policy for Kubernetes: operator and MTA" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/node:24-bookworm-slim" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
WORKDIR /opt/postern
# The packages first: the layer that seldom changes.
COPY --from=packages /src/node_modules ./node_modules
COPY --from=build /src/dist ./
COPY LICENSE ./
ENV NODE_ENV=production
# A number, so that runAsNonRoot can be checked without a look into /etc/passwd.
USER 65532:65532
# No shell and no init: the process is PID 1 and drains on SIGTERM itself.
ENTRYPOINT ["node", "/opt/postern/cli/main.js"]
CMD ["--help"]
