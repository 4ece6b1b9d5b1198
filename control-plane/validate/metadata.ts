// The name of a resource, as Kubernetes takes it (RFC 1123, subdomain).
import type { AnyResource } from "../model/resource.ts";
import { error, type Problem } from "./problem.ts";

const NAME = /^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/;

/** The name of any resource. */
export function checkMetadata({ name }: Pick<AnyResource, "name">): readonly Problem[] {
  if (NAME.test(name)) return [];
  const fix = "a name has lower-case letters, digits, - and . only, and begins and ends with a letter or digit";
  return [error("WEFT0302", ["metadata", "name"], `"${name}" is not the name of a resource`, fix)];
}
