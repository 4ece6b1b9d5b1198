// The filter as extension resources (ECDS): one that decides, one that explains; and the entries of a listener's filter chain that refer to them.
import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { TypedExtensionConfigSchema } from "../gen/envoy/config/core/v3/extension_pb.js";
import { FilterConfigSchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { HeaderMutationSchema } from "../gen/envoy/extensions/filters/http/header_mutation/v3/header_mutation_pb.js";
import { WasmSchema } from "../gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.js";
import type { HttpFilterSchema } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { FailurePolicy } from "../gen/envoy/extensions/wasm/v3/wasm_pb.js";
import { packAny } from "./any.ts";
import { ADS } from "./config-source.ts";
import type { Init } from "./init.ts";
import { EXPLAIN_FILTER, FILTER } from "./names.ts";
import type { TranslatedResource } from "./resource.ts";

/** The filter that is served. */
export interface FilterOptions {
  readonly wasm: Uint8Array;
  /** Raised to give a proxy a fresh VM in place of one that has failed. */
  readonly generationOf: (proxyId: string) => number;
  /** `trap`: a request with `weft-test-trap` traps, for tests of what happens then. */
  readonly test?: "trap";
}

type HttpFilterInit = Init<typeof HttpFilterSchema>;

const WASM_TYPE = `type.googleapis.com/${WasmSchema.typeName}`;
const NOTHING_TYPE = `type.googleapis.com/${HeaderMutationSchema.typeName}`;

/**
 * Both configurations of the filter for one generation. A VM is found by its id and code, and what a configuration asks for holds for the whole VM,
 * so the two have VMs of their own.
 */
export function createFilterResources({ wasm, test }: FilterOptions): (generation: number) => readonly TranslatedResource[] {
  const hash = createHash("sha256").update(wasm).digest("hex").slice(0, 12);
  const made = new Map<number, readonly TranslatedResource[]>();
  return (generation) => {
    const known = made.get(generation);
    if (known !== undefined) return known;
    const resource = (name: string, configuration: string, failurePolicy: FailurePolicy): TranslatedResource => {
      const typedConfig = packAny(WasmSchema, {
        config: {
          name,
          failurePolicy,
          configuration: packAny(StringValueSchema, { value: configuration }),
          vm: {
            case: "vmConfig",
            value: {
              vmId: `${name}-${hash}-${generation}`,
              runtime: "envoy.wasm.runtime.v8",
              code: { specifier: { case: "local", value: { specifier: { case: "inlineBytes", value: wasm } } } },
            },
          },
        },
      });
      const body = toBinary(TypedExtensionConfigSchema, create(TypedExtensionConfigSchema, { name, typedConfig }));
      return { type: "extension", name, body, origins: [], needs: [] };
    };
    // An explain listener whose filter has failed must not let requests through.
    const resources = [resource(FILTER, test ?? "", FailurePolicy.FAIL_OPEN), resource(EXPLAIN_FILTER, "explain", FailurePolicy.FAIL_CLOSED)];
    made.set(generation, resources);
    return resources;
  };
}

/** Off, except on routes that name it. While the filter has not come, one that does nothing stands in: Envoy then draws by weight. */
export const DECIDING_FILTER: HttpFilterInit = { ...decidingFilter(), disabled: true };

/**
 * The same where hosts are asked for on demand: whether a filter is on is settled before the route of a request to a new host is known, so it is on, and
 * {@link FILTER_OFF} takes it away from hosts that are known.
 */
export const DECIDING_FILTER_ON_DEMAND: HttpFilterInit = decidingFilter();

/** For a virtual host's `typed_per_filter_config`: its routes are without the filter, but for those that name it. */
export const FILTER_OFF = { [FILTER]: packAny(FilterConfigSchema, { disabled: true }) };

function decidingFilter(): HttpFilterInit {
  return {
    name: FILTER,
    configType: {
      case: "configDiscovery",
      value: { configSource: ADS, typeUrls: [NOTHING_TYPE, WASM_TYPE], defaultConfig: packAny(HeaderMutationSchema, {}) },
    },
  };
}

/** On for every request; while it has not come, Envoy answers 500. */
export const EXPLAINING_FILTER: HttpFilterInit = {
  name: EXPLAIN_FILTER,
  configType: { case: "configDiscovery", value: { configSource: ADS, typeUrls: [WASM_TYPE] } },
};
