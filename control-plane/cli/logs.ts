export interface LogsOptions {
  readonly follow?: boolean;
}
export async function logs(_t: string | undefined, _o: LogsOptions): Promise<number> {
  return 0;
}
