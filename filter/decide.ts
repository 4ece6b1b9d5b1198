// The decision: a record and what the request says go in, one point below the record's sum comes out. Pure; chance is a parameter.
import { fmix64, fnv } from "./hash";
import { Node, Record, firstCandidate, firstEntry, nextNode } from "./record";

/** The hash of a key under the record's salt; the candidates' uniforms are derived from it. */
export function keyHash(record: Record, key: usize, size: usize): u64 {
  return fnv(record.saltHash, key, size);
}

/** A point below `sum` from 32 random bits; its error is one of 2^32. */
export function below(sum: u32, draw: u32): u32 {
  return <u32>((<u64>sum * draw) >> 32);
}

/**
 * The pick. A key of size 0 is absent: then the candidate is drawn at random, and so is the zone without a zone key.
 * An entry is one Envoy cluster, so within an entry any point will do.
 */
export function decide(record: Record, key: usize, keySize: usize, zoneKey: usize, zoneKeySize: usize, draw: u32): u32 {
  let point: u32;
  let candidate: Node;
  if (keySize == 0) {
    point = below(record.sum, draw);
    if (zoneKeySize == 0) return point;
    candidate = nodeAt(firstCandidate(record), point);
  } else {
    candidate = rendezvous(firstCandidate(record), record.candidateCount, keyHash(record, key, keySize));
    if (zoneKeySize == 0) return candidate.start + below(candidate.width, draw);
  }
  return rendezvous(firstEntry(candidate), candidate.children, keyHash(record, zoneKey, zoneKeySize)).start;
}

/** The candidate, or of a candidate's entries the one, whose interval holds the point, which must lie in one of them. */
export function nodeAt(first: Node, point: u32): Node {
  let node = first;
  while (point - node.start >= node.width) node = nextNode(node);
  return node;
}

/** Weighted rendezvous hashing: the node with the smallest -ln(u) / weight, u uniform in (0, 1]; ties go to the smaller name. */
function rendezvous(first: Node, count: u32, hash: u64): Node {
  let node = first;
  let best = first;
  let bestScore = Infinity;
  for (let index: u32 = 0; index < count; index++) {
    const uniform = <f64>((fmix64(hash ^ node.hash) >> 11) + 1) * (1.0 / 9007199254740992.0);
    const score = -NativeMath.log(uniform) / node.weight;
    if (score < bestScore || (score == bestScore && nameBefore(node, best))) {
      best = node;
      bestScore = score;
    }
    node = nextNode(node);
  }
  return best;
}

function nameBefore(a: Node, b: Node): bool {
  const order = memory.compare(a.name, b.name, min(a.nameSize, b.nameSize));
  return order < 0 || (order == 0 && a.nameSize < b.nameSize);
}
