// What happens to a request that a route has matched: forwarded, redirected, or answered. One route of a VirtualService to Envoy's route actions.
import { type BoolValue, BoolValueSchema } from "@bufbuild/protobuf/wkt";
import type { RedirectActionSchema, RouteAction_HashPolicySchema, RouteActionSchema, RouteSchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { RedirectAction_RedirectResponseCode } from "../gen/envoy/config/route/v3/route_components_pb.js";
import type { ConsistentHash } from "../model/destination-rule.ts";
import type { HttpRoute } from "../model/virtual-service.ts";
import type { Init } from "./init.ts";
