// Command operators in header values: what a request and a response alone can tell is put in, the rest stays as it is written.
import { type HeaderMap, headerValues, type SimulatedRequest } from "./request.ts";

const OPERATOR = /%(?:%|([A-Z_0-9]+)(?:\(([^)]*)\))?(?::(\d+))?%)/g;

/**
 * The value with `%%`, `%REQ(name?other):length%`, `%RESP(name)%` and the client's address in place. An operator that needs a connection, an upstream or a
 * filter's state stays as written. Source: Envoy's substitution formatter; an operator without a value gives nothing.
 */
export function formatValue(template: string, request: SimulatedRequest, response: HeaderMap = {}): string {
  return template.replace(OPERATOR, (written: string, name: string | undefined, argument: string | undefined, length: string | undefined) => {
    if (name === undefined) return "%";
    const value = operatorValue(name, argument ?? "", request, response);
    return value === undefined ? written : value.slice(0, length === undefined ? undefined : Number(length));
  });
}

/** The operators of a value that a simulation could not put in. */
export function unknownOperators(value: string): readonly string[] {
  return [...value.matchAll(OPERATOR)].flatMap(([written, name]) => (name === undefined ? [] : [written]));
}

function operatorValue(name: string, argument: string, request: SimulatedRequest, response: HeaderMap): string | undefined {
  switch (name) {
    case "REQ":
      return firstOf(argument, (header) => headerValues(request, header)[0]);
    case "RESP":
      return firstOf(argument, (header) => response[header.toLowerCase()]?.[0]);
    case "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":
    case "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT":
      return request.sourceAddress;
    default:
      return undefined;
  }
}

/** `name?other`: the other where the first is absent. */
function firstOf(argument: string, valueOf: (header: string) => string | undefined): string {
  for (const header of argument.split("?")) {
    const value = valueOf(header);
    if (value !== undefined) return value;
  }
  return "";
}
