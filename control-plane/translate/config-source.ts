// Where Envoy gets a resource that another one names.
import { ApiVersion, type ConfigSourceSchema } from "../gen/envoy/config/core/v3/config_source_pb.js";
import type { Init } from "./init.ts";

/** From the stream that the resource itself came by. After Envoy's 15 s what waits for it goes on without it. */
export const ADS: Init<typeof ConfigSourceSchema> = { configSourceSpecifier: { case: "ads", value: {} }, resourceApiVersion: ApiVersion.V3 };

/** The same, waited for without limit: a listener without its routes would answer 404 to everything. */
export const ADS_WITHOUT_LIMIT: Init<typeof ConfigSourceSchema> = { ...ADS, initialFetchTimeout: { seconds: 0n, nanos: 0 } };
