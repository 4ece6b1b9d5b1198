# The control plane, from the project's own folder: docker build -f kind-cluster/images/control-plane.Dockerfile -t weft-control-plane:0.1.0 .
# The filter is compiled here, once; what runs is the TypeScript as it is.
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund
COPY asconfig.json tsconfig.json ./
COPY filter/ filter/
RUN node --import tsx -e 'import("./filter/build.ts").then(({ buildFilter }) => buildFilter()).then(({ sizeBytes }) => console.log(`filter: ${sizeBytes} bytes`))'

FROM node:22-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production
COPY --from=build /app/ ./
COPY control-plane/ control-plane/
COPY envoy/bootstrap.ts envoy/metrics-sink.ts envoy/
USER 1000:1000
EXPOSE 15012 15014 15017
ENTRYPOINT ["/usr/local/bin/node", "--import", "tsx", "control-plane/kubernetes/main.ts"]
