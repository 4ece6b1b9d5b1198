// The name by which an Envoy knows its control plane.

/** Stands in the certificate of the control plane and in no other: all others come from the same roots, and none of them may pass for it. */
export const CONTROL_PLANE_NAME = "control-plane.weft.internal";
