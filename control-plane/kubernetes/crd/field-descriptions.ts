// One sentence for each field. Most mean the same wherever they stand, so that the name alone is looked up; `parent.name` is where one does not, `Kind:name` where
// it is the kind that makes the difference.

const TABLE = `
abort | Answers a share of the requests itself, in the place of the destination.
accessLogging | Which access logs are written.
action | ALLOW (the default), DENY, AUDIT or CUSTOM; CUSTOM is looked at first, then DENY, then ALLOW.
route.action | The kind of action of the route.
add | Header values to add to those that are there.
address | An IP address, a DNS name, or a Unix socket (unix:///path).
addresses | Virtual addresses of the host, or blocks of them.
aggression | How fast the share rises: 1.0 is a straight line.
allowCredentials | Whether requests with credentials are allowed.
allowHeaders | Headers that a request may have.
allowMethods | Methods that are allowed.
allowOrigin | Deprecated: use allowOrigins.
allowOrigins | Origins that are allowed; one match is enough.
allowPartialMessage | Sends what fits, instead of refusing a larger body.
annotations | Annotations by name.
applicationProtocols | Application protocols of the filter chain.
applyTo | Which part of the configuration is changed.
attach | Programs that are run by hand in place of a workload.
attempts | How often a request is repeated at most; 0 switches retries off.
attributes | Attributes of the cookie.
audiences | Audiences that are accepted; any where it is absent.
authority | Condition on the host that the request names.
redirect.authority | The host to redirect to.
rewrite.authority | The host that the destination is called by.
backoff | The least pause between two attempts; 25 ms where it is absent.
baseEjectionTime | How long an endpoint is ejected at first; multiplied by how often it was.
bind | Address or Unix socket to listen at.
body | What is answered.
budgetInterval | The time over which requests are counted.
bytes | The body, in base64.
caCertCredentialName | Secret with the certificates by which clients are judged.
caCertificates | Path of the file with the certificates by which the other side is judged.
caCrl | Path of the file with revoked certificates.
captureMode | How connections are captured.
cipherSuites | Cipher suites that are accepted.
claim | The claim's name.
clearRouteCache | Whether the route is chosen anew after the answer.
clientCertificate | Path of the file with the client's certificate.
cluster | Clusters that are meant.
command | The command and its arguments.
concurrency | Worker threads of the proxy.
configPatches | The changes, in order.
connectTimeout | How long a connection may take to be made; 10s where it is absent.
connectionPool | Limits of connections and requests.
consecutive5xxErrors | Ejects an endpoint after so many answers 5xx in a row; 0 switches it off.
consecutiveErrors | Deprecated: use consecutiveGatewayErrors or consecutive5xxErrors.
consecutiveGatewayErrors | Ejects an endpoint after so many answers 502, 503 or 504 in a row; 0 switches it off.
consecutiveLocalOriginFailures | Ejects an endpoint after so many failed connections in a row; needs splitExternalLocalOriginErrors.
consistentHash | The endpoint is chosen by a hash, so that equal keys go to the same one.
context | Inbound, outbound or gateway.
corsPolicy | Cross-origin requests of browsers.
credentialName | Secret with the certificate and key, in the proxy's own namespace.
credentialNames | Secrets with certificates and keys, of several kinds.
customMetric | A metric's own name.
customTags | Tags by name.
decisions | filter: the wasm filter chooses on routes with a choice; native: Envoy chooses by weight.
defaultEndpoint | Where the port leads instead: 127.0.0.1:PORT, or a Unix socket.
defaultProviders | What Telemetry uses where it names no provider.
defaultValue | Where the source has none.
defaults | weft: Weft's own, safe ones; istio: those of Istio.
delay | Lets a share of the requests wait.
delegate | Another VirtualService whose routes are taken.
derivePort | The port to redirect to: of the request, or the protocol's.
destination | The service that is called, and which part of it.
destinationPort | The port that was meant.
destinationSubnets | Address blocks of the destination.
directResponse | Answers itself; no destination is called.
directory | Where the command is run.
disableContextPropagation | Passes no context on.
disableSpanReporting | Reports no spans.
disabled | Switches it off.
distribute | Shares of the localities, as written; each fails over by itself.
domainName | A domain of the host.
duration | How long a new endpoint is given less.
egress | Which hosts the workload may call; all that are exported to it where it is absent.
egressProxy | Where requests to unknown hosts are sent.
enableAutoMtls | Mutual TLS between sidecars wherever both sides have one and no DestinationRule says otherwise.
enableIstioTags | Adds Istio's tags.
enabled | Whether localities count.
endpoints | Where the host is found.
env | Variables of the environment.
environment | A variable of the proxy's environment.
environmentVariables | Variables of the proxy's environment, by name.
envoyExtAuthzGrpc | An authorizer that speaks gRPC.
envoyExtAuthzHttp | An authorizer that speaks HTTP.
exact | The whole value.
exec | Succeeds when the command ends with 0.
exponentialDelay | Not supported, as in Istio.
exportTo | Namespaces that may use it: * for all (the default), . for its own, or names.
exposeHeaders | Headers of the answer that a page may read.
expression | Which requests are logged, in CEL.
extensionProviders | Authorizers, tracers and access logs outside of the mesh, by the names that policies refer to.
failOpen | Whether requests pass while the authorizer cannot be reached.
failStrategy | What happens when the plugin fails.
failover | Which region takes over from which.
failoverPriority | Labels in the order of their weight: endpoints that share more of them with the caller come first.
failureThreshold | So many failures in a row make it fail.
fault | Faults for tests: delays and answers.
filter | Which entries are meant.
filterChain | Filter chains that are meant.
filterClass | Where a filter is put.
fixedDelay | How long.
formatter | A format of Envoy.
forwardOriginalToken | Whether the destination gets the token.
from | Where the requests come from.
rules.from | Who calls; one match is enough, anybody where it is absent.
fromCookies | Cookies in which the token may stand.
fromHeaders | Headers in which the token may stand.
fromParams | Query parameters in which the token may stand.
gateway | The gateway that is meant.
gateways | Gateways at which the routes hold, and mesh for all sidecars; mesh where it is absent.
match.gateways | Gateways at which this match holds.
group | The API group.
grpc | Succeeds when the gRPC health service says so.
grpcStatus | The status of gRPC that is answered.
h2UpgradePolicy | Whether connections of HTTP/1.1 are made HTTP/2.
header | The header's name.
headers | Changes of headers of the request and of the answer.
match.headers | Conditions on headers, by their names in lower case.
headersToDownstreamOnAllow | Headers of the authorizer's answer that the caller gets where it allows.
headersToDownstreamOnDeny | Headers of the authorizer's answer that the caller gets where it denies.
headersToUpstreamOnAllow | Headers of the authorizer's answer that the destination gets.
host | A service's name. A short one is looked for in the rule's own namespace.
probe.host | The host that is asked.
hosts | Names that are meant: full names, short ones of the same namespace, or with a wildcard in front.
egress.hosts | Hosts as NAMESPACE/HOST; the namespace may be . for the own or * for all.
http | Routes of HTTP, in order: the first that matches is taken.
connectionPool.http | Limits of HTTP.
inboundConnectionPool.http | Limits of HTTP.
http1MaxPendingRequests | Requests that may wait for a connection.
http2Error | Not supported, as in Istio.
http2KeepAlive | Probes of connections that carry HTTP/2.
http2MaxRequests | Requests that may be under way at once.
httpCookie | The hash is over this cookie, which is made where a ttl is given.
httpGet | Succeeds when the answer is 200 to 399.
httpHeaderName | The hash is over this header.
httpHeaders | Headers of the question.
httpQueryParameterName | The hash is over this parameter of the query.
httpStatus | The status that is answered.
httpsRedirect | Sends callers of HTTP to HTTPS.
idleTimeout | How long a connection may do nothing; 1h where it is absent.
ignoreUriCase | Whether small and capital letters of the path are alike.
image | The proxy's image.
images.image | The image that the command stands for.
imagePullPolicy | When the plugin is fetched.
imagePullSecret | Secret for the registry.
imageType | Kind of the image.
images | What stands for each image on a laptop.
inboundConnectionPool | Limits of what comes in.
includeAdditionalHeadersInCheck | Headers that are sent to the authorizer besides, by name.
includeHeadersInCheck | Deprecated: use includeRequestHeadersInCheck.
includeRequestBodyInCheck | Sends the body to the authorizer.
includeRequestHeadersInCheck | Headers of the request that are sent to the authorizer.
ingress | How the workload takes what comes in, port by port.
initialDelaySeconds | How long is waited before the first probe.
inlineCode | The Lua program.
insecureSkipVerify | Accepts any certificate.
intercept | Takes only the requests of one person, by a header.
interval | How often it is looked at.
tcpKeepalive.interval | Pause between two probes.
http2KeepAlive.interval | Pause between two probes.
ipBlocks | Addresses of the connection's other end, or blocks of them.
issuer | Who issued the token.
jwks | The keys, as they are.
jwksUri | Where the keys are fetched.
jwtRules | One for each issuer.
key | What is looked at, such as request.headers[x] or source.namespace.
kind | The kind of what is meant.
labels | Labels by name.
subsets.labels | An endpoint with these labels belongs to the subset; two subsets may have the same ones.
listener | Listeners that are meant.
listenerFilter | The listener filter that is meant.
literal | This very text.
loadBalancer | How an endpoint is chosen.
locality | Where it runs: region/zone/subzone.
localityLbSetting | Whether and how localities count.
location | MESH_EXTERNAL or MESH_INTERNAL.
lua | A plugin in Lua.
maglev | Hashes by Maglev.
match | Conditions: all within one entry, one entry of the list.
uriRegexRewrite.match | The regular expression that is replaced.
configPatches.match | What is to be changed.
overrides.match | Which metric is meant.
accessLogging.match | Which traffic is logged.
tracing.match | Which traffic is traced.
matchLabels | Labels that a workload must have, all of them.
maxAge | How long a browser may remember the answer.
maxConcurrentStreams | Requests that may be under way at once on one connection.
maxConnectionDuration | How long a connection may live.
maxConnections | Connections that may be open at once to all endpoints.
maxEjectionPercent | The share of endpoints that may be ejected at once.
maxProtocolVersion | The newest version of TLS that is accepted.
maxRequestBytes | How much of the body is sent.
maxRequestsPerConnection | Requests after which a connection is closed; 0 for no limit.
maxRetries | Retries that may be under way at once.
metadata | What is written on each entry.
proxy.metadata | Metadata of the proxies that are meant.
method | Condition on the method.
methods | Methods that are meant.
metric | One of Istio's metrics.
metrics | What is counted.
defaultProviders.metrics | Who gets the metrics.
minClusterSize | With fewer endpoints zones do not count.
minHealthPercent | Ejects only while at least this share of endpoints is healthy.
minProtocolVersion | The oldest version of TLS that is accepted.
minRetryConcurrency | Retries that are allowed in any case.
minimumPercent | The share that a new endpoint begins with.
minimumRingSize | The least number of points on the ring.
mirror | Sends a copy there, and drops the answer.
mirrorPercent | Deprecated: use mirrorPercentage.
mirrorPercentage | The share that is mirrored; all where it is absent.
mirrors | Sends copies to each of these, and drops the answers.
mode | What is done.
tls.mode | Which kind of TLS.
outboundTrafficPolicy.mode | ALLOW_ANY lets calls to unknown hosts pass, REGISTRY_ONLY refuses them.
mtls.mode | STRICT asks for a certificate, PERMISSIVE takes what comes, DISABLE speaks plaintext.
portLevelMtls.mode | STRICT asks for a certificate, PERMISSIVE takes what comes, DISABLE speaks plaintext.
mtls | What all ports ask for.
name | Its name.
httpCookie.name | The cookie's name.
http.name | Stands in logs and metrics, and keeps the choices of different routes independent.
namespace | The namespace that is meant.
namespaces | Namespaces of the caller's identity.
network | The network that the endpoint is in.
notHosts | Hosts that are not meant.
notIpBlocks | Addresses that are not meant.
notMethods | Methods that are not meant.
notNamespaces | Namespaces that are not meant.
notPaths | Paths that are not meant.
notPorts | Ports that are not meant.
notPrincipals | Identities that are not meant.
notRemoteIpBlocks | Addresses of the first caller that are not meant.
notRequestPrincipals | Identities in tokens that are not meant.
notServiceAccounts | Service accounts that are not meant.
notTrustDomains | Trust domains that are not meant.
notValues | Values that are not meant.
number | The port's number.
operation | What is done.
outboundTrafficPolicy | What becomes of calls to hosts that the mesh does not know.
outlierDetection | Ejects endpoints that fail.
outlierDetectionHttpErrorCodes | Statuses that count as failures besides.
outputClaimToHeaders | Claims that the destination gets as headers.
outputPayloadToHeader | The header in which the destination gets the token's content.
overrides | Exceptions for single metrics.
packAsBytes | Sends the body as bytes, not as text.
patch | The change.
path | The path.
pathPrefix | Stands before the path that the authorizer is asked with.
paths | Paths that are meant; * at an end, or templates with {*} and {**}.
perTryTimeout | How long one attempt may take.
percent | The share, in percent.
delay.percent | Deprecated: use percentage.
percentage | The share of requests; all where it is absent.
periodSeconds | Seconds between two probes.
phase | Where in the chain of filters the plugin stands.
pluginConfig | The plugin's own settings.
pluginName | The plugin's name in Envoy.
port | The port.
match.port | Condition on the port that was called.
portLevelMtls | What single ports ask for, by number.
portLevelSettings | Settings of single ports. They inherit nothing from those of the host.
portName | The port's name.
portNumber | The port's number.
ports | The host's ports.
operation.ports | Ports that are meant.
endpoints.ports | Where the host's ports are found here, by name.
template.ports | Where ports are found, by name.
prefix | How the value begins.
prefixRewrite | Replaces the matched beginning of the path.
presence | Whether a token must be there.
principals | Identities of callers: TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT.
priority | The order in which it is applied.
privateKey | Path of the file with the key.
probe | How it is asked whether it is healthy.
probes | Probes without an answer after which the connection is dead.
protocol | HTTP, HTTPS, HTTP2, GRPC, TCP, TLS and the like.
tunnel.protocol | CONNECT or POST.
provider | The authorizer that is asked under CUSTOM.
providers | Who gets it.
proxy | Proxies that are meant.
proxyProtocol | Tells the endpoint the caller's address by the PROXY protocol.
proxyVersion | Versions of the proxy, as a regular expression.
queryParams | Conditions on parameters of the query.
randomSamplingPercentage | The share of requests that are traced.
redirect | Answers with a redirect.
redirectCode | 300 to 399; 301 where it is absent.
regex | A regular expression (RE2) for the whole value.
remoteIpBlocks | Addresses of the first caller, by X-Forwarded-For or the PROXY protocol.
remove | Headers to take away.
reportingInterval | How often it is reported.
request | Changes of the request.
requestPrincipals | Identities in tokens: ISSUER/SUBJECT.
resolution | How the endpoints are found: NONE, STATIC, DNS, DNS_ROUND_ROBIN or DYNAMIC_DNS.
response | Changes of the answer.
retries | When a request is repeated. Absent: the mesh's default, which repeats what is safe to repeat.
retryBudget | The share of requests that may be retries.
retryIgnorePreviousHosts | Whether an endpoint that has failed is asked again last.
retryOn | Conditions of Envoy, or statuses, separated by commas.
retryRemoteLocalities | Whether retries may go to other localities.
rewrite | Changes path or host before the destination is called.
uriRegexRewrite.rewrite | What is put there; \\1 for a group.
ringHash | Hashes by a ring.
route | Where requests go, by weight.
match.route | Routes that are meant.
vhost.route | Routes that are meant.
waypoint.route | Routes that are meant.
routeConfiguration | Route configurations that are meant.
rules | One match is enough. Absent: nothing matches, so that ALLOW allows nothing.
scheme | Condition on the scheme.
redirect.scheme | http or https.
httpGet.scheme | HTTP or HTTPS.
scope | all: a proxy learns of every host that it may call; auto: of those that it calls.
selector | Which workloads are meant; all of the namespace (of the mesh, in the root namespace) where it is absent.
Gateway:selector | Labels of the gateway's pods, such as istio: ingressgateway.
serverCertificate | Path of the file with the server's certificate.
servers | The ports.
service | The service's name.
serviceAccount | The service account that it runs under.
serviceAccounts | Service accounts of callers: NAMESPACE/NAME, or NAME in the policy's own namespace.
set | Header values that replace those that are there.
sha256 | Checksum of the plugin.
simple | ROUND_ROBIN, LEAST_REQUEST, RANDOM or PASSTHROUGH.
sni | The name that is asked for in the TLS handshake.
sniHosts | Names that are asked for in the TLS handshake; a wildcard may stand in front.
source | The caller; all conditions must hold.
sourceLabels | Labels of the caller's workload.
sourceNamespace | The caller's namespace.
sourceSubnet | Address block of the caller.
spaceDelimitedClaims | Claims that are lists, separated by blanks.
splitExternalLocalOriginErrors | Whether failed connections are counted apart from answers.
statPrefix | Stands in the statistics of the route.
status | The status that is answered.
statusOnError | The status that is answered while the authorizer cannot be reached.
string | The body, as text.
stub | Declared answers in place of a command.
subFilter | The filter within the filter.
subjectAltNames | Names that may stand in the other side's certificate; one is enough.
subset | A subset of the DestinationRule; all endpoints where it is absent.
subsets | Parts of the host by labels, as versions are.
successThreshold | So many successes in a row make it succeed.
tableSize | Size of the table, a prime.
tagOverrides | Tags to change or remove, by name.
targetHost | The host at the end of the tunnel.
targetPort | The port at the destination.
targetRef | The object that is meant.
targetRefs | The objects that are meant.
tcp | Routes of connections.
connectionPool.tcp | Limits of connections.
inboundConnectionPool.tcp | Limits of connections.
tcpKeepalive | Probes of connections.
tcpSocket | Succeeds when a connection is made.
template | What each entry is.
time | How long a connection may do nothing before it is probed.
timeout | How long the whole may take, retries included; no limit where it is absent.
http2KeepAlive.timeout | How long an answer may take.
jwtRules.timeout | How long fetching the keys may take.
timeoutSeconds | How long a probe may take.
tls | TLS.
VirtualService:tls | Routes of TLS connections, by the name in the handshake.
tlsCertificates | Certificates with their keys, of several kinds.
to | What is called; one match is enough, anything where it is absent.
distribute.to | Localities with their shares in percent, 100 in all.
failover.to | The region that takes over.
tracing | What is traced.
trafficPolicy | How endpoints are called.
transportProtocol | The transport protocol of the filter chain.
trustDomain | Stands first in every identity of the mesh.
trustDomainAliases | Other trust domains whose identities count as ours.
trustDomains | Trust domains of callers.
ttl | How long the cookie lives; 0s for as long as the browser runs; absent: no cookie is made.
tunnel | Wraps connections in CONNECT or POST.
type | HTTP or NETWORK.
unmatchedPreflights | Whether preflights of other origins reach the destination.
uri | Condition on the path.
redirect.uri | The path to redirect to.
rewrite.uri | The path, or its matched beginning, that is called instead.
uriRegexRewrite | Replaces a part of the path by a regular expression.
url | Where the plugin is fetched.
useClientProtocol | Calls by the protocol that the caller speaks.
useRequestIdForTraceSampling | Samples by the request's id.
useSourceIp | The hash is over the caller's address.
value | The value.
percentage.value | 0 to 100.
mirrorPercentage.value | 0 to 100.
valueFrom | INLINE or HOST.
values | Values that are meant.
verificationKey | The key by which the plugin is checked.
verifyCertificateHash | Hashes of client certificates that are accepted.
verifyCertificateSpki | Hashes of client keys that are accepted.
version | V1 or V2.
vhost | Virtual hosts that are meant.
vmConfig | Settings of the plugin's machine.
warmup | Gives new endpoints a share that rises.
warmupDurationSecs | Deprecated: use warmup.
wasm | A plugin in WebAssembly.
waypoint | Waypoints that are meant.
websocketUpgrade | Of Istio's first version; WebSockets pass by themselves.
weight | The share, relative to the sum of all weights.
endpoints.weight | Its share of the requests.
template.weight | Its share of the requests.
when | Conditions besides; all must hold.
withoutHeaders | Headers that must not match.
workload | The workload whose place is taken.
workloadSelector | Workloads that are meant, by labels.
zone | The zone in which it counts as running.
zoneAwareLbSetting | Prefers the own zone as long as the others' load allows.
`;

/** By `name`, `parent.name` or `Kind:name`. */
export const FIELD_DESCRIPTIONS: ReadonlyMap<string, string> = new Map(
  TABLE.trim()
    .split("\n")
    .map((line) => {
      const [key = "", text = ""] = line.split(" | ");
      return [key, text] as const;
    }),
);
