// Finds private keys in whatever a run leaves behind or answers: bytes come in, what was found in them goes out. Public keys and certificates are none.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** The beginning of every P-256 key as PKCS #8 writes it, which the mesh makes its keys as; of it, what no public key has. */
const PKCS8_P256 = Buffer.from("06082a8648ce3d030107046d306b0201010420", "hex");
/** Of every P-256 key as SEC 1 writes it. */
const SEC1_P256 = Buffer.from("30770201010420", "hex");
/** What PEM calls a private key, of whatever kind. */
const ARMOUR = /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----/;
/** A private key as JSON Web Key: the field `d`, which a public one has not. */
const JWK = /"d\\*"\s*:\s*\\*"[\w-]{43,}\\*"/;

/** What a text is that carries these bytes in Base64, whichever of three ways it falls into groups of four letters; without the ends, which hold other bits too. */
function base64Forms(bytes: Buffer): readonly string[] {
  return [0, 1, 2].flatMap((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString("base64")
      .replace(/=+$/, "");
    const whole = Math.floor((shift + bytes.length) / 3) * 4;
    const inner = text.slice(shift === 0 ? 0 : 4, whole);
    return [inner, inner.replaceAll("+", "-").replaceAll("/", "_")];
  });
}

const NEEDLES: readonly (readonly [what: string, needle: Buffer])[] = [
  ["a P-256 key (PKCS #8)", PKCS8_P256],
  ["a P-256 key (SEC 1)", SEC1_P256],
  ...[PKCS8_P256, SEC1_P256].flatMap((key) => base64Forms(key).map((text): [string, Buffer] => ["a P-256 key in Base64", Buffer.from(text)])),
  ...base64Forms(Buffer.from(" PRIVATE KEY-----\n")).map((text): [string, Buffer] => ["a private key's PEM in Base64", Buffer.from(text)]),
  ["a P-256 key in hexadecimal", Buffer.from(PKCS8_P256.toString("hex"))],
];

/** The kinds of private keys in bytes, each once; none where there is no key. */
export function privateKeysIn(bytes: Buffer | string): readonly string[] {
  const buffer = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
  const text = buffer.toString("latin1");
  const found = NEEDLES.flatMap(([what, needle]) => (buffer.includes(needle) ? [what] : []));
  return [...new Set([...(ARMOUR.test(text) ? ["a private key in PEM"] : []), ...(JWK.test(text) ? ["a private key as JWK"] : []), ...found])];
}

/** Throws where there is a private key in bytes; `where` they are from. */
export function refusePrivateKeys(where: string, bytes: Buffer | string): void {
  const found = privateKeysIn(bytes);
  if (found.length > 0) throw new Error(`private key leaked: ${where} holds ${found.join(", ")}`);
}

/** The same for every file below a folder, but for those that `mayHold` one, by their path below it. */
export async function refusePrivateKeysBelow(folder: string, mayHold: (path: string) => boolean = () => false): Promise<number> {
  let read = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || mayHold(path.slice(folder.length + 1))) continue;
    refusePrivateKeys(path, await readFile(path));
    read += 1;
  }
  return read;
}
