export function descriptionOf(_kind: string, _path: readonly string[]): string | undefined {
  return undefined;
}
