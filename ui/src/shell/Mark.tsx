/** A ball of thread, its loose end in the accent. */
export function Mark() {
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true">
      <circle cx="11" cy="11" r="8" />
      <path d="M3.6 9.2c4.600-2.600 10-2.600 14.800.200M3.400 12.800c5-3 10.400-2.800 15.200.200M6.600 4.600c3.400 3.200 5.600 8 5.800 14" />
      <path className="end" d="M16 17.200c1.800 1.400 3 3 5.600 3.400" />
    </svg>
  );
}
