// Rules of a resource that involve several fields, as far as the API server can check them itself (CEL): it says so before any control plane is asked.
// The rules are those of `validate/`; what needs more than a look at one object stays there.

interface Validation {
  readonly rule: string;
  readonly message: string;
}

/** By kind, then by the path below `spec`, `*` for items. Costs are bounded: nothing that is looked at in a list looks at the list again. */
const VALIDATIONS: Readonly<Record<string, Readonly<Record<string, readonly Validation[]>>>> = {
  VirtualService: {
    "": [
      { rule: "has(self.http) || has(self.tls) || has(self.tcp)", message: "one of http, tls and tcp must be set" },
      {
        rule: "(has(self.hosts) && size(self.hosts) > 0) || !(has(self.gateways) || has(self.tls) || has(self.tcp))",
        message: "a delegate, which has no hosts, may have no gateways, tls or tcp",
      },
    ],
  },
  DestinationRule: {
    "": [{ rule: "size(self.host) > 0", message: "host must not be empty" }],
  },
  Gateway: {
    "": [{ rule: "has(self.servers) && size(self.servers) > 0", message: "a Gateway needs at least one server" }],
  },
  ServiceEntry: {
    "": [
      { rule: "!(has(self.workloadSelector) && has(self.endpoints))", message: "only one of workloadSelector and endpoints can be set" },
      {
        rule: "!(has(self.resolution) && self.resolution == 'NONE' && has(self.endpoints) && size(self.endpoints) > 0)",
        message: "with resolution NONE there are no endpoints",
      },
    ],
  },
  WorkloadEntry: {
    "": [{ rule: "has(self.address) || has(self.network)", message: "address or network must be set" }],
  },
  AuthorizationPolicy: {
    "": [
      {
        rule: "(has(self.selector) ? 1 : 0) + (has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1",
        message: "only one of selector, targetRef and targetRefs can be set",
      },
      { rule: "!(has(self.action) && self.action == 'CUSTOM') || has(self.provider)", message: "the action CUSTOM needs a provider" },
    ],
  },
  PeerAuthentication: {
    "": [{ rule: "!(has(self.portLevelMtls) && size(self.portLevelMtls) > 0) || has(self.selector)", message: "portLevelMtls needs a selector" }],
  },
  RequestAuthentication: {
    "": [
      {
        rule: "(has(self.selector) ? 1 : 0) + (has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1",
        message: "only one of selector, targetRef and targetRefs can be set",
      },
    ],
  },
  Telemetry: {
    "": [
      {
        rule: "(has(self.selector) ? 1 : 0) + (has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1",
        message: "only one of selector, targetRef and targetRefs can be set",
      },
    ],
  },
  TrafficExtension: {
    "": [{ rule: "has(self.wasm) != has(self.lua)", message: "exactly one of wasm and lua must be set" }],
  },
};

/** The rules at one place of a kind. */
export function validationsOf(kind: string, path: readonly string[]): readonly Validation[] {
  return VALIDATIONS[kind]?.[path.join(".")] ?? [];
}
