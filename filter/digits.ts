// Numbers as ASCII digits.

/** The lower-case hexadecimal digit of the value's last four bits. */
export function hexDigit(value: u64): u32 {
  const digit = <u32>value & 15;
  return digit < 10 ? 0x30 + digit : 0x57 + digit;
}

/** Writes 16 lower-case hexadecimal digits. */
export function writeHex(to: usize, value: u64): void {
  for (let digit: usize = 0; digit < 16; digit++) store<u8>(to + digit, hexDigit(value >> (60 - (digit << 2))));
}

/** Writes a decimal of one to ten digits and gives their number. */
export function writeDecimal(to: usize, value: u32): usize {
  let size: usize = 1;
  for (let rest = value; rest >= 10; rest /= 10) size++;
  for (let digitAt = to + size; digitAt > to; value /= 10) store<u8>(--digitAt, 0x30 + (value % 10));
  return size;
}
