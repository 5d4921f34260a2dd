// torch's generator on a CPU, number by number: what lrlib.runtime.generator(seed) draws in float64, so does this.
// Mersenne Twister (Matsumoto & Nishimura 1998); the distributions are those of torch.rand, randn, randint, randperm.

const [SIZE, SHIFT] = [624, 397];
const TWO_PI = 2 * Math.PI;

export class Generator {
  constructor(seed) {
    this.state = new Uint32Array(SIZE);
    this.state[0] = seed;
    for (let i = 1; i < SIZE; i += 1) {
      const last = this.state[i - 1] ^ (this.state[i - 1] >>> 30);
      this.state[i] = Math.imul(1812433253, last) + i;
    }
    this.at = SIZE;
    this.spare = null; // the second of a pair of normal numbers, which torch keeps for the next call
  }

  twist() {
    const s = this.state;
    for (let i = 0; i < SIZE; i += 1) {
      const mixed = (s[i] & 0x80000000) | (s[(i + 1) % SIZE] & 0x7fffffff);
      s[i] = s[(i + SHIFT) % SIZE] ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    }
    this.at = 0;
  }

  /** 32 random bits. */
  bits() {
    if (this.at === SIZE) this.twist();
    let y = this.state[this.at];
    this.at += 1;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** One number of [0, 1), with 53 random bits. */
  number() {
    const high = this.bits() & 0x1fffff;
    return (high * 2 ** 32 + this.bits()) * 2 ** -53;
  }

  /** torch.rand(n): uniform on [0, 1). */
  uniform(n) {
    return Float64Array.from({ length: n }, () => this.number());
  }

  /** torch.randn(n). From 16 numbers on torch fills blocks of 16 by Box & Muller, and the last block anew. */
  normal(n) {
    if (n < 16) return Float64Array.from({ length: n }, () => this.oneNormal());
    const made = this.uniform(n);
    const block = (start) => {
      for (let j = start; j < start + 8; j += 1) {
        const radius = Math.sqrt(-2 * Math.log(1 - made[j]));
        const angle = TWO_PI * made[j + 8];
        made[j] = radius * Math.cos(angle);
        made[j + 8] = radius * Math.sin(angle);
      }
    };
    for (let start = 0; start + 16 <= n; start += 16) block(start);
    if (n % 16) {
      for (let j = n - 16; j < n; j += 1) made[j] = this.number();
      block(n - 16);
    }
    return made;
  }

  oneNormal() {
    if (this.spare !== null) {
      const kept = this.spare;
      this.spare = null;
      return kept;
    }
    const angle = TWO_PI * this.number();
    const radius = Math.sqrt(-2 * Math.log1p(-this.number()));
    this.spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** torch.randint(low, high, (n,)): integers of low .. high - 1. */
  integers(low, high, n) {
    return Int32Array.from({ length: n }, () => low + (this.bits() % (high - low)));
  }

  /** torch.randperm(n). */
  permutation(n) {
    const order = Int32Array.from({ length: n }, (_, i) => i);
    for (let i = 0; i < n - 1; i += 1) {
      const j = i + (this.bits() % (n - i));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }
}
