import { describe, expect, it } from "vitest";
import type { CertificateRow } from "../local/protocol.ts";
import { certificatesOf, certificatesText, rotationText } from "./cert.ts";
import { styleOf } from "./style.ts";

const plain = styleOf(process.stdout, { NO_COLOR: "1" });
const times = { notBefore: "2026-11-24T11:59:00.000Z", notAfter: "2026-11-25T12:00:00.000Z" };
const root: CertificateRow = {
  kind: "root",
  name: "root 2",
  subject: "O=weft, CN=weft root 2",
  issuer: "O=weft, CN=weft root 2",
  serial: "4e10227521a5bb3e00",
  ...times,
  generation: 2,
  state: "trusted",
};
const proxy: CertificateRow = {
  ...root,
  kind: "proxy",
  name: "web-1.default",
  subject: "spiffe://cluster.local/ns/default/sa/web",
  generation: 1,
  state: "in use",
};
const held: CertificateRow = { ...proxy, name: "api-1.default", subject: "", issuer: "", notBefore: "", generation: 0, state: "held" };

describe("weft cert", () => {
  it("shows subject, issuer, serial, times and root", () => {
    expect(certificatesText([root, proxy, held], plain)).toBe(
      [
        "CERTIFICATE    SUBJECT                                   ISSUER                  SERIAL            NOT BEFORE            NOT AFTER             ROOT  STATE",
        "root 2         O=weft, CN=weft root 2                    O=weft, CN=weft root 2  4e10227521a5bb3e  2026-11-24 11:59:00Z  2026-11-25 12:00:00Z  2     trusted",
        "web-1.default  spiffe://cluster.local/ns/default/sa/web  O=weft, CN=weft root 2  4e10227521a5bb3e  2026-11-24 11:59:00Z  2026-11-25 12:00:00Z  1     in use",
        "api-1.default  -                                         -                       4e10227521a5bb3e  -                     2026-11-25 12:00:00Z  -     held",
      ].join("\n"),
    );
  });

  it("shows those of one workload's proxies", () => {
    expect(certificatesOf([root, proxy, held], new Set(["api-1.default"]))).toEqual([held]);
    expect(certificatesText([], plain)).toMatch(/^no certificate yet/);
  });

  it("says what a rotation will do", () => {
    expect(rotationText([root, proxy], false)).toBe("1 proxy gets a new certificate");
    expect(rotationText([root, proxy, held], true)).toBe(
      "root 2 is announced; when every proxy trusts it, 2 proxies get new certificates, and the former root goes. `weft cert show` tells how far it is",
    );
  });
});
