# One image for the operator and the MTA: `postern operator ...`, `postern mta ...`.
# The base is named as everybody knows it; pin it by digest where the registry is trusted less than the build.
FROM node:24-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY bundle ./bundle
COPY policy ./policy
COPY operator ./operator
COPY mta ./mta
COPY cli ./cli
RUN npx tsc -p tsconfig.build.json
# Only what runs: no development packages, no Node of npm (the base has it), no native extras of Haraka.
RUN npm ci --ignore-scripts --omit=dev --omit=optional

FROM node:24-bookworm-slim
LABEL org.opencontainers.image.title="postern" \
      org.opencontainers.image.description="Mail policy for Kubernetes: operator and MTA" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /opt/postern
COPY --from=build /src/node_modules ./node_modules
COPY --from=build /src/dist ./dist
COPY --from=build /src/mta/files ./dist/mta/files
COPY package.json LICENSE ./
ENV NODE_ENV=production NODE_OPTIONS=--disable-warning=ExperimentalWarning
USER 65532:65532
# Exec form, no shell and no init: the process is PID 1 and drains on SIGTERM itself.
ENTRYPOINT ["node", "/opt/postern/dist/cli/main.js"]
CMD ["--help"]
