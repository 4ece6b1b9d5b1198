// A decoded message of Envoy's API as plain values for comparing and showing, without a registry of the types inside its Anys. Pure.

/** Fields that are not set are left out; a oneof stands under its name as `{case: value}`, a duration as `2s`, bytes in base64. */
export function plainMessage(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(plainMessage);
  if (typeof value !== "object" || value === null) return value === "" || value === false || value === 0 ? undefined : value;
  if ("$typeName" in value && value.$typeName === "google.protobuf.Duration" && "seconds" in value && "nanos" in value) {
    return `${Number(value.seconds) + Number(value.nanos) / 1e9}s`;
  }
  if ("case" in value && "value" in value && typeof value.case === "string") return { [value.case]: plainMessage(value.value) };
  const fields = Object.entries(value).flatMap(([name, field]): readonly (readonly [string, unknown])[] => {
    const plain = name.startsWith("$") ? undefined : plainMessage(field);
    return plain === undefined || isEmpty(plain) ? [] : [[name, plain]];
  });
  return Object.fromEntries(fields);
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}
