# The init container of every injected pod: a shell and iptables. docker build -f kind-cluster/images/iptables.Dockerfile -t weft-iptables:0.1.0 kind-cluster/images
# Alpine's iptables speaks to nf_tables, as the nodes of kind and of current distributions do.
FROM alpine:3.22
RUN apk add --no-cache iptables
ENTRYPOINT ["/bin/sh"]
