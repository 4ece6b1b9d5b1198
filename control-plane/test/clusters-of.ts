// The clusters of a mesh that stands alone, for tests: without a former one to go on from.
import type { Mesh } from "../mesh/mesh.ts";
import { createAudiences } from "../translate/audiences.ts";
import { type ClusterTranslation, createClusterTranslation } from "../translate/clusters.ts";
import { dependenciesOf } from "../translate/dependencies.ts";

/** Gives the clusters of one mesh. */
export function clustersOf(mesh: Mesh): ClusterTranslation {
  return createClusterTranslation(mesh, { audienceOf: createAudiences(mesh), dependencies: dependenciesOf(mesh, undefined) });
}
