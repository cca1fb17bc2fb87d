/** A `metav1.MicroTime`: RFC 3339 with six digits, as Leases and Events have it. */
export function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z');
}
