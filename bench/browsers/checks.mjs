// Assertions that print what they saw, whether it was right or not, and go on.

export class Checks {
  passed = 0;
  failed = 0;
  #start = performance.now();

  // that is one assertion; figures say what was measured.
  that(ok, what, figures = '') {
    this[ok ? 'passed' : 'failed']++;
    const at = ((performance.now() - this.#start) / 1000).toFixed(1).padStart(5);
    console.log(`${at} s  ${ok ? 'ok  ' : 'FAIL'}  ${what}${figures === '' ? '' : `: ${figures}`}`);
    return ok;
  }
}

// within ends a wait that takes too long; what names it.
export async function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
