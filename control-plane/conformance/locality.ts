// Istio's own weights and priorities for localities, recorded from its unit tests, against the arithmetic of `defaults: istio`.
import { z } from "zod";
import type { Locality } from "../mesh/instance.ts";
import { applyIstioLocality, type LocalityGroup, type WeightedEndpoint } from "../mesh/istio-locality.ts";
import { localityLbSetting } from "../model/destination-rule.ts";
import type { Verdict } from "./verdict.ts";

const recordedLocality = z
  .object({ region: z.string().default(""), zone: z.string().default(""), subZone: z.string().default("") })
  .transform(({ region, zone, subZone }): Locality => ({ region, zone, subzone: subZone }));
const recordedGroup = z.object({
  locality: recordedLocality.default({ region: "", zone: "", subzone: "" }),
  priority: z.number().default(0),
  loadBalancingWeight: z.number().optional(),
  lbEndpoints: z
    .array(
      z.object({ endpoint: z.object({ address: z.object({ socketAddress: z.object({ address: z.string() }) }) }), loadBalancingWeight: z.number().default(1) }),
    )
    .default([]),
});
const assignment = z.object({ endpoints: z.array(recordedGroup).default([]) });
const recorded = z.object({
  id: z.string(),
  in: assignment,
  out: assignment,
  locality: recordedLocality,
  proxyLabels: z.record(z.string(), z.string()).nullable(),
  setting: localityLbSetting,
  enableFailover: z.boolean(),
  endpoints: z.array(z.array(z.object({ addresses: z.array(z.string()), labels: z.record(z.string(), z.string()).nullable() }))).nullable(),
});
type Recorded = z.output<typeof recorded>;

interface RecordedEndpoint extends WeightedEndpoint {
  readonly address: string;
}

/** Why an answer differs that is known to. A line that agrees needs none. */
const REASONS: Readonly<Record<string, string>> = {
  "locality-642016d1":
    "recorded with the setting nil (Istio turns a disabled setting into nil before the call), which the record writes as {}: not to be told apart from an empty setting, which gives priorities",
};

/** Compares the lines of `locality.jsonl`. */
export function compareLocality(lines: readonly unknown[]): readonly Verdict[] {
  return lines.map((line) => {
    const test = recorded.parse(line);
    const given = JSON.stringify(answerTo(test));
    const expected = JSON.stringify(recordedAnswer(test));
    const agreed = given === expected;
    return { id: test.id, agreed, reason: agreed ? "" : (REASONS[test.id] ?? `Istio gives ${expected}, Weft ${given}`) };
  });
}

function answerTo(test: Recorded): readonly object[] {
  const from = { locality: test.locality, labels: test.proxyLabels ?? {} };
  const answer = applyIstioLocality(groupsOf(test), from, test.setting, test.enableFailover);
  return answer.map(({ locality, priority, weight, endpoints }) => ({ locality, priority, weight, addresses: endpoints.map(({ address }) => address) }));
}

function recordedAnswer({ out }: Recorded): readonly object[] {
  return out.endpoints.map(({ locality, priority, loadBalancingWeight, lbEndpoints }) => ({
    locality,
    priority,
    weight: loadBalancingWeight ?? 1,
    addresses: lbEndpoints.map(({ endpoint }) => endpoint.address.socketAddress.address),
  }));
}

/** What goes in: Istio's groups; where labels count, the endpoints behind them, which the record lists beside. */
function groupsOf({ in: { endpoints: groups }, out, endpoints: labelled, setting }: Recorded): readonly LocalityGroup<RecordedEndpoint>[] {
  if (setting.failoverPriority.length === 0) {
    return groups.map(({ locality, priority, loadBalancingWeight, lbEndpoints }) => ({
      locality,
      priority,
      weight: loadBalancingWeight ?? 1,
      endpoints: lbEndpoints.map((entry) => ({ address: entry.endpoint.address.socketAddress.address, labels: {}, weight: entry.loadBalancingWeight })),
    }));
  }
  return (labelled ?? []).flatMap((members) => {
    const [first] = members;
    const answered = out.endpoints.find(({ lbEndpoints }) =>
      lbEndpoints.some(({ endpoint }) => endpoint.address.socketAddress.address === first?.addresses[0]),
    );
    if (answered === undefined) return [];
    const endpoints = members.map(({ addresses, labels }) => ({ address: addresses[0] ?? "", labels: labels ?? {}, weight: 1 }));
    return [{ locality: answered.locality, priority: 0, weight: endpoints.length, endpoints }];
  });
}
