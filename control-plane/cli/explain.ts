export interface ExplainOptions {
  readonly output: string;
}
export async function explain(_m: string, _u: string, _o: ExplainOptions): Promise<number> {
  return 0;
}
