// What is said about resources that do not fit together: one ordered list of checks over the finished mesh. None of them sets a resource aside.
import type { Diagnostic } from "../model/diagnostic.ts";
import type { Deployment } from "../model/resource.ts";
import type { Mesh } from "./mesh.ts";

/** A check reads the mesh (and the Deployments, which say what will run) and gives its findings. */
export type MeshCheck = (mesh: Mesh, deployments: readonly Deployment[]) => readonly Diagnostic[];

const CHECKS: readonly MeshCheck[] = Object.freeze([]);

/** All findings of all checks. */
export function checkMesh(mesh: Mesh, deployments: readonly Deployment[]): readonly Diagnostic[] {
  return CHECKS.flatMap((check) => check(mesh, deployments));
}
